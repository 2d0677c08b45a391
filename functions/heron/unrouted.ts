import { isCanary } from './canary.ts';
import { isHeronTopic } from './topics.ts';
import type { Webhook } from './webhook.ts';

/**
 * Why a webhook has no place of its own, by what its body says: nobody subscribes to its topic, it is not what Heron
 * documents, or it is about an end user and does not say which. Null where it has one.
 */
export function whyUnrouted(webhook: Pick<Webhook, 'topic' | 'undocumented' | 'heron_id'>): string | null {
  const { topic, undocumented, heron_id } = webhook;
  if (undocumented !== null) return undocumented;
  if (isCanary(webhook)) return null;
  if (topic === null || !isHeronTopic(topic)) return 'Heron does not document the topic';
  return topic.startsWith('end_user.') && heron_id === null ? 'it does not say which end user it is about' : null;
}
