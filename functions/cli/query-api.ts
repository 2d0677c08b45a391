import { within } from '../deadline.ts';
import { isRecord } from '../heron/json.ts';
import type { EndUserAnswer } from '../query/answers.ts';
import { CommandFailed, reasonOf } from './failure.ts';

/** Where the query API is, and an identity token for it where one is given. */
export type QueryOptions = { readonly url: string; readonly token?: string };

export type Answer<T> = { readonly status: number; readonly body: T };

const ANSWER_MS = 30_000;
const TOKEN_MS = 15_000;

/** By origin: a command that asks many times fetches one, and another once that has run out. */
const fetched = new Map<string, string>();

/**
 * Asks the query API. Where it is deployed and lets nobody in without one, with an identity token of the application
 * default credentials.
 * @param path relative, percent-encoded.
 * @param is whether an answer is what is asked for: anything may answer at an address.
 * @throws CommandFailed with the problem's type as its code where the API answers with one.
 */
export async function ask<T>(
  { url, token }: QueryOptions,
  path: string,
  is: (body: unknown) => body is T,
  timeoutMs: number = ANSWER_MS,
): Promise<Answer<T>> {
  const address = new URL(path, url.endsWith('/') ? url : `${url}/`);
  let response = await get(address, token ?? fetched.get(address.origin), url, timeoutMs);
  if (token === undefined && isClosed(response)) {
    const fresh = await identityToken(address);
    fetched.set(address.origin, fresh);
    response = await get(address, fresh, url, timeoutMs);
  }
  if (isClosed(response)) throw refused(response, url, token !== undefined);
  return read(response, address, is, url);
}

export function isEndUser(body: unknown): body is EndUserAnswer {
  return isRecord(body) && typeof body.heron_id === 'string' && isRecord(body.last_event);
}

type Reply = { readonly status: number; readonly type: string; readonly text: string };

async function get(address: URL, token: string | undefined, url: string, timeoutMs: number): Promise<Reply> {
  try {
    const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
    const signal = AbortSignal.timeout(timeoutMs);
    const response = await fetch(address, { headers, signal, redirect: 'manual' });
    return { status: response.status, type: response.headers.get('content-type') ?? '', text: await response.text() };
  } catch (error) {
    throw unreachable(url, error, timeoutMs, '--url');
  }
}

/** Whether Google's front end answered, which lets in only whom IAM knows. */
function isClosed({ status, type }: Reply): boolean {
  return (status === 401 || status === 403) && !type.startsWith('application/problem+json');
}

function read<T>({ status, type, text }: Reply, address: URL, is: (body: unknown) => body is T, url: string) {
  const body = /^application\/(problem\+)?json\b/.test(type) ? parse(text) : undefined;
  if (status >= 200 && status < 300 && is(body)) return { status, body };
  if (type.startsWith('application/problem+json') && isRecord(body) && typeof body.detail === 'string') {
    // Others answer with problems as well, ingest among them.
    const [, named] = /^\/problems#([a-z-]+)$/.exec(String(body.type)) ?? [];
    if (named !== undefined) throw new CommandFailed(body.detail, named);
    if (status === 503) throw new CommandFailed(body.detail, 'unavailable');
    throw notTheQueryApi(address, `${status}: ${body.detail}`);
  }
  if (status >= 502 && status <= 504)
    throw new CommandFailed(
      `${url} answers ${status}: what stands before the query API cannot reach it. Run it again later.`,
      'unavailable',
    );
  throw notTheQueryApi(address, `${status}, ${type || 'no type'}`);
}

function notTheQueryApi({ href }: URL, what: string): CommandFailed {
  return new CommandFailed(
    `What answers at ${href} (${what}) is not the query API: check --url. With npm start it is the port after the webhook's.`,
    'not-the-query-api',
  );
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function refused({ status }: Reply, url: string, given: boolean): CommandFailed {
  return status === 401
    ? new CommandFailed(
        `${url} does not take this identity token (401): it has run out, or is for another address. ${given ? 'Leave --token out, or give a fresh one' : 'Give one with --token'}, such as $(gcloud auth print-identity-token).`,
        'unauthenticated',
      )
    : new CommandFailed(
        `${url} lets your account not in (403): it needs roles/run.invoker on query, or another account's token with --token.`,
        'permission-denied',
      );
}

/** @throws CommandFailed where there are no credentials, or none that have one. */
async function identityToken({ protocol, hostname, origin }: URL): Promise<string> {
  // To this machine none is carried over a wire; elsewhere plain HTTP would show it to everybody on the way.
  const isSafe = protocol === 'https:' || isLoopback(hostname);
  const without = (why: string) =>
    new CommandFailed(
      `${origin} lets in only whom IAM knows (403), and ${why}. Give an identity token with --token, such as $(gcloud auth print-identity-token).`,
      'unauthenticated',
    );
  if (!isSafe) throw without('plain HTTP is no way to send who you are');
  try {
    const { GoogleAuth } = await import('google-auth-library');
    const fetching = async () => {
      const client = await new GoogleAuth().getIdTokenClient(origin);
      return client.getRequestHeaders(origin);
    };
    const headers = await within(TOKEN_MS, fetching(), () => {
      throw new Error(`no answer within ${TOKEN_MS / 1000} s`);
    });
    const [, token] = /^Bearer (.+)$/.exec(headers.get('authorization') ?? '') ?? [];
    if (token !== undefined) return token;
  } catch (error) {
    throw without(`your credentials give none (${reasonOf(error)})`);
  }
  throw without('your credentials give none');
}

export function isLoopback(hostname: string): boolean {
  return /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\]|::1)$/i.test(hostname);
}

/** Says who could not be reached. */
export function unreachable(url: string, error: unknown, timeoutMs: number, option: string): CommandFailed {
  const { name, cause } = error as { name?: unknown; cause?: { code?: unknown } };
  if (name === 'TimeoutError')
    return new CommandFailed(
      `${url} did not answer within ${timeoutMs / 1000} s. Run it again later, or name another with ${option}.`,
      'unavailable',
    );
  const why = typeof cause?.code === 'string' ? cause.code : reasonOf(error);
  return new CommandFailed(
    `Nothing answers at ${url} (${why}). Start it with npm start, or name another with ${option}.`,
    'unreachable',
    { cause: error },
  );
}
