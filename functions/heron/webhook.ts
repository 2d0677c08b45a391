import { gunzipSync } from 'node:zlib';
import { type Instant, parseInstant } from './instant.ts';
import { compact, type JsonText } from './json.ts';
import { NOTHING, scan, textOf, type Value, type Wanted } from './scan.ts';
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
/** As it may be written: each letter as an escape of six, in quotes. */
const MAX_TEXT_LETTERS = 6 * MAX_TEXT_BYTES + 2;
/** Heron documents at most 20 keys. The state's document holds `meta` and may not exceed Firestore's 1 MiB. */
const MAX_META_BYTES = 32 * 1024;
/** As it may be written: with spaces, and letters as escapes. */
const MAX_META_LETTERS = 8 * MAX_META_BYTES;
/** Whoever keeps or shows `meta` writes it as JSON, which overflows the stack at some thousands of levels. */
const MAX_META_LEVELS = 100;

/** What is nested deeper, other readers of JSON refuse, and to parse ten million levels takes seconds. */
const MAX_LEVELS = 1_000;

/** What a compressed body may come to: as much as one may have that is not, and no more, whatever was made of nothing. */
const MAX_INFLATED_BYTES = 10_000_000;

const strictUtf8 = new TextDecoder('utf-8', { fatal: true });
const lenientUtf8 = new TextDecoder('utf-8');

/**
 * Reads a body. Never throws. What is not JSON, be it for a NaN somewhere or because its end is missing, is read as far
 * as it goes, so that its end user is known.
 */
export function parseWebhook(body: Uint8Array): Webhook {
  const { bytes, isCompressed } = readable(body);
  const [text, isUtf8] = decode(bytes);
  const found = scan(text, WANTED);
  const flaw = isCompressed ? 'the body is compressed' : isUtf8 ? flawOf(text, found) : 'the body is not UTF-8';
  const webhook = found.members;
  const usable = (value: Value | undefined) => usableText(value, isUtf8);

  const dataValue = webhook.get('data');
  const hasData = isObject(dataValue);
  const data = dataValue?.members ?? NOTHING;
  const topic = usable(ofText(webhook.get('topic')));
  const created = parseInstant(textOf(webhook.get('created')?.raw ?? ''));
  const meta = webhook.get('meta');
  // What is missing may have said another one.
  const isCutOff = !found.whole && !(hasData && dataValue.whole);
  return {
    topic,
    created,
    heron_id: heronId(data),
    end_user_id: usable(data.get('end_user_id')),
    status: isCutOff ? null : (usable(data.get('status')) ?? statusMeantBy(topic)),
    meta: flaw === null ? metadata(meta) : null,
    json: flaw === null || flaw === NOT_AN_OBJECT,
    undocumented:
      flaw ??
      (topic === null
        ? 'topic is not a text of 1 to 1,024 bytes'
        : created === null
          ? 'created is not a time'
          : !hasData
            ? 'data is not an object'
            : meta !== undefined && meta.raw !== 'null' && !isObject(meta)
              ? 'meta is neither null nor an object'
              : null),
  };
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
 * The bytes to read a body from. Heron signs what it sends, compressed or not, and that is what is kept; gzip tells
 * itself apart by its first bytes, which no JSON begins with. What cannot be inflated within bounds is read as it is.
 */
function readable(body: Uint8Array): { readonly bytes: Uint8Array; readonly isCompressed: boolean } {
  if (body[0] !== 0x1f || body[1] !== 0x8b) return { bytes: body, isCompressed: false };
  try {
    return { bytes: gunzipSync(body, { maxOutputLength: MAX_INFLATED_BYTES }), isCompressed: true };
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
function heronId(data: ReadonlyMap<string, Value>): string | null {
  const [direct, ofEndUser, nested] = [
    data.get('heron_id'),
    data.get('end_user_heron_id'),
    data.get('end_user')?.members.get('heron_id'),
  ].map((place) => (place === undefined ? null : textOf(place.raw)));
  // Of other resources, data.heron_id is that resource's own.
  const id = [direct?.startsWith('eus_') ? direct : null, ofEndUser, nested].find((place) => place);
  return id && isHeronId(id) ? id : null;
}

function isObject(value: Value | undefined): value is Value {
  return value?.raw.startsWith('{') ?? false;
}

function metadata(meta: Value | undefined): JsonText | null {
  if (!isObject(meta) || meta.levels > MAX_META_LEVELS || meta.raw.length > MAX_META_LETTERS) return null;
  const json = compact(meta.raw);
  return Buffer.byteLength(json) <= MAX_META_BYTES ? json : null;
}

const NUMBER = /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

function ofText(value: Value | undefined): Value | undefined {
  return value?.raw.startsWith('"') ? value : undefined;
}

/** A number stands as its own text. */
function usableText(value: Value | undefined, isUtf8: boolean): string | null {
  if (!value?.whole || value.raw.length > MAX_TEXT_LETTERS) return null;
  const text = NUMBER.test(value.raw) ? value.raw : textOf(value.raw);
  if (text === null || text === '' || !text.isWellFormed() || Buffer.byteLength(text) > MAX_TEXT_BYTES) return null;
  // In place of bytes that are none: it may stand for anything.
  return isUtf8 || !text.includes('\ufffd') ? text : null;
}
