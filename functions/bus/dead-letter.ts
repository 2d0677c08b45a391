import { toldBy } from '../events/dead-letter.ts';
import { eventId } from '../events/event.ts';
import type { Message } from '../events/message.ts';
import { type Instant, parseInstant } from '../heron/instant.ts';
import { isHeronTopic } from '../heron/topics.ts';
import type { Pulled } from './bus.ts';
import { replayTopic, UNROUTED } from './topology.ts';

/** A message in a subscriber's dead letters. */
export type DeadLetter = {
  /** Pub/Sub's id of the dead letter itself: the same message may be dead-lettered twice. */
  readonly id: string;
  readonly subscriber: string;
  /** The one that could not deliver it; null where the request was no message. */
  readonly subscription: string | null;
  readonly reason: string;
  /** How often it was delivered; null where nobody counted. */
  readonly deliveries: number | null;
  /** When the message was published that could not be delivered. */
  readonly published_at: Instant | null;
  readonly dead_lettered_at: Instant;
  readonly topic: string | null;
  /** Of an event of ours, also where its attributes are broken. */
  readonly event_id: string | null;
  readonly bytes: number;
  readonly message: Message;
};

/** @param subscriber whose it is, where it does not say so itself. */
export function deadLetterOf(subscriber: string, { messageId, publishTime, message }: Pulled): DeadLetter {
  const { data, attributes } = message;
  const { deliveries, ...told } = toldBy(message);
  const whose = told.subscriber ?? subscriber;
  const last = told.subscription?.split('/').at(-1) ?? null;
  // A redrive is on its way again: what counts is where it came from, and since when it waits.
  const first = last?.endsWith(replayTopic(whose)) && attributes['ce-replayid'] === undefined ? attributes : {};
  const topic = first['ce-type'] && (isHeronTopic(first['ce-type']) ? first['ce-type'] : UNROUTED);
  return {
    id: messageId,
    subscriber: whose,
    subscription: topic === undefined ? last : `${last?.slice(0, -replayTopic(whose).length)}${whose}.${topic}`,
    reason: told.reason ?? (deliveries === null ? 'not stated' : 'refused or not answered at every delivery'),
    deliveries: deliveries === null ? null : Number(deliveries),
    published_at: parseInstant(first['ce-recordedtime'] ?? told.publishTime),
    dead_lettered_at: publishTime,
    topic: attributes['ce-type'] ?? null,
    event_id: attributes['ce-id'] === undefined ? null : eventId(data),
    bytes: data.byteLength,
    message,
  };
}

/** The id of the message that was dead-lettered; empty where it is not known. */
export function sourceId(message: Message): string {
  return toldBy(message).messageId ?? '';
}
