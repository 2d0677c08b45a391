import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock, Stopwatch } from '../clock.ts';
import type { EndUser } from '../events/end-user.ts';
import { type Instant, rfc3339 } from '../heron/instant.ts';
import { isHeronId, type JsonObject, type JsonValue } from '../heron/webhook.ts';
import { answer, answerProblem } from '../http/answer.ts';
import { readBody } from '../http/body.ts';
import { describe, type Log, traceOf } from '../log.ts';
import { pool } from '../pool.ts';
import type { EndUserFilter, LoggedEvent, Store } from '../store/store.ts';
import { type Asset, asset, tagOf } from './assets.ts';
import { Feed } from './feed.ts';
import openapi from './openapi.json' with { type: 'json' };
import {
  allow,
  endUserCursor,
  eventCursor,
  flag,
  ids,
  isText,
  pageSize,
  text,
  token,
  type Wanted,
  wanted,
} from './parameters.ts';
import { PROBLEMS, Problem, problemsPage } from './problem.ts';
import { Stats } from './stats.ts';
import { Waits } from './waits.ts';

export type QueryDependencies = {
  readonly store: Store;
  readonly log: Log;
  readonly clock: Clock;
  readonly stopwatch: Stopwatch;
  readonly projectId: string;
  /** Once aborted, requests that wait are answered with what there is. */
  readonly stopping?: AbortSignal;
};

/** JSON.stringify overflows the stack some thousands of levels down. */
const MAX_DEPTH = 1_000;
const MAX_BODY_BYTES = 1024 * 1024;
const BODY_MS = 5_000;
/** Firestore's client opens another connection past 100 calls at once. */
const READS_AT_ONCE = 50;

/** Answers may name people: shared caches keep none, and browsers ask each time whether theirs is still good. */
const HEADERS = {
  'Cache-Control': 'private, no-cache',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'; sandbox",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'X-Content-Type-Options': 'nosniff',
};

type Reply =
  | { readonly json: JsonValue; readonly status?: number }
  | { readonly bytes: Uint8Array; readonly tag: string }
  | { readonly html: string }
  | { readonly asset: Asset };

type Context = { readonly store: Store; readonly waits: Waits; readonly stats: Stats };

/** Answers where end users stand, for programs and people; it only reads. */
export function query({
  store,
  log,
  clock,
  stopwatch,
  projectId,
  stopping = new AbortController().signal,
}: QueryDependencies) {
  const waits = new Waits(store, stopping);
  const stats = new Stats(store, clock);
  const feed = new Feed(store, endUserJson, (error) => failed(error, 'The stream', {}), stopping);
  const failed = (error: unknown, what: string, fields: Readonly<Record<string, unknown>>) =>
    log('ERROR', `${what} could not read the store.`, { outcome: 'unavailable', error: describe(error), ...fields });

  return async (request: IncomingMessage & { originalUrl?: string }, response: ServerResponse): Promise<void> => {
    const arrived = stopwatch();
    try {
      const { method = 'GET' } = request;
      const [path = '', search = ''] = (request.originalUrl ?? request.url ?? '/').split(/\?(.*)/s);
      const parameters = new URLSearchParams(search);
      if (path === '/end-users:batchGet') {
        if (method !== 'POST') throw notAllowed('POST');
        allow(parameters);
        return send(request, response, await batch(store, await bodyOf(request)));
      }
      if (method !== 'GET' && method !== 'HEAD') throw notAllowed('GET, HEAD');
      if (path === '/stream') {
        allow(parameters);
        if (method === 'HEAD') answer(response, 200, '', { ...HEADERS, 'Content-Type': 'text/event-stream' });
        else feed.join(response, { ...HEADERS, 'Cache-Control': 'no-store' });
        return;
      }
      send(request, response, await route({ store, waits, stats }, path, parameters, response));
    } catch (error) {
      if (error instanceof Problem) {
        const [status, title] = PROBLEMS[error.type];
        const options = { type: `/problems#${error.type}`, headers: { ...HEADERS, ...error.headers } };
        return answerProblem(response, status, title, error.message, options);
      }
      const trace = traceOf(request.headers, projectId);
      failed(error, 'The request', { http_status: 503, milliseconds: Math.round(stopwatch() - arrived), trace });
      answerProblem(response, 503, 'Service Unavailable', PROBLEMS.unavailable[2], {
        type: '/problems#unavailable',
        headers: { ...HEADERS, 'Retry-After': '5' },
      });
    }
  };
}

async function route(
  { store, waits, stats }: Context,
  path: string,
  parameters: URLSearchParams,
  response: ServerResponse,
): Promise<Reply> {
  const found = asset(path);
  if (found !== undefined) return { asset: found };
  const [collection, id, part, ...others] = path.split('/').slice(1).map(decode);
  if (others.length > 0) throw new Problem('address-unknown');
  if (collection === 'end-users') {
    if (id === undefined) return endUsers(store, parameters);
    if (id !== '' && part === undefined) return endUser(store, waits, id, parameters, response);
    if (id !== '' && part === 'events') return events(store, id, parameters);
  }
  if (collection === 'events' && id !== undefined) {
    allow(parameters);
    if (part === undefined) {
      const event = await store.event(id);
      if (event === null) throw new Problem('event-unknown');
      return { json: eventJson(event) };
    }
    if (part === 'body') {
      const bytes = await store.body(id);
      if (bytes === null) throw new Problem('event-unknown');
      return { bytes, tag: id };
    }
  }
  if (id === undefined) {
    allow(parameters);
    if (collection === 'stats') return { json: await stats.read() };
    if (collection === 'openapi.json') return { json: openapi as JsonObject };
    if (collection === 'problems') return { html: problemsPage() };
  }
  throw new Problem('address-unknown');
}

async function endUser(
  store: Store,
  waits: Waits,
  id: string,
  parameters: URLSearchParams,
  response: ServerResponse,
): Promise<Reply> {
  allow(parameters, 'wait_for', 'after', 'timeout');
  const wish = wanted(parameters);
  const now = await withId(store, id);
  if (wish === null) return { json: endUserJson(only(now)) };
  if (now.length > 1 || now.some((state) => meets(state, wish)) || !isText(id)) return { json: endUserJson(only(now)) };

  // Unknown so far, a text like a heron_id is waited for as one.
  const byHeronId = isHeronId(id) && now.every(({ heron_id }) => heron_id === id);
  const then = await waits.until(
    byHeronId ? { heron_id: id } : { end_user_id: id },
    (states) => states.length > 1 || states.some((state) => meets(state, wish)),
    wish.timeoutMs,
    (left) => (response.destroyed ? left() : response.once('close', left)),
  );
  const state = only(then ?? (await withId(store, id)));
  return { json: endUserJson(state), status: meets(state, wish) ? 200 : 202 };
}

function meets({ status, status_at }: EndUser, { statuses, after }: Wanted): boolean {
  return status !== null && statuses.has(status) && (after === null || (status_at !== null && status_at > after));
}

async function endUsers(store: Store, parameters: URLSearchParams): Promise<Reply> {
  allow(parameters, 'end_user_id', 'status', 'review_required', 'page_size', 'page_token');
  const id = text(parameters, 'end_user_id');
  if (id !== null) {
    if (parameters.size > 1)
      throw new Problem('bad-request', 'end_user_id stands alone: its end users come on one page.');
    return { json: { end_users: (await store.endUsersOf(id)).map(endUserJson), next_page_token: null } };
  }
  const [status, review_required] = [text(parameters, 'status'), flag(parameters, 'review_required')];
  if (status !== null && review_required !== null)
    throw new Problem('bad-request', 'status and review_required are asked for one at a time.');
  const filter: EndUserFilter = {
    ...(status === null ? {} : { status }),
    ...(review_required === null ? {} : { review_required }),
  };
  const page = await store.listEndUsers(filter, pageSize(parameters), endUserCursor(parameters));
  return {
    json: {
      end_users: page.endUsers.map(endUserJson),
      next_page_token: token(page.next && [page.next.last_event_at, page.next.heron_id]),
    },
  };
}

async function batch(store: Store, body: Buffer): Promise<Reply> {
  const results = await pool(ids(body), READS_AT_ONCE, async (id) => ({
    id,
    end_users: (await withId(store, id)).map(endUserJson),
  }));
  return { json: { results } };
}

async function events(store: Store, id: string, parameters: URLSearchParams): Promise<Reply> {
  allow(parameters, 'page_size', 'page_token');
  const [size, after] = [pageSize(parameters), eventCursor(parameters)];
  const { heron_id } = only(await withId(store, id));
  const page = await store.events(heron_id, size, after);
  return {
    json: {
      events: page.events.map(eventJson),
      next_page_token: token(page.next && [page.next.created, page.next.event_id]),
    },
  };
}

/** By heron_id, or else all that have it as the customer's own id. */
async function withId(store: Store, id: string): Promise<readonly EndUser[]> {
  if (!isText(id)) return [];
  const known = isHeronId(id) ? await store.endUser(id) : null;
  return known === null ? store.endUsersOf(id) : [known];
}

function only([found, ...others]: readonly EndUser[]): EndUser {
  if (found === undefined) throw new Problem('end-user-unknown');
  if (others.length === 0) return found;
  const ids = [found, ...others].map(({ heron_id }) => heron_id).join(', ');
  throw new Problem('end-user-ambiguous', `Several end users have this end_user_id: ask for one of ${ids}.`);
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const body = await readBody(request, MAX_BODY_BYTES, BODY_MS);
  switch (body.kind) {
    case 'complete':
      return body.bytes;
    case 'too_large':
      throw new Problem('body-too-large');
    case 'timed_out':
    case 'client_left':
      throw new Problem('body-too-slow');
    default:
      return body satisfies never;
  }
}

function notAllowed(allowed: string): Problem {
  return new Problem('method-not-allowed', undefined, { Allow: allowed });
}

/** Sends a reply, or 304 where the client has it already. */
function send(request: IncomingMessage, response: ServerResponse, reply: Reply): void {
  const { status = 200, type, body, tag, headers = {} } = rendered(reply, request);
  const all = { ...HEADERS, ...headers, ...(status === 200 ? { ETag: `"${tag}"` } : {}) };
  if (status === 200 && request.method !== 'POST' && isKnown(tag, request.headers['if-none-match']))
    response.writeHead(304, all).end();
  else answer(response, status, body, { ...all, 'Content-Type': type });
}

type Rendered = {
  readonly status?: number;
  readonly type: string;
  readonly body: string | Uint8Array;
  readonly tag: string;
  readonly headers?: Readonly<Record<string, string>>;
};

function rendered(reply: Reply, { headers }: IncomingMessage): Rendered {
  if ('bytes' in reply) return { type: 'application/octet-stream', body: reply.bytes, tag: reply.tag };
  if ('html' in reply) return { type: 'text/html; charset=utf-8', body: reply.html, tag: tagOf(reply.html) };
  if ('asset' in reply) {
    const { type, bytes, gzipped, tag, headers: own } = reply.asset;
    const zip = /\bgzip\b/.test(String(headers['accept-encoding'] ?? ''));
    const coding = { Vary: 'Accept-Encoding', ...(zip ? { 'Content-Encoding': 'gzip' } : {}) };
    return { type, body: zip ? gzipped : bytes, tag: zip ? `${tag}-gzip` : tag, headers: { ...own, ...coding } };
  }
  const body = `${JSON.stringify(reply.json)}\n`;
  return { status: reply.status ?? 200, type: 'application/json', body, tag: tagOf(body) };
}

/** Whether the client named the tag in If-None-Match, where weak tags count like strong ones. */
function isKnown(tag: string, header: string | undefined): boolean {
  const named = (header ?? '').split(',').map((each) => each.trim().replace(/^W\//, ''));
  return named.includes(`"${tag}"`) || named.includes('*');
}

function endUserJson({ fold, ...state }: EndUser): JsonObject {
  return {
    ...state,
    status_at: time(state.status_at),
    first_event_at: time(state.first_event_at),
    last_event_at: time(state.last_event_at),
    last_event: { ...state.last_event, created: time(state.last_event.created) },
  };
}

function eventJson({ event_id, body, ...event }: LoggedEvent): JsonObject {
  return {
    id: event_id,
    ...event,
    created: time(event.created),
    received_at: time(event.received_at),
    recorded_at: time(event.recorded_at),
    ...contents(body),
  };
}

/** `data` and `meta` as the body has them; left out where it has none, is kept apart, or is nested beyond answering. */
function contents(body: Uint8Array | null): JsonObject {
  if (body === null || depth(body) > MAX_DEPTH) return {};
  try {
    const { data, meta } = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body)) as JsonObject;
    return { ...(data === undefined ? {} : { data }), ...(meta === undefined ? {} : { meta }) };
  } catch {
    return {}; // not JSON
  }
}

/** At most how deep a JSON text is nested; brackets in its strings count too. */
function depth(json: Uint8Array): number {
  let [now, most] = [0, 0];
  for (const byte of json) {
    if (byte === 0x5b || byte === 0x7b) most = Math.max(most, ++now);
    else if (byte === 0x5d || byte === 0x7d) now--;
  }
  return most;
}

function time(instant: Instant | null): string | null {
  return instant === null ? null : rfc3339(instant);
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new Problem('bad-request', 'The path is not percent-encoded UTF-8.');
  }
}
