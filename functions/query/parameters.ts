import { isEventId } from '../events/event.ts';
import { type Instant, parseInstant } from '../heron/instant.ts';
import { isHeronId } from '../heron/webhook.ts';
import type { EndUserCursor, EventCursor } from '../store/store.ts';
import { Problem } from './problem.ts';

const DEFAULT_PAGE_SIZE = 50;
const MAX_PAGE_SIZE = 200;
/** Cloud Run's load balancers and many clients give up at 60 s. */
const MAX_WAIT_S = 55;
const DEFAULT_WAIT_S = 25;
const MAX_STATUSES = 20;
/** Longer texts are not taken from webhooks, so no state has one. */
const MAX_TEXT_BYTES = 1_024;
const MAX_IDS = 500;

/** What a waiting request waits for. */
export type Wanted = {
  readonly statuses: ReadonlySet<string>;
  readonly after: Instant | null;
  readonly timeoutMs: number;
};

/** A parameter with a typing error would silently mean something else. */
export function allow(parameters: URLSearchParams, ...known: string[]): void {
  for (const name of parameters.keys()) {
    if (!known.includes(name)) throw new Problem('bad-request', `Unknown parameter ${JSON.stringify(name)}.`);
    if (parameters.getAll(name).length > 1) throw new Problem('bad-request', `${name} is given twice.`);
  }
}

export function text(parameters: URLSearchParams, name: string): string | null {
  const value = parameters.get(name);
  if (value === '' || (value !== null && !isText(value)))
    throw new Problem('bad-request', `${name} is a text of 1 to ${MAX_TEXT_BYTES} bytes.`);
  return value;
}

/** Whether some end user may have it as an id or status. */
export function isText(value: unknown): value is string {
  return (
    typeof value === 'string' && value !== '' && value.isWellFormed() && Buffer.byteLength(value) <= MAX_TEXT_BYTES
  );
}

export function flag(parameters: URLSearchParams, name: string): true | null {
  const value = parameters.get(name);
  if (value !== null && value !== 'true') throw new Problem('bad-request', `${name} can only be true.`);
  return value === null ? null : true;
}

export function wanted(parameters: URLSearchParams): Wanted | null {
  const list = parameters.get('wait_for');
  const [after, timeout] = [parameters.get('after'), parameters.get('timeout')];
  if (list === null) {
    if (after !== null || timeout !== null)
      throw new Problem('bad-request', 'after and timeout belong to wait_for, which is missing.');
    return null;
  }
  const statuses = new Set(list.split(','));
  if (statuses.size > MAX_STATUSES || ![...statuses].every(isText))
    throw new Problem('bad-request', `wait_for names 1 to ${MAX_STATUSES} statuses, with commas between them.`);
  const instant = parseInstant(after);
  if (after !== null && instant === null) throw new Problem('bad-request', 'after is a time as in RFC 3339.');
  return { statuses, after: instant, timeoutMs: 1_000 * whole('timeout', timeout ?? DEFAULT_WAIT_S, 0, MAX_WAIT_S) };
}

export function pageSize(parameters: URLSearchParams): number {
  return whole('page_size', parameters.get('page_size') ?? DEFAULT_PAGE_SIZE, 1, MAX_PAGE_SIZE);
}

function whole(name: string, value: string | number, least: number, most: number): number {
  const number = Number(value);
  if (!/^\d{1,3}$/.test(String(value)) || number < least || number > most)
    throw new Problem('bad-request', `${name} is a whole number from ${least} to ${most}.`);
  return number;
}

/** The ids that a batch asks for. */
export function ids(body: Buffer): readonly string[] {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    throw new Problem('bad-request', 'The body is not JSON.');
  }
  const { ids } = (json ?? {}) as { ids?: unknown };
  if (!Array.isArray(ids) || ids.length > MAX_IDS || !ids.every(isText))
    throw new Problem(
      'bad-request',
      `The body is {"ids": […]} with at most ${MAX_IDS} texts of 1 to ${MAX_TEXT_BYTES} bytes each.`,
    );
  return ids;
}

/** Where a page ends, as a client carries it. */
export function token(parts: readonly [Instant | null, string] | null): string | null {
  return parts === null ? null : Buffer.from(JSON.stringify(parts)).toString('base64url');
}

export function eventCursor(parameters: URLSearchParams): EventCursor | null {
  const parts = untoken(parameters, isEventId);
  return parts && { created: parts[0], event_id: parts[1] };
}

export function endUserCursor(parameters: URLSearchParams): EndUserCursor | null {
  const parts = untoken(parameters, isHeronId);
  if (parts === null) return null;
  const [last_event_at, heron_id] = parts;
  if (last_event_at === null) throw badToken();
  return { last_event_at, heron_id };
}

function untoken(parameters: URLSearchParams, isId: (text: string) => boolean): [Instant | null, string] | null {
  const text = parameters.get('page_token');
  if (text === null) return null;
  try {
    const [time, of] = JSON.parse(Buffer.from(text, 'base64url').toString('utf8')) as unknown[];
    const instant = parseInstant(time);
    if (typeof of === 'string' && isId(of) && (time === null || instant !== null)) return [instant, of];
  } catch {}
  throw badToken();
}

function badToken(): Problem {
  return new Problem('bad-request', 'page_token is not one that this address gave: start without it.');
}
