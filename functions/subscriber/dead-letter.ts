import type { Delivery } from './message.ts';

/** A message that its subscriber gave up, as it goes to its dead letters. */
export type DeadLetter = {
  /** `dead-letter.NAME`, prefix and all: the subscription that delivered it says whose dead letters they are. */
  readonly topic: string;
  readonly data: Uint8Array;
  /** Those that it came with, and the cause. */
  readonly attributes: Readonly<Record<string, string>>;
  /** Ends when there is no time left for it. */
  readonly signal: AbortSignal;
};

/** Publishes a dead letter; resolves once Pub/Sub has it. {@link deadLetters} of `heron-events/pull` makes one. */
export type SendDeadLetter = (letter: DeadLetter) => Promise<void>;

/** Pub/Sub's limits. Source: https://cloud.google.com/pubsub/quotas#resource_limits */
const MAX_ATTRIBUTES = 100;
const MAX_VALUE_BYTES = 1024;
const OURS = 'dead_letter_';
/** Source: https://cloud.google.com/pubsub/docs/handling-failures#track-delivery-attempts */
const GOOGLES = 'CloudPubSubDeadLetterSource';

/** The attributes of a dead letter: its own, of which so many are kept as Pub/Sub takes, and why it is one. */
export function deadLetterAttributes(delivery: Delivery, subscriber: string, reason: string): Record<string, string> {
  const { attributes, messageId, publishTime, subscription, attempt } = delivery;
  const cause = {
    [`${OURS}reason`]: shortened(reason) || 'no reason given',
    [`${OURS}subscriber`]: subscriber,
    ...(messageId && { [`${OURS}message_id`]: messageId }),
    ...(publishTime && { [`${OURS}publish_time`]: publishTime }),
    ...(subscription && { [`${OURS}subscription`]: subscription }),
    ...(attempt && { [`${OURS}deliveries`]: String(attempt) }),
  };
  const own = Object.entries(attributes)
    .filter(([key]) => !key.startsWith(OURS) && !key.startsWith(GOOGLES))
    .slice(0, MAX_ATTRIBUTES - Object.keys(cause).length);
  return { ...Object.fromEntries(own), ...cause };
}

/** As much of it as an attribute holds, cut between characters. */
function shortened(text: string): string {
  const bytes = new TextEncoder().encode(text);
  return new TextDecoder().decode(bytes.subarray(0, MAX_VALUE_BYTES), { stream: true });
}
