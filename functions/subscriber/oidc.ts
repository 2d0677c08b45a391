import { isRecord } from '../heron/json.ts';

export type OidcOptions = {
  /** What `push_audience` says in Terraform: the push endpoint, unless given. */
  readonly audience: string;
  /** The e-mail of the account that Pub/Sub pushes as. */
  readonly account: string;
  /** For tests. */
  readonly fetch?: typeof globalThis.fetch;
  /** Milliseconds since the epoch; for tests. */
  readonly now?: () => number;
};

export type Verdict =
  | { readonly kind: 'genuine' }
  | { readonly kind: 'refused'; readonly why: string }
  /** Google's keys cannot be had just now. */
  | { readonly kind: 'unknown'; readonly why: string };

export type OidcCheck = (authorization: string | undefined) => Promise<Verdict>;

/** Source: https://accounts.google.com/.well-known/openid-configuration */
const KEYS_URL = 'https://www.googleapis.com/oauth2/v3/certs';
const ISSUERS: readonly unknown[] = ['https://accounts.google.com', 'accounts.google.com'];
const FETCH_MS = 5_000;
/** Keys live for days; where Google does not say for how long they may be kept, an hour. */
const KEEP_MS = 3_600_000;
/** A key that is not there may be new; strangers, who name any, must not make us ask each time. */
const ASK_AGAIN_MS = 60_000;
const SKEW_SECONDS = 60;
const ALGORITHM = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };

type Key = Awaited<ReturnType<typeof crypto.subtle.importKey>>;
type Keys = { readonly byId: ReadonlyMap<string, Key>; readonly readAt: number; readonly freshUntil: number };

/**
 * Checks the identity token that Pub/Sub sends with each push.
 * Source: https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions
 */
export function oidcCheck({ audience, account, fetch = globalThis.fetch, now = Date.now }: OidcOptions): OidcCheck {
  if (!audience || !account)
    throw new TypeError('oidc takes an audience and an account: without them anybody would do.');
  let known: Keys | undefined;
  let asking: Promise<Keys> | undefined;
  const ask = () => {
    asking ??= readKeys(fetch, now).finally(() => {
      asking = undefined;
    });
    return asking;
  };
  const keyOf = async (id: string): Promise<Key | undefined> => {
    if (known === undefined || now() >= known.freshUntil) known = await ask();
    if (!known.byId.has(id) && now() - known.readAt >= ASK_AGAIN_MS) known = await ask();
    return known.byId.get(id);
  };

  return async (authorization) => {
    const refused = (why: string): Verdict => ({ kind: 'refused', why });
    const [, token] = /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/i.exec(authorization ?? '') ?? [];
    if (token === undefined) return refused('The request has no identity token.');
    const [head = '', claims = '', signature = ''] = token.split('.');
    const header = jsonOf(head);
    if (!isRecord(header) || header.alg !== 'RS256' || typeof header.kid !== 'string')
      return refused('The identity token is not signed with RS256 by a named key.');
    let key: Key | undefined;
    try {
      key = await keyOf(header.kid);
    } catch {
      return { kind: 'unknown', why: "Google's keys could not be read, so that no token can be checked." };
    }
    if (key === undefined) return refused('The identity token is signed with a key that Google does not have.');
    const signed = new TextEncoder().encode(`${head}.${claims}`);
    const given = bytesOf(signature);
    if (given === undefined || !(await crypto.subtle.verify(ALGORITHM, key, given, signed)))
      return refused('The signature of the identity token is wrong.');
    const { iss, aud, email, email_verified, exp, iat } = { ...(jsonOf(claims) as Record<string, unknown>) };
    const seconds = now() / 1000;
    if (!ISSUERS.includes(iss)) return refused('The identity token is not issued by Google.');
    if (!(typeof exp === 'number' && seconds < exp + SKEW_SECONDS))
      return refused('The identity token is out of date.');
    if (!(typeof iat === 'number' && iat - SKEW_SECONDS <= seconds))
      return refused('The identity token is of the future.');
    if (aud !== audience) return refused('The identity token is for another audience: compare push_audience.');
    if (email !== account || email_verified !== true)
      return refused('The identity token is of another account than the one that Pub/Sub pushes as.');
    return { kind: 'genuine' };
  };
}

/** Rejects where they cannot be had: then nothing can be checked. */
async function readKeys(fetch: typeof globalThis.fetch, now: () => number): Promise<Keys> {
  const response = await fetch(KEYS_URL, { signal: AbortSignal.timeout(FETCH_MS) });
  if (!response.ok) throw new Error(`Google's keys: ${response.status}`);
  const { keys } = (await response.json()) as { keys: readonly { kid: string; kty: string }[] };
  const entries = keys
    .filter(({ kty }) => kty === 'RSA')
    .map(async (jwk): Promise<[string, Key]> => {
      return [jwk.kid, await crypto.subtle.importKey('jwk', jwk, ALGORITHM, false, ['verify'])];
    });
  const [, seconds] = /\bmax-age=(\d{1,9})\b/.exec(response.headers.get('cache-control') ?? '') ?? [];
  const readAt = now();
  const keep = seconds === undefined ? KEEP_MS : Number(seconds) * 1000;
  return { byId: new Map(await Promise.all(entries)), readAt, freshUntil: readAt + keep };
}

/** undefined where it is not base64. */
function bytesOf(base64url: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    const binary = atob(base64url.replaceAll('-', '+').replaceAll('_', '/'));
    return Uint8Array.from(binary, (character) => character.charCodeAt(0));
  } catch {
    return undefined;
  }
}

function jsonOf(base64url: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytesOf(base64url)));
  } catch {
    return undefined;
  }
}
