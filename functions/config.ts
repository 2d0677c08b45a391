import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** The environment is missing something, or wrong: `message` is one line that says what to set. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** The environment of a process. */
export type Env = Readonly<Record<string, string | undefined>>;

/** Where the shared secrets come from, with those that were there at the start. */
export type SecretSource = {
  readonly secrets: readonly [string, ...string[]];
  /** Read again for rotations; absent where the secrets came from the environment. */
  readonly file?: string;
};

/** Where the key of Heron's API comes from, with the one that was there at the start. */
export type KeySource = { readonly key: string /** Read again for rotations. */; readonly file?: string };

export type HeronApiConfig = KeySource & { readonly url: string };

export type BusConfig = { readonly projectId: string; readonly topicPrefix: string };
export type StoreConfig = { readonly projectId: string; readonly databaseId: string };

/** The shared secret, or several, one a line (a rotation). @throws ConfigError */
export function secretSource(env: Env): SecretSource {
  const { HERON_SHARED_SECRET: text, HERON_SHARED_SECRET_FILE: file } = env;
  if (text !== undefined && file !== undefined)
    throw new ConfigError('HERON_SHARED_SECRET and HERON_SHARED_SECRET_FILE are both set: set one of them.');
  if (text !== undefined) return { secrets: parseSecrets(text, 'HERON_SHARED_SECRET') };
  if (file === undefined || file === '')
    throw new ConfigError(
      'Neither HERON_SHARED_SECRET nor HERON_SHARED_SECRET_FILE is set: set one to (a file with) the secret shared with Heron.',
    );
  return { secrets: parseSecrets(contentsOf(file, 'HERON_SHARED_SECRET_FILE'), 'HERON_SHARED_SECRET_FILE'), file };
}

/** @param source for the message only. @throws ConfigError where there is none, or it is no text. */
export function parseSecrets(text: string, source: string): readonly [string, ...string[]] {
  const [first, ...others] = text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '');
  if (first === undefined) throw new ConfigError(`${source} is empty: it must hold the secret shared with Heron.`);
  // What is not UTF-8 decodes to U+FFFD, whatever it was: others could guess such a secret.
  if (/[\p{Cc}\ufffd]/u.test([first, ...others].join('')))
    throw new ConfigError(`${source} is not text: it must hold the secret shared with Heron, in UTF-8.`);
  return [first, ...others];
}

/**
 * What a secret looks like that was pasted with something around it, as far as that can be told: each is taken as it is,
 * for Heron may choose its secrets as it likes. Quotes nothing of them.
 */
export function suspicions(secrets: readonly string[]): readonly string[] {
  const shapes: readonly (readonly [RegExp, string])[] = [
    [/["'`]/, 'has quotes'],
    [/[,;]/, 'has a comma or semicolon: several secrets stand one a line'],
    [/\\[nrt]/, 'has a backslash and a letter where a line break may be meant'],
    [/^(?:export\s+)?[A-Za-z_]\w*\s*=[^=]/, 'begins with a name and ='],
    [/\p{Cf}/u, 'has characters that cannot be seen'],
    [/\s/, 'has spaces'],
  ];
  return secrets.flatMap((secret, i) =>
    shapes.filter(([shape]) => shape.test(secret)).map(([, what]) => `secret ${i + 1} of ${secrets.length} ${what}`),
  );
}

/** Tells secrets apart in a log, and nothing more: the first 32 bits of a hash of each. */
export function fingerprints(secrets: readonly string[]): string {
  const fingerprint = (secret: string) => hash('sha256', `fingerprint of a Heron secret\n${secret}`).slice(0, 8);
  return secrets.map(fingerprint).join(', ');
}

/** Heron's API and the key of it, which is not the secret of its webhooks. @throws ConfigError */
export function heronApiConfig(env: Env): HeronApiConfig {
  const url = env.HERON_API_URL || 'https://app.herondata.io/api';
  const { protocol, hostname } = URL.parse(url) ?? {};
  const isLocal = hostname === 'localhost' || hostname === '127.0.0.1' || hostname === '[::1]';
  if (protocol !== 'https:' && !(protocol === 'http:' && isLocal))
    throw new ConfigError(
      `HERON_API_URL is not an address to send a key to: ${JSON.stringify(url)}. Use https://…, or unset it for Heron's own.`,
    );
  const { HERON_API_KEY: key, HERON_API_KEY_FILE: file } = env;
  if (key !== undefined && file !== undefined)
    throw new ConfigError('HERON_API_KEY and HERON_API_KEY_FILE are both set: set one of them.');
  if (key !== undefined) return { url, key: parseKey(key, 'HERON_API_KEY') };
  if (file === undefined || file === '')
    throw new ConfigError(
      "Neither HERON_API_KEY nor HERON_API_KEY_FILE is set: set one to (a file with) your key of Heron's API.",
    );
  return { url, key: parseKey(contentsOf(file, 'HERON_API_KEY_FILE'), 'HERON_API_KEY_FILE'), file };
}

/** @param source for the message only. @throws ConfigError where there is none, or no header could carry it. */
export function parseKey(text: string, source: string): string {
  const key = text.trim();
  if (!/^[\x21-\x7e]+$/.test(key))
    throw new ConfigError(
      `${source} ${key === '' ? 'is empty' : 'is not a key'}: it must hold your key of Heron's API, and nothing else.`,
    );
  return key;
}

/** @throws ConfigError, which does not tell the variable's value: someone may have set it to the secret itself. */
function contentsOf(file: string, variable: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new ConfigError(`${variable} names a file that cannot be read (${code}).`);
  }
}

/** @throws ConfigError */
export function busConfig(env: Env): BusConfig {
  return { projectId: projectId(env), topicPrefix: topicPrefix(env) };
}

/** @throws ConfigError */
export function storeConfig(env: Env): StoreConfig {
  const databaseId = env.FIRESTORE_DATABASE || '(default)';
  if (databaseId !== '(default)' && !/^[a-z][a-z0-9-]{2,61}[a-z0-9]$/.test(databaseId))
    throw new ConfigError(
      `FIRESTORE_DATABASE is no database id: ${JSON.stringify(databaseId)}. Use (default), or 4 to 63 lower-case letters, digits and hyphens.`,
    );
  const { FIRESTORE_EMULATOR_HOST: emulator } = env;
  // By the rule of Google's client, which would throw in the first call.
  if (emulator && URL.parse(`http://${emulator}/`)?.host !== emulator)
    throw noAddress('FIRESTORE_EMULATOR_HOST', emulator, '127.0.0.1:8080');
  return { projectId: projectId(env), databaseId };
}

/** What an emulator's variable holds cannot be where it is. */
export function noAddress(variable: string, value: string, example: string): ConfigError {
  return new ConfigError(`${variable} is no address: ${JSON.stringify(value)}. Use HOST:PORT, such as ${example}.`);
}

/** After how many days the log lets go of an event; null for never. @throws ConfigError */
export function retentionDays(env: Env): number | null {
  const text = env.EVENT_RETENTION_DAYS || null;
  if (text !== null && !/^[1-9]\d{0,4}$/.test(text))
    throw new ConfigError(
      `EVENT_RETENTION_DAYS is no number of days: ${JSON.stringify(text)}. Use a whole number from 1 to 99999, or unset it to keep events for ever.`,
    );
  return text === null ? null : Number(text);
}

/**
 * Whether OpenTelemetry's own variables say where spans go. Of its booleans only "true" counts, in letters of any case.
 * Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#boolean
 * @throws ConfigError where that is no address.
 */
export function exportsSpans(env: Env): boolean {
  const names = ['OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'];
  const named = names.filter((name) => env[name]);
  for (const name of named)
    if (!/^https?:$/.test(URL.parse(env[name] ?? '')?.protocol ?? ''))
      throw new ConfigError(
        `${name} is no address: use that of a collector that takes OTLP over HTTP, such as http://localhost:4318, or unset it for no spans.`,
      );
  return named.length > 0 && env.OTEL_SDK_DISABLED?.toLowerCase() !== 'true';
}

/** Which share of the lines about events that went well is logged, over 0 and up to 1. @throws ConfigError */
export function logSampling(env: Env): number {
  const text = env.LOG_SAMPLING || '1';
  const share = /^\d*\.?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(share > 0 && share <= 1))
    throw new ConfigError(
      `LOG_SAMPLING is no share of log lines: ${JSON.stringify(text)}. Use a number over 0 and up to 1, such as 0.1, or unset it to log all.`,
    );
  return share;
}

/** @throws ConfigError */
export function projectId(env: Env): string {
  const id = env.GOOGLE_CLOUD_PROJECT;
  if (id === undefined || id === '')
    throw new ConfigError('GOOGLE_CLOUD_PROJECT is not set: set it to the id of your Google Cloud project.');
  if (!/^(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$/.test(id))
    throw new ConfigError(
      `GOOGLE_CLOUD_PROJECT is no project id: ${JSON.stringify(id)}. Use 6 to 30 lower-case letters, digits and hyphens.`,
    );
  return id;
}

function topicPrefix(env: Env): string {
  const prefix = env.TOPIC_PREFIX ?? '';
  // Pub/Sub's rule for the start of a name; the longest name put behind it leaves room for 150 characters.
  if (prefix !== '' && !/^(?!goog)[A-Za-z][A-Za-z0-9\-_.~+%]{0,149}$/.test(prefix))
    throw new ConfigError(
      `TOPIC_PREFIX cannot start a topic's name: ${JSON.stringify(prefix)}. Use a letter, then letters, digits or -_.~+% (150 at most, not goog…).`,
    );
  return prefix;
}
