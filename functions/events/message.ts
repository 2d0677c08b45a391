import { type Instant, parseInstant, rfc3339 } from '../heron/instant.ts';
import { eventId, eventOf, type HeronEvent, Unprocessable } from './event.ts';

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
  const stated = {
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
  const attributes: Record<string, string> = {};
  for (const name in stated) {
    const value = stated[name as keyof typeof stated];
    if (isAttribute(value)) attributes[name] = value;
  }
  return { data: event.body, attributes };
}

/**
 * Printable ASCII, which is all that a header takes; without `%` and outer spaces, as readers of CloudEvents decode the
 * one and trim the others; and no longer than Pub/Sub takes: for one attribute it refuses the message, and all that
 * were sent with it.
 * Source: https://cloud.google.com/pubsub/quotas#resource_limits
 */
const HEADER = /^(?! )[\x20-\x24\x26-\x7e]{1,1024}(?<! )$/;

function isAttribute(value: string | null | undefined): value is string {
  return typeof value === 'string' && HEADER.test(value);
}

/**
 * The event that a message carries. All of it is read from the body, so that the log alone gives the same again; the
 * attributes add only when it was received, and must not contradict it.
 * @param verified its id, where somebody has made sure that it is the body's.
 * @throws Unprocessable
 */
export function fromMessage(
  { data, attributes }: Message,
  publishTime: Instant | null,
  verified: string = eventId(data),
): HeronEvent {
  const { 'ce-recordedtime': stated, 'ce-id': id = verified } = attributes;
  const received_at = stated === undefined ? publishTime : parseInstant(stated);
  if (received_at === null)
    throw new Unprocessable(
      stated === undefined
        ? 'ce-recordedtime and publishTime are missing'
        : 'the attribute ce-recordedtime is not a time',
    );
  if (id !== verified) throw new Unprocessable('the attribute ce-id is not the SHA-256 of the data');
  return eventOf(data, received_at, verified);
}
