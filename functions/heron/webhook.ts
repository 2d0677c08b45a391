import { type Instant, parseInstant } from './instant.ts';
import { compact, type JsonObject, type JsonText, type JsonValue } from './json.ts';
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
/** Whoever keeps or shows `meta` writes it as JSON, which overflows the stack at some thousands of levels. */
const MAX_META_LEVELS = 100;

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Reads a body. Never throws: what is not JSON is a webhook that says nothing. */
export function parseWebhook(body: Uint8Array): Webhook {
  let json: JsonValue;
  try {
    json = JSON.parse(utf8.decode(body)) as JsonValue;
  } catch {
    return { ...read({}), json: false, undocumented: 'the body is not JSON' };
  }
  if (!isObject(json)) return { ...read({}), undocumented: 'the body is not a JSON object' };
  return read(json);
}

function read(webhook: JsonObject): Webhook {
  const { data, meta } = webhook;
  const topic = text(webhook.topic);
  const created = parseInstant(webhook.created);
  const fields = isObject(data) ? data : {};
  return {
    topic,
    created,
    heron_id: heronId(fields),
    end_user_id: text(fields.end_user_id),
    status: text(fields.status) ?? statusMeantBy(topic),
    meta: metadata(meta),
    json: true,
    undocumented:
      topic === null
        ? 'topic is not a text of 1 to 1,024 bytes'
        : created === null
          ? 'created is not a time'
          : !isObject(data)
            ? 'data is not an object'
            : meta !== undefined && meta !== null && !isObject(meta)
              ? 'meta is neither null nor an object'
              : null,
  };
}

/** Only the first of the places that names an end user counts: where that is no heron_id, no other is tried. */
function heronId(data: JsonObject): string | null {
  const { heron_id: direct, end_user: endUser } = data;
  const places = [
    // Of other resources, data.heron_id is that resource's own.
    typeof direct === 'string' && direct.startsWith('eus_') ? direct : null,
    data.end_user_heron_id,
    isObject(endUser) ? endUser.heron_id : null,
  ];
  const id = places.find((place) => typeof place === 'string' && place !== '');
  return typeof id === 'string' && isHeronId(id) ? id : null;
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function metadata(meta: JsonValue | undefined): JsonText | null {
  if (!isObject(meta) || !hasLevels(meta, MAX_META_LEVELS)) return null;
  const json = compact(JSON.stringify(meta));
  return Buffer.byteLength(json) <= MAX_META_BYTES ? json : null;
}

/** Whether a value is nested at most so deep. */
function hasLevels(value: JsonValue, most: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return most > 0 && Object.values(value).every((inner) => hasLevels(inner, most - 1));
}

function text(value: JsonValue | undefined): string | null {
  const usable = typeof value === 'string' && value !== '' && value.isWellFormed();
  return usable && Buffer.byteLength(value) <= MAX_TEXT_BYTES ? value : null;
}
