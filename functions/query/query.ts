import type { IncomingMessage, ServerResponse } from 'node:http';
import type { EndUser } from '../events/end-user.ts';
import { type Instant, parseInstant, rfc3339 } from '../heron/instant.ts';
import { isHeronId, type JsonObject, type JsonValue } from '../heron/webhook.ts';
import { answer, answerProblem } from '../http.ts';
import { describe, type Log, traceOf } from '../log.ts';
import type { EventCursor, LoggedEvent, Store } from '../store/store.ts';

export type QueryDependencies = {
  readonly store: Store;
  readonly log: Log;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly projectId: string;
};

const DEFAULT_PAGE_SIZE = 50;
const MAX_PAGE_SIZE = 200;
/** JSON.stringify overflows the stack some thousands of levels down. */
const MAX_DEPTH = 1_000;

/** An answer that is no success: becomes an RFC 9457 problem. */
class Problem extends Error {
  readonly status: number;
  readonly title: string;
  readonly headers: Readonly<Record<string, string>>;
  constructor(status: number, title: string, detail: string, headers: Readonly<Record<string, string>> = {}) {
    super(detail);
    this.status = status;
    this.title = title;
    this.headers = headers;
  }
}

type Reply = { readonly json: JsonValue } | { readonly bytes: Uint8Array };

/** Answers where end users stand, as JSON; it only reads. */
export function query({ store, log, now, projectId }: QueryDependencies) {
  return async (request: IncomingMessage & { originalUrl?: string }, response: ServerResponse): Promise<void> => {
    const arrived = now();
    const trace = traceOf(request.headers, projectId);
    try {
      if (request.method !== 'GET' && request.method !== 'HEAD')
        throw new Problem(405, 'Method Not Allowed', 'This address is read with GET.', { Allow: 'GET, HEAD' });
      const reply = await route(store, request.originalUrl ?? request.url ?? '/');
      const headers = { 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' };
      if ('bytes' in reply)
        answer(response, 200, reply.bytes, { ...headers, 'Content-Type': 'application/octet-stream' });
      else answer(response, 200, `${JSON.stringify(reply.json)}\n`, { ...headers, 'Content-Type': 'application/json' });
    } catch (error) {
      if (error instanceof Problem)
        return answerProblem(response, error.status, error.title, error.message, { headers: error.headers });
      log('ERROR', 'The store could not be read.', {
        outcome: 'unavailable',
        http_status: 503,
        error: describe(error),
        milliseconds: now() - arrived,
        trace,
      });
      answerProblem(response, 503, 'Service Unavailable', 'The store could not be read. Try again.', {
        headers: { 'Retry-After': '5' },
      });
    }
  };
}

async function route(store: Store, url: string): Promise<Reply> {
  const [path = '', search = ''] = url.split(/\?(.*)/s);
  const parameters = new URLSearchParams(search);
  const segments = path.split('/').slice(1).map(decode);
  const [collection, id, part, ...others] = segments;
  if (others.length === 0 && collection === 'end-users') {
    if (id === undefined && part === undefined) return endUsers(store, parameters);
    if (id !== undefined && id !== '' && part === undefined) return endUser(store, id, parameters);
    if (id !== undefined && id !== '' && part === 'events') return events(store, id, parameters);
  }
  if (others.length === 0 && collection === 'events' && id !== undefined) {
    allow(parameters);
    if (part === undefined) {
      const event = await store.event(id);
      if (event === null) throw new Problem(404, 'Not Found', 'The log has no event with this id.');
      return { json: eventJson(event) };
    }
    if (part === 'body') {
      const bytes = await store.body(id);
      if (bytes === null) throw new Problem(404, 'Not Found', 'The log has no event with this id.');
      return { bytes };
    }
  }
  throw new Problem(
    404,
    'Not Found',
    'There is nothing at this address. End users are at /end-users/{id} and /end-users?end_user_id=…',
  );
}

async function endUser(store: Store, id: string, parameters: URLSearchParams): Promise<Reply> {
  allow(parameters);
  return { json: endUserJson(await find(store, id)) };
}

async function endUsers(store: Store, parameters: URLSearchParams): Promise<Reply> {
  allow(parameters, 'end_user_id');
  const id = parameters.get('end_user_id');
  if (id === null || id === '')
    throw new Problem(400, 'Bad Request', 'Say which end users: /end-users?end_user_id=… or /end-users/{heron_id}.');
  return { json: { end_users: (await store.endUsersOf(id)).map(endUserJson) } };
}

async function events(store: Store, id: string, parameters: URLSearchParams): Promise<Reply> {
  allow(parameters, 'page_size', 'page_token');
  const size = pageSize(parameters.get('page_size'));
  const after = cursor(parameters.get('page_token'));
  const { heron_id } = await find(store, id);
  const page = await store.events(heron_id, size, after);
  return {
    json: { events: page.events.map(eventJson), next_page_token: page.next === null ? null : token(page.next) },
  };
}

/** By heron_id, or by the customer's own id where it names one end user only. */
async function find(store: Store, id: string): Promise<EndUser> {
  const known = isHeronId(id) ? await store.endUser(id) : null;
  if (known !== null) return known;
  const [found, ...others] = await store.endUsersOf(id);
  if (found === undefined)
    throw new Problem(404, 'Not Found', 'No webhook has named an end user with this heron_id or end_user_id.');
  if (others.length > 0) {
    const ids = [found, ...others].map(({ heron_id }) => heron_id).join(', ');
    throw new Problem(409, 'Conflict', `Several end users have this end_user_id: ask for one of ${ids}.`);
  }
  return found;
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

/** A parameter with a typing error would silently mean something else. */
function allow(parameters: URLSearchParams, ...known: string[]): void {
  for (const name of parameters.keys()) {
    if (!known.includes(name)) throw new Problem(400, 'Bad Request', `Unknown parameter ${JSON.stringify(name)}.`);
    if (parameters.getAll(name).length > 1) throw new Problem(400, 'Bad Request', `${name} is given twice.`);
  }
}

function pageSize(text: string | null): number {
  const size = text === null ? DEFAULT_PAGE_SIZE : Number(text);
  if (!Number.isInteger(size) || size < 1 || size > MAX_PAGE_SIZE || text === '')
    throw new Problem(400, 'Bad Request', `page_size is a whole number from 1 to ${MAX_PAGE_SIZE}.`);
  return size;
}

function token({ created, event_id }: EventCursor): string {
  return Buffer.from(JSON.stringify([created, event_id])).toString('base64url');
}

function cursor(text: string | null): EventCursor | null {
  if (text === null) return null;
  try {
    const [created, event_id] = JSON.parse(Buffer.from(text, 'base64url').toString('utf8')) as unknown[];
    const instant = parseInstant(created);
    if (typeof event_id === 'string' && /^[0-9a-f]{64}$/.test(event_id) && (created === null || instant !== null))
      return { created: instant, event_id };
  } catch {}
  throw new Problem(400, 'Bad Request', 'page_token is not one that this address gave: start without it.');
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new Problem(400, 'Bad Request', 'The path is not percent-encoded UTF-8.');
  }
}
