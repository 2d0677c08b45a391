import { type Instant, rfc3339 } from '../heron/instant.ts';
import type { Message } from './message.ts';

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

/** What the attributes of a dead letter say, whether its subscriber gave it up or Pub/Sub did; null what they do not. */
export type Told = {
  readonly reason: string | null;
  readonly subscriber: string | null;
  readonly messageId: string | null;
  readonly publishTime: string | null;
  readonly subscription: string | null;
  readonly deliveries: string | null;
};

/** Pub/Sub's limits. Source: https://cloud.google.com/pubsub/quotas#resource_limits */
const MAX_ATTRIBUTES = 100;
const MAX_VALUE_BYTES = 1024;
/** What we add to a dead letter's attributes begins with this. */
const OURS = 'dead_letter_';
/** Source: https://cloud.google.com/pubsub/docs/handling-failures#track-delivery-attempts */
const GOOGLES = 'CloudPubSubDeadLetterSource';

/** The message with the cause in attributes beside its own, of which so many are kept as Pub/Sub takes. */
export function toDeadLetter(message: Message, cause: Cause): Message {
  const { subscriber, reason, messageId, publishTime, subscription, deliveryAttempt } = cause;
  const why = {
    [`${OURS}reason`]: shortened(reason) || 'no reason given',
    [`${OURS}subscriber`]: subscriber,
    ...(messageId && { [`${OURS}message_id`]: messageId }),
    ...(publishTime && { [`${OURS}publish_time`]: rfc3339(publishTime) }),
    ...(subscription && { [`${OURS}subscription`]: subscription }),
    ...(deliveryAttempt && { [`${OURS}deliveries`]: String(deliveryAttempt) }),
  };
  const own = Object.entries(withoutCause(message).attributes).slice(0, MAX_ATTRIBUTES - Object.keys(why).length);
  return { data: message.data, attributes: { ...Object.fromEntries(own), ...why } };
}

/** The message as its subscriber got it. */
export function withoutCause({ data, attributes }: Message): Message {
  const own = Object.entries(attributes).filter(([key]) => !key.startsWith(OURS) && !key.startsWith(GOOGLES));
  return { data, attributes: Object.fromEntries(own) };
}

/** What is said of why it is one. */
export function toldBy({ attributes }: Message): Told {
  const ours = (name: string) => attributes[`${OURS}${name}`] ?? null;
  const googles = (name: string) => attributes[`${GOOGLES}${name}`] ?? null;
  return {
    reason: ours('reason'),
    subscriber: ours('subscriber'),
    messageId: ours('message_id'),
    publishTime: ours('publish_time') ?? googles('TopicPublishTime'),
    subscription: ours('subscription') ?? googles('Subscription'),
    deliveries: ours('deliveries') ?? googles('DeliveryCount'),
  };
}

/** As much of it as an attribute holds, cut between characters. */
function shortened(text: string): string {
  const bytes = new TextEncoder().encode(text);
  return new TextDecoder().decode(bytes.subarray(0, MAX_VALUE_BYTES), { stream: true });
}
