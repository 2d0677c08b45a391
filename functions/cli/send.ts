import { type Env, parseSecrets } from '../config.ts';
import { sampleWebhook } from '../heron/sample.ts';
import { sign } from '../heron/signature.ts';
import { isHeronTopic } from '../heron/topics.ts';
import { pool } from '../pool.ts';
import { CommandFailed } from './failure.ts';
import { read } from './input.ts';
import { complain, inLine, note, print, printJson, progressBar, styled } from './output.ts';
import { ownSecrets } from './own-secrets.ts';
import { unreachable } from './query-api.ts';

export type SendOptions = {
  readonly endUser: string;
  readonly url: string;
  readonly secret?: string;
  readonly count: number;
  readonly body: string | undefined;
  readonly json: boolean;
};

/** Heron's time-out, so that what it would give up is given up here too. */
const TIMEOUT_MS = 10_000;
const CONCURRENCY = 32;

/** Signs and posts webhooks as Heron does. Resolves with the exit code: 0 where each was answered 2xx. */
export async function send(topic: string | undefined, options: SendOptions, env: Env): Promise<number> {
  const { url, count, endUser, json } = options;
  if (topic === undefined && options.body === undefined)
    throw new CommandFailed('Name a topic, such as end_user.processed, or a file with --body.', 'misused');
  if (topic !== undefined && options.body !== undefined)
    throw new CommandFailed('A file is posted as it is, topic and all: leave out the topic, or --body.', 'misused');
  const given = options.secret;
  const [secret] = given === undefined ? ownSecrets(env, url) : parseSecrets(given, 'The secret');
  if (secret === undefined)
    throw new CommandFailed(
      `No secret to sign with for ${url}: set HERON_SHARED_SECRET or HERON_SHARED_SECRET_FILE, or give one with --secret.`,
      'misused',
    );
  if (topic !== undefined && !isHeronTopic(topic)) note(`Heron does not document ${topic}: it will be unrouted.`);

  const file = options.body === undefined ? null : await read(options.body);
  const started = Date.now();
  const bodyOf = (n: number) => file ?? Buffer.from(JSON.stringify(sampleWebhook(topic ?? '', endUser, started, n)));

  const bar = count > 1 ? progressBar(count, 'webhooks') : null;
  const sent = await pool([...Array(count).keys()], CONCURRENCY, async (n) => {
    const answered = await post(url, bodyOf(n), secret);
    bar?.tick();
    return answered;
  }).finally(() => bar?.stop());

  const statuses: Record<string, number> = {};
  for (const { status } of sent) statuses[status] = (statuses[status] ?? 0) + 1;
  /** What the first refusal with each status says. */
  const details: Record<string, string> = {};
  for (const { status, detail } of sent) if (detail !== null) details[status] ??= detail;
  const failed = sent.filter(({ status }) => status < 200 || status > 299).length;
  const milliseconds = Date.now() - started;
  if (json) printJson({ sent: sent.length, failed, statuses, details, milliseconds });
  else
    for (const [status, times] of Object.entries(statuses)) {
      const why = details[status] === undefined ? '' : `\n  ${inLine(details[status])}`;
      const isTaken = status.startsWith('2');
      print(`${styled(isTaken ? 'green' : 'red', status)}  ${times} of ${count}, ${milliseconds} ms${why}`);
    }
  if (!json && statuses[401] !== undefined)
    complain('Is it signed with the secret that ingest has? Give that with --secret, or in HERON_SHARED_SECRET.');
  return failed === 0 ? 0 : 1;
}

type Answered = { readonly status: number; readonly detail: string | null };

/**
 * Resolves with the HTTP status of the answer, and what a problem says.
 * @param option that names the address. @throws CommandFailed where nothing answers.
 */
export async function post(url: string, body: Uint8Array, secret: string, option = '--url'): Promise<Answered> {
  const headers = { 'Content-Type': 'application/json', 'Heron-Signature': sign(body, secret) };
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const response = await fetch(url, { method: 'POST', headers, body: Buffer.from(body), signal });
    const text = await response.text();
    return { status: response.status, detail: response.ok ? null : detailOf(text) };
  } catch (error) {
    throw unreachable(url, error, TIMEOUT_MS, option);
  }
}

function detailOf(text: string): string | null {
  try {
    const { detail } = JSON.parse(text) as { detail?: unknown };
    return typeof detail === 'string' ? detail : null;
  } catch {
    return null;
  }
}
