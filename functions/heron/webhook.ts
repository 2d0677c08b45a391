import { unzipSync } from 'node:zlib';
import { type Instant, parseInstant } from './instant.ts';
import { compact, isRecord, type JsonText } from './json.ts';
import { MAX_LEVELS, mayBeDeep, NOTHING, scan, textOf, type Value, type Wanted } from './scan.ts';
import { statusMeantBy } from './status.ts';

/**
 * What a webhook's body says, each field by itself: Heron's bodies are signed before they are understood, so one that is
 * not of the documented shape still keeps what can be read from it. A field is null where it is missing, of another
 * type, or (for texts) empty, over 1,024 bytes or not well-formed Unicode.
 */
export type Webhook = {
  /** `<resource>.<event>`. */
  topic: string | null;
  /** When Heron sent it. */
  created: Instant | null;
  /** The end user it belongs to: `eus_…`, safe as a path segment. */
  heron_id: string | null;
  /** The customer's own id of that end user. */
  end_user_id: string | null;
  /** `data.status`, else the status that the topic implies. */
  status: string | null;
  /** The end user's metadata; at most 32 KiB as JSON, and 100 levels deep. */
  meta: JsonText | null;
  /** Whether the body is JSON. */
  json: boolean;
  /** Why this is not the shape Heron documents, or null where it is. */
  undocumented: string | null;
};

const HERON_ID = /^eus_[A-Za-z0-9_-]{1,64}$/;

/** Whether a text is an end user's heron_id, and so safe as a document's name. */
export function isHeronId(text: string): boolean {
  return HERON_ID.test(text);
}

/** Pub/Sub's limit for an attribute's value, in bytes; Firestore's for an indexed text (1,500) is above it. */
const MAX_TEXT_BYTES = 1024;
/** Heron documents at most 20 keys. The state's document holds `meta` and may not exceed Firestore's 1 MiB. */
const MAX_META_BYTES = 32 * 1024;
/** As it may be written: with spaces, and letters as escapes. */
const MAX_META_LETTERS = 8 * MAX_META_BYTES;
/** Whoever keeps or shows `meta` writes it as JSON, which overflows the stack at some thousands of levels. */
const MAX_META_LEVELS = 100;

/** What a compressed body may come to: as much as one may have that is not, and no more, whatever was made of nothing. */
const MAX_INFLATED_BYTES = 10_000_000;

const strictUtf8 = new TextDecoder('utf-8', { fatal: true });
const lenientUtf8 = new TextDecoder('utf-8');

/** What is read of a body by whichever way; texts of any length that are there, usable or not, where it says nothing else. */
type Reading = {
  /** Usable. */
  readonly topic: string | null;
  readonly created: string | null;
  /** In the places that name the end user, in their order; null for what is no text. */
  readonly heronIds: readonly (string | null)[];
  /** Usable. */
  readonly end_user_id: string | null;
  /** Usable. */
  readonly status: string | null;
  readonly hasData: boolean;
  /** Whether `meta` is there, and neither null nor an object. */
  readonly hasOddMeta: boolean;
  readonly meta: JsonText | null;
  /** Why the body is not a JSON object, or null where it is one. */
  readonly flaw: string | null;
  /** What is missing may have said another status. */
  readonly isCutOff: boolean;
};

/**
 * Reads a body. Never throws. What is not JSON, be it for a NaN somewhere or because its end is missing, is read as far
 * as it goes, so that its end user is known.
 */
export function parseWebhook(body: Uint8Array): Webhook {
  const { bytes, isCompressed } = readable(body);
  const [text, isUtf8] = decode(bytes);
  const isPlain = isUtf8 && !isCompressed;
  const reading = (isPlain ? readPlain(text) : null) ?? readLeniently(text, { isUtf8, isCompressed });
  const { topic, end_user_id, status, meta, flaw } = reading;
  const created = parseInstant(reading.created);
  return {
    topic,
    created,
    heron_id: heronId(reading.heronIds),
    end_user_id,
    status: reading.isCutOff ? null : (status ?? statusMeantBy(topic)),
    meta,
    json: flaw === null || flaw === NOT_AN_OBJECT,
    undocumented:
      flaw ??
      (topic === null
        ? 'topic is not a text of 1 to 1,024 bytes'
        : created === null
          ? 'created is not a time'
          : !reading.hasData
            ? 'data is not an object'
            : reading.hasOddMeta
              ? 'meta is neither null nor an object'
              : null),
  };
}

/**
 * The same reading as the lenient one, of what nearly every body is, in a fifth of its time; null of all else: what is
 * not JSON or may be nested too deep, and where a number must be read as it was written, which JSON.parse does not tell.
 */
function readPlain(text: string): Reading | null {
  if (text.length > MAX_PLAIN_LETTERS || mayBeDeep(text)) return null;
  let webhook: unknown;
  try {
    webhook = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isRecord(webhook)) return null;
  const { topic, created, meta } = webhook;
  const data = isRecord(webhook.data) ? webhook.data : {};
  const { heron_id, end_user_heron_id, end_user, end_user_id, status } = data;
  if (typeof end_user_id === 'number' || typeof status === 'number') return null;
  if (isRecord(meta) && !isExact(meta, MAX_META_LEVELS)) return null;
  return {
    topic: usableText(textIn(topic)),
    created: textIn(created),
    heronIds: [heron_id, end_user_heron_id, isRecord(end_user) ? end_user.heron_id : null].map(textIn),
    end_user_id: usableText(textIn(end_user_id)),
    status: usableText(textIn(status)),
    hasData: isRecord(webhook.data),
    hasOddMeta: meta !== undefined && meta !== null && !isRecord(meta),
    meta: isRecord(meta) ? fitting(JSON.stringify(meta) as JsonText) : null,
    flaw: null,
    isCutOff: false,
  };
}

function readLeniently(text: string, { isUtf8, isCompressed }: { isUtf8: boolean; isCompressed: boolean }): Reading {
  const found = scan(text, WANTED);
  const flaw = isCompressed ? 'the body is compressed' : isUtf8 ? flawOf(text, found) : 'the body is not UTF-8';
  const webhook = found.members;
  const dataValue = webhook.get('data');
  const hasData = isObject(dataValue);
  const data = dataValue?.members ?? NOTHING;
  const meta = webhook.get('meta');
  const textAt = (place: Value | undefined) => (place === undefined ? null : textOf(place.raw));
  return {
    topic: usableValue(ofText(webhook.get('topic')), isUtf8),
    created: textAt(webhook.get('created')),
    heronIds: [data.get('heron_id'), data.get('end_user_heron_id'), data.get('end_user')?.members.get('heron_id')].map(
      textAt,
    ),
    end_user_id: usableValue(data.get('end_user_id'), isUtf8),
    status: usableValue(data.get('status'), isUtf8),
    hasData,
    hasOddMeta: meta !== undefined && meta.raw !== 'null' && !isObject(meta),
    meta: flaw === null ? metadata(meta) : null,
    flaw,
    isCutOff: !found.whole && !(hasData && dataValue.whole),
  };
}

/** So long that whatever is longer is no `meta` in either reading. */
const MAX_PLAIN_LETTERS = MAX_META_LETTERS;

/** Whether JSON.stringify writes a value as it was: there is no number in it, and it is nested at most so deep. */
function isExact(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return typeof value !== 'number';
  return levels > 0 && Object.values(value).every((member) => isExact(member, levels - 1));
}

function textIn(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

const WANTED: Wanted = new Map<string, Wanted>([
  ['topic', NOTHING],
  ['created', NOTHING],
  [
    'data',
    new Map<string, Wanted>([
      ['heron_id', NOTHING],
      ['end_user_heron_id', NOTHING],
      ['end_user', new Map([['heron_id', NOTHING]])],
      ['end_user_id', NOTHING],
      ['status', NOTHING],
    ]),
  ],
  ['meta', NOTHING],
]);
const NOT_AN_OBJECT = 'the body is not a JSON object';

/**
 * The bytes to read a body from. Heron signs what it sends, compressed or not, and that is what is kept; gzip and deflate
 * tell themselves apart by their first bytes, which no JSON begins with (Brotli does not). What cannot be inflated
 * within bounds is read as it is.
 * Source: RFC 1952, 2.3.1, and RFC 1950, 2.2.
 */
function readable(body: Uint8Array): { readonly bytes: Uint8Array; readonly isCompressed: boolean } {
  const [first = 0, second = 0] = body;
  const isCompressed = (first === 0x1f && second === 0x8b) || (first === 0x78 && (first * 256 + second) % 31 === 0);
  if (!isCompressed) return { bytes: body, isCompressed };
  try {
    return { bytes: unzipSync(body, { maxOutputLength: MAX_INFLATED_BYTES }), isCompressed: true };
  } catch {
    return { bytes: body, isCompressed: true };
  }
}

function decode(body: Uint8Array): readonly [text: string, isUtf8: boolean] {
  try {
    return [strictUtf8.decode(body), true];
  } catch {
    return [lenientUtf8.decode(body), false];
  }
}

/** Why a body is not a JSON object, or null where it is one. Quotes nothing of it. */
function flawOf(text: string, { raw, whole, levels, hasNaN, rest }: Value & { readonly rest: string }): string | null {
  if (levels > MAX_LEVELS) return `the body is nested over ${MAX_LEVELS} levels`;
  try {
    JSON.parse(text);
    return raw.startsWith('{') ? null : NOT_AN_OBJECT;
  } catch {
    if (!raw.startsWith('{')) return 'the body is not JSON';
    if (!whole) return 'the body is not JSON: its end is missing';
    if (hasNaN) return 'the body is not JSON: it has NaN or Infinity';
    return rest.trim() === '' ? 'the body is not JSON' : 'the body is not JSON: something follows its end';
  }
}

/** Only the first of the places that names an end user counts: where that is no heron_id, no other is tried. */
function heronId([direct, ofEndUser, nested]: Reading['heronIds']): string | null {
  // Of other resources, data.heron_id is that resource's own.
  const id = [direct?.startsWith('eus_') ? direct : null, ofEndUser, nested].find((place) => place);
  return id && isHeronId(id) ? id : null;
}

function isObject(value: Value | undefined): value is Value {
  return value?.raw.startsWith('{') ?? false;
}

function metadata(meta: Value | undefined): JsonText | null {
  if (!isObject(meta) || meta.levels > MAX_META_LEVELS || meta.raw.length > MAX_META_LETTERS) return null;
  return fitting(compact(meta.raw));
}

function fitting(meta: JsonText): JsonText | null {
  return Buffer.byteLength(meta) <= MAX_META_BYTES ? meta : null;
}

const NUMBER = /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

function ofText(value: Value | undefined): Value | undefined {
  return value?.raw.startsWith('"') ? value : undefined;
}

/** A number stands as its own text. */
function usableValue(value: Value | undefined, isUtf8: boolean): string | null {
  if (!value?.whole) return null;
  const text = usableText(NUMBER.test(value.raw) ? value.raw : textOf(value.raw));
  // In place of bytes that are none: it may stand for anything.
  return isUtf8 || !text?.includes('\ufffd') ? text : null;
}

function usableText(text: string | null): string | null {
  if (text === null || text === '' || !text.isWellFormed() || Buffer.byteLength(text) > MAX_TEXT_BYTES) return null;
  return text;
}
