import { type Instant, parseInstant, rfc3339 } from '../heron/instant.ts';
import { scan } from '../heron/scan.ts';
import { eventOf, type HeronEvent, Unprocessable } from './event.ts';

/** A Pub/Sub message, of which Pub/Sub takes 10 MB in all. */
export type Message = { readonly data: Uint8Array; readonly attributes: Readonly<Record<string, string>> };

/** What a message may say beside its event. */
export type Extensions = {
  /** The trace that it belongs to, as W3C writes it. */
  readonly traceparent?: string | undefined;
  /** Which replay sent it again; absent on everything that is sent for the first time, a redrive included. */
  readonly replayid?: string | undefined;
};

/**
 * The event as a Pub/Sub message: the body byte for byte, and CloudEvents attributes and nothing else, so that a push
 * without wrapping is a CloudEvent in HTTP binary mode.
 * Source: https://github.com/googleapis/google-cloudevents/blob/main/docs/spec/pubsub.md
 */
export function toMessage(event: HeronEvent, { traceparent, replayid }: Extensions = {}): Message {
  const attributes = {
    'ce-specversion': '1.0',
    'ce-id': event.event_id,
    'ce-type': event.topic,
    'ce-source': 'https://app.herondata.io',
    'ce-time': event.created && rfc3339(event.created),
    'ce-subject': event.heron_id,
    'Content-Type': event.json ? 'application/json' : 'application/octet-stream',
    'ce-enduserid': event.end_user_id,
    'ce-status': event.status,
    'ce-recordedtime': rfc3339(event.received_at),
    'ce-traceparent': traceparent,
    'ce-replayid': replayid,
  };
  return { data: event.body, attributes: Object.fromEntries(Object.entries(attributes).filter(isAttribute)) };
}

/**
 * Printable ASCII, which is all that a header takes; without `%` and outer spaces, as readers of CloudEvents decode the
 * one and trim the others; and no longer than Pub/Sub takes: for one attribute it refuses the message, and all that
 * were sent with it.
 * Source: https://cloud.google.com/pubsub/quotas#resource_limits
 */
const HEADER = /^(?! )[\x20-\x24\x26-\x7e]{1,1024}(?<! )$/;

function isAttribute(entry: [string, string | null | undefined]): entry is [string, string] {
  return typeof entry[1] === 'string' && HEADER.test(entry[1]);
}

/** A message that Pub/Sub pushed, and what the envelope says of it. */
export type Pushed = {
  readonly message: Message;
  readonly messageId: string;
  readonly publishTime: Instant | null;
  /** The full name of the subscription that pushed it. */
  readonly subscription: string;
  /** How often it was delivered, this time included; null where nobody counts (the emulator does not). */
  readonly deliveryAttempt: number | null;
};

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Pub/Sub's has three. To parse ten million takes seconds. */
const MAX_PUSH_LEVELS = 10;

/**
 * Reads the body of a push request.
 * Source: https://cloud.google.com/pubsub/docs/push#receive_push (the wrapped message).
 * @throws Unprocessable
 */
export function parsePush(body: Uint8Array): Pushed {
  let envelope: unknown;
  try {
    const text = utf8.decode(body);
    envelope = scan(text, new Map()).levels > MAX_PUSH_LEVELS ? null : JSON.parse(text);
  } catch {
    throw new Unprocessable('the request is not JSON');
  }
  if (!isRecord(envelope) || !isRecord(envelope.message)) throw new Unprocessable('the request is not a push envelope');
  const { data = '', attributes = {}, messageId, publishTime } = envelope.message;
  const bytes = typeof data === 'string' ? Buffer.from(data, 'base64') : null;
  // Buffer.from skips what is not base64.
  if (bytes === null || bytes.toString('base64') !== data) throw new Unprocessable('the data is not base64');
  if (!isRecord(attributes) || !Object.values(attributes).every(isText) || !Object.keys(attributes).every(isText))
    throw new Unprocessable('the attributes are not texts');
  return {
    message: { data: bytes, attributes: attributes as Record<string, string> },
    messageId: isText(messageId) ? messageId : '',
    publishTime: parseInstant(publishTime),
    subscription: isText(envelope.subscription) ? envelope.subscription : '',
    deliveryAttempt: Number.isSafeInteger(envelope.deliveryAttempt) ? Number(envelope.deliveryAttempt) : null,
  };
}

/**
 * The event that a message carries. All of it is read from the body, so that the log alone gives the same again; the
 * attributes add only when it was received, and must not contradict it.
 * @throws Unprocessable
 */
export function fromMessage({ data, attributes }: Message, publishTime: Instant | null): HeronEvent {
  const { 'ce-recordedtime': stated, 'ce-id': id } = attributes;
  const received_at = stated === undefined ? publishTime : parseInstant(stated);
  if (received_at === null)
    throw new Unprocessable(
      stated === undefined
        ? 'ce-recordedtime and publishTime are missing'
        : 'the attribute ce-recordedtime is not a time',
    );
  const event = eventOf(data, received_at);
  if (id !== undefined && id !== event.event_id)
    throw new Unprocessable('the attribute ce-id is not the SHA-256 of the data');
  return event;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A text that Pub/Sub would take back: what is dead-lettered is published again. */
function isText(value: unknown): value is string {
  return typeof value === 'string' && value.isWellFormed();
}
