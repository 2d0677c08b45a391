import { eventId } from '../events/event.ts';
import type { Message } from '../events/message.ts';
import { type Instant, parseInstant, rfc3339 } from '../heron/instant.ts';
import { isHeronTopic } from '../heron/topics.ts';
import type { Pulled } from './bus.ts';
import { replayTopic, UNROUTED } from './topology.ts';

/** Why a subscriber gave a message up, and where it came from. */
export type Cause = {
  readonly subscriber: string;
  /** Quotes nothing of the message. */
  readonly reason: string;
  /** The message's own id, time and subscription, where it came as one. */
  readonly messageId?: string | undefined;
  readonly publishTime?: Instant | null | undefined;
  readonly subscription?: string | undefined;
  readonly deliveryAttempt?: number | null | undefined;
};

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

/** Pub/Sub's limit. Source: https://cloud.google.com/pubsub/quotas#resource_limits */
const MAX_ATTRIBUTES = 100;
/** What we add to a dead letter's attributes begins with this. */
const OURS = 'dead_letter_';
/** Source: https://cloud.google.com/pubsub/docs/handling-failures#track-delivery-attempts */
const GOOGLES = 'CloudPubSubDeadLetterSource';

/** The message with the cause in attributes beside its own, of which so many are kept as Pub/Sub takes. */
export function toDeadLetter(message: Message, cause: Cause): Message {
  const { subscriber, reason, messageId, publishTime, subscription, deliveryAttempt } = cause;
  const why = {
    [`${OURS}reason`]: reason,
    [`${OURS}subscriber`]: subscriber,
    ...(messageId ? { [`${OURS}message_id`]: messageId } : {}),
    ...(publishTime ? { [`${OURS}publish_time`]: rfc3339(publishTime) } : {}),
    ...(subscription ? { [`${OURS}subscription`]: subscription } : {}),
    ...(deliveryAttempt ? { [`${OURS}deliveries`]: String(deliveryAttempt) } : {}),
  };
  const own = Object.entries(withoutCause(message).attributes).slice(0, MAX_ATTRIBUTES - Object.keys(why).length);
  return { data: message.data, attributes: { ...Object.fromEntries(own), ...why } };
}

/** The message as its subscriber got it. */
export function withoutCause({ data, attributes }: Message): Message {
  const own = Object.entries(attributes).filter(([key]) => !key.startsWith(OURS) && !key.startsWith(GOOGLES));
  return { data, attributes: Object.fromEntries(own) };
}

/** @param subscriber whose it is, where it does not say so itself. */
export function deadLetterOf(subscriber: string, { messageId, publishTime, message }: Pulled): DeadLetter {
  const { data, attributes } = message;
  const ours = (name: string) => attributes[`${OURS}${name}`] ?? null;
  const googles = (name: string) => attributes[`${GOOGLES}${name}`] ?? null;
  const deliveries = ours('deliveries') ?? googles('DeliveryCount');
  const whose = ours('subscriber') ?? subscriber;
  const last = (ours('subscription') ?? googles('Subscription'))?.split('/').at(-1) ?? null;
  const published = ours('publish_time') ?? googles('TopicPublishTime');
  // A redrive is on its way again: what counts is where it came from, and since when it waits.
  const first = last?.endsWith(replayTopic(whose)) && attributes['ce-replayid'] === undefined ? attributes : {};
  const topic = first['ce-type'] && (isHeronTopic(first['ce-type']) ? first['ce-type'] : UNROUTED);
  return {
    id: messageId,
    subscriber: whose,
    subscription: topic === undefined ? last : `${last?.slice(0, -replayTopic(whose).length)}${whose}.${topic}`,
    reason: ours('reason') ?? (deliveries === null ? 'not stated' : 'refused or not answered at every delivery'),
    deliveries: deliveries === null ? null : Number(deliveries),
    published_at: parseInstant(first['ce-recordedtime'] ?? published),
    dead_lettered_at: publishTime,
    topic: attributes['ce-type'] ?? null,
    event_id: attributes['ce-id'] === undefined ? null : eventId(data),
    bytes: data.byteLength,
    message,
  };
}

/** The id of the message that was dead-lettered; empty where it is not known. */
export function sourceId({ attributes }: Message): string {
  return attributes[`${OURS}message_id`] ?? '';
}
