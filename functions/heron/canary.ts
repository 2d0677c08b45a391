import type { Webhook } from './webhook.ts';

/**
 * Ours, not Heron's: the topic by which `heron doctor` sends a signed webhook through the whole path, and whom it is
 * about. Heron's own ids are longer. No list, no statistics and no stream shows that end user.
 */
export const CANARY_TOPIC = 'doctor.canary';
export const CANARY_ID = 'eus_canary';

/**
 * Whether a webhook is doctor's. One of this topic about anybody else is what any other is of a topic that Heron does
 * not document.
 */
export function isCanary({ topic, heron_id }: Pick<Webhook, 'topic' | 'heron_id'>): boolean {
  return topic === CANARY_TOPIC && heron_id === CANARY_ID;
}
