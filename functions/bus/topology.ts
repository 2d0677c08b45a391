import { CANARY_TOPIC } from '../heron/canary.ts';
import { HERON_TOPICS } from '../heron/topics.ts';
import delivery from './delivery.json' with { type: 'json' };

/** How subscriptions deliver; Terraform reads the same file. Times in seconds. */
export const DELIVERY: Readonly<Record<keyof typeof delivery, number>> = delivery;

/** Where ingest publishes what has no topic of its own. */
export const UNROUTED = 'unrouted';

/** All that ingest publishes to: the last is for what `heron doctor` sends, and the projector's alone. */
const INGESTED: readonly string[] = [...HERON_TOPICS, UNROUTED, CANARY_TOPIC];

/** What Pub/Sub calls the topic of a subscription whose topic is gone: it gets nothing any more. */
export const DELETED_TOPIC = '_deleted-topic_';

/** Where a subscriber's messages end that it could never process. */
export function deadLetterTopic(subscriber: string): string {
  return `dead-letter.${subscriber}`;
}

/** Where redrives and replays are published that are for one subscriber alone. */
export function replayTopic(subscriber: string): string {
  return `replay.${subscriber}`;
}

export type Topology = { readonly topics: readonly string[]; readonly subscriptions: readonly SubscriptionPlan[] };

export type SubscriptionPlan = {
  readonly name: string;
  readonly topic: string;
  /** Absent for the dead letters' subscription, which people pull from. */
  readonly push?: PushPlan;
  /** Which messages it takes, by their attributes; all unless given. The in-memory twin applies none. */
  readonly filter?: string;
};

export type PushPlan = {
  readonly endpoint: string;
  readonly deadLetterTopic: string;
  /** The body as it is, and the attributes as headers: a CloudEvent over HTTP. */
  readonly unwrapped?: true;
};

/** What Terraform provisions for a subscriber, of all that ingest publishes to unless some are named, as data; names without prefix. */
export function topology(
  subscriber: string,
  endpoint: string,
  { sources = INGESTED, filter, ...how }: { sources?: readonly string[]; filter?: string; unwrapped?: true } = {},
): Topology {
  const deadLetters = deadLetterTopic(subscriber);
  const replay = replayTopic(subscriber);
  const push = { endpoint, deadLetterTopic: deadLetters, ...how };
  return {
    topics: [...sources, deadLetters, replay],
    subscriptions: [
      { name: deadLetters, topic: deadLetters },
      ...sources.map((topic) => ({ name: `${subscriber}.${topic}`, topic, push, ...(filter && { filter }) })),
      { name: replay, topic: replay, push },
    ],
  };
}
