import { type Instant, instantOf, parseInstant } from './instant.ts';
import { isRecord, type JsonObject, type JsonValue, numberText, parseAsWritten } from './json.ts';

/**
 * Reads what Heron's API answers about deliveries. Its documentation names neither the list's envelope nor its next
 * cursor: the plausible names are taken, and where none of them is there reading stops, rather than guess and lose.
 */

/** An answer that cannot be understood. `message` names the keys that were there, and no value. */
export class UnexpectedAnswer extends Error {
  override readonly name = 'UnexpectedAnswer';
}

/** An answer that is not JSON, or was cut off: the same call may fare better. */
export class BrokenAnswer extends UnexpectedAnswer {}

/** An attempt of Heron's to deliver a webhook, as the list has it. */
export type Attempt = {
  /** `evt_…` */
  readonly heron_id: string;
  readonly topic: string | null;
  readonly attempted_at: Instant | null;
  /** When Heron will try again; null where it has given up. */
  readonly next_retry_at: Instant | null;
};

export type AttemptPage = { readonly attempts: readonly Attempt[]; readonly next: string | null };

const LISTS = ['deliveries', 'webhook_deliveries', 'attempts', 'data', 'results', 'items'];
const DETAILS = ['delivery', 'webhook_delivery', 'attempt', 'data', 'result'];
const CURSORS = ['next_cursor', 'nextCursor', 'next_page_token', 'next', 'cursor'];
const CURSOR_PLACES = ['meta', 'pagination', 'paging', 'page', 'page_info', 'links', '_links'];
const TIMES = ['created', 'created_at', 'attempted_at', 'sent_at', 'timestamp', 'delivered_at', 'last_updated'];

/** @param limit how many were asked for: fewer are the last. @param sent the cursor that was sent. @throws UnexpectedAnswer */
export function attemptPage(text: string, limit: number, sent: string | null): AttemptPage {
  const json = jsonOf(text, 'the list of deliveries');
  const envelope = isFields(json) ? json : {};
  const list = Array.isArray(json) ? json : LISTS.map((name) => envelope[name]).find(Array.isArray);
  if (list === undefined)
    throw new UnexpectedAnswer(`The list of deliveries has none of ${LISTS.join(', ')}; its keys are ${keys(json)}.`);
  const attempts = list.map(attemptOf);
  const next = nextCursor(envelope);
  if (next !== undefined) return { attempts, next: next === sent ? null : next };
  if (attempts.length < limit) return { attempts, next: null };
  throw new UnexpectedAnswer(
    `A full page of deliveries names no next cursor (none of ${CURSORS.join(', ')}); its keys are ${keys(json)}. More may follow, which cannot be read.`,
  );
}

/** Times that cannot be read are none: then an attempt is looked at, however old it is. */
function attemptOf(value: JsonValue): Attempt {
  const fields = isFields(value) ? value : {};
  const { heron_id, topic, next_retry_at } = fields;
  if (typeof heron_id !== 'string' || !/^[\w-]{1,100}$/.test(heron_id))
    throw new UnexpectedAnswer(`A delivery has no heron_id; its keys are ${keys(value)}.`);
  return {
    heron_id,
    topic: typeof topic === 'string' ? topic : null,
    attempted_at: TIMES.map((name) => timeOf(fields[name])).find((time) => time !== null) ?? null,
    next_retry_at: timeOf(next_retry_at),
  };
}

function timeOf(value: JsonValue | undefined): Instant | null {
  // Numbers of this size are seconds or milliseconds since the epoch.
  const number = Number(numberText(value) ?? Number.NaN);
  if (number >= 1e9 && number < 1e11) return instantOf(Math.floor(number * 1_000));
  if (number >= 1e11 && number < 1e14) return instantOf(Math.floor(number));
  return parseInstant(value);
}

/** Null where the envelope says that there is no next page; undefined where it does not say. */
function nextCursor(envelope: JsonObject): string | null | undefined {
  const places = [envelope, ...CURSOR_PLACES.map((name) => envelope[name]).filter(isFields)];
  if (places.some(({ has_more, hasMore }) => has_more === false || hasMore === false)) return null;
  for (const place of places)
    for (const name of CURSORS) {
      const value = place[name];
      if (value === null || value === '') return null;
      if (typeof value === 'string') return cursorIn(value);
    }
  return undefined;
}

/** A cursor may be given as the address of the next page. */
function cursorIn(text: string): string {
  if (!/^https?:|^[/?]/.test(text)) return text;
  const cursor = URL.parse(text, 'https://heron.invalid')?.searchParams.get('cursor');
  if (!cursor) throw new UnexpectedAnswer('The address of the next page of deliveries has no parameter cursor.');
  return cursor;
}

/**
 * The body that an attempt sent, from its detail; null where Heron has none. Heron stores what the body says, not its
 * bytes: written anew it may differ from what was sent in its spaces and the order of its keys, and in nothing else.
 * @throws UnexpectedAnswer
 */
export function payloadOf(text: string): Buffer | null {
  const json = jsonOf(text, 'a delivery');
  const bare = isFields(json) ? json : {};
  const inner = bare.payload === undefined ? DETAILS.map((name) => bare[name]).find(isFields) : undefined;
  const { payload, heron_id } = inner ?? bare;
  if (payload === undefined) {
    // A delivery that says what it is, without a payload, has none; anything else is not understood.
    if (typeof heron_id === 'string') return null;
    throw new UnexpectedAnswer(`A delivery is in none of ${DETAILS.join(', ')}; its keys are ${keys(json)}.`);
  }
  if (payload === null || payload === '') return null;
  if (typeof payload === 'string') return Buffer.from(payload);
  if (!isFields(payload)) throw new UnexpectedAnswer("A delivery's payload is neither an object nor a text with one.");
  return Buffer.from(JSON.stringify(payload));
}

/** @param what was asked for, in words. @throws BrokenAnswer */
export function jsonOf(text: string, what: string): JsonValue {
  try {
    return parseAsWritten(text);
  } catch {
    throw new BrokenAnswer(`What Heron's API answered for ${what} is not JSON, or was cut off.`);
  }
}

export function isFields(value: JsonValue | undefined): value is JsonObject {
  return isRecord(value) && numberText(value) === null;
}

/** The names of an answer's fields, for a person who must find out what changed; never their values. */
function keys(json: JsonValue): string {
  if (Array.isArray(json)) return 'those of a list';
  if (!isFields(json)) return 'none, as it is not an object';
  const names = Object.keys(json)
    .slice(0, 20)
    .map((key) => JSON.stringify(key.slice(0, 40)));
  return names.length === 0 ? 'none' : names.join(', ');
}
