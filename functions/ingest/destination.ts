import { UNROUTED } from '../bus/topology.ts';
import { isCanary } from '../heron/canary.ts';
import { isHeronTopic } from '../heron/topics.ts';
import type { Webhook } from '../heron/webhook.ts';

/** Where an event is published. */
export type Destination = {
  readonly topic: string;
  /** Why that is not the topic which the webhook names; null where it is. */
  readonly why: string | null;
};

/** An event's own topic, where Heron documents it (or it is the canary) and the body is of the documented shape; else `unrouted`. */
export function destinationOf(webhook: Pick<Webhook, 'topic' | 'heron_id' | 'undocumented'>): Destination {
  const { topic, undocumented } = webhook;
  if (undocumented !== null || topic === null) return unrouted(undocumented ?? 'it names no topic');
  if (!isHeronTopic(topic) && !isCanary(webhook)) return unrouted('Heron does not document the topic');
  return { topic, why: null };
}

export function unrouted(why: string): Destination {
  return { topic: UNROUTED, why };
}
