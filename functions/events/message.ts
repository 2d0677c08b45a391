import { type Instant, parseInstant, rfc3339 } from '../heron/instant.ts';
import { eventOf, type HeronEvent, Unprocessable } from './event.ts';

/** A Pub/Sub message, of which Pub/Sub takes 10 MB in all. */
export type Message = { readonly data: Uint8Array; readonly attributes: Readonly<Record<string, string>> };

/**
 * The event as a Pub/Sub message: the body byte for byte, and attributes after CloudEvents' Pub/Sub binding, for
 * subscribers and their filters. What the body does not say is left out.
 * Source: https://github.com/google/knative-gcp/blob/main/docs/spec/pubsub-protocol-binding.md
 */
export function toMessage(event: HeronEvent): Message {
  const attributes: Record<string, string | null> = {
    'ce-specversion': '1.0',
    'ce-id': event.event_id,
    'ce-type': event.topic,
    'ce-source': 'https://app.herondata.io',
    'ce-time': event.created === null ? null : rfc3339(event.created),
    'ce-subject': event.heron_id,
    end_user_heron_id: event.heron_id,
    end_user_id: event.end_user_id,
    status: event.status,
    received_at: rfc3339(event.received_at),
  };
  const known = Object.entries(attributes).filter((entry): entry is [string, string] => entry[1] !== null);
  return { data: event.body, attributes: Object.fromEntries(known) };
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

/**
 * Reads the body of a push request.
 * Source: https://cloud.google.com/pubsub/docs/push#receive_push (the wrapped message).
 * @throws Unprocessable
 */
export function parsePush(body: Uint8Array): Pushed {
  let envelope: unknown;
  try {
    envelope = JSON.parse(utf8.decode(body));
  } catch {
    throw new Unprocessable('the request is not JSON');
  }
  if (!isRecord(envelope) || !isRecord(envelope.message)) throw new Unprocessable('the request is no push envelope');
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
  const { received_at: stated, 'ce-id': id } = attributes;
  const received_at = stated === undefined ? publishTime : parseInstant(stated);
  if (received_at === null)
    throw new Unprocessable(
      stated === undefined ? 'received_at and publishTime are missing' : 'the attribute received_at is no time',
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
