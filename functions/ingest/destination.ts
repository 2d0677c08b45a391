import { UNROUTED } from '../bus/topology.ts';
import { isHeronTopic } from '../heron/topics.ts';
import type { Webhook } from '../heron/webhook.ts';

/** Where an event is published. */
export type Destination = {
  readonly topic: string;
  /** Why that is not the topic which the webhook names; null where it is. */
  readonly why: string | null;
};

/** An event's own topic, where Heron documents it and the body is of the documented shape; else `unrouted`. */
export function destinationOf({ topic, undocumented }: Pick<Webhook, 'topic' | 'undocumented'>): Destination {
  if (undocumented !== null || topic === null) return unrouted(undocumented ?? 'it names no topic');
  if (!isHeronTopic(topic)) return unrouted('Heron does not document the topic');
  return { topic, why: null };
}

export function unrouted(why: string): Destination {
  return { topic: UNROUTED, why };
}
