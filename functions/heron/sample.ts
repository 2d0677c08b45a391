import { hash } from 'node:crypto';
import type { JsonObject } from './json.ts';
import { statusMeantBy } from './status.ts';
import { isHeronId } from './webhook.ts';

/**
 * A made-up webhook in the documented shape.
 * @param endUser a heron_id, or a customer's own id, for which a heron_id is made that is always the same.
 * @param created milliseconds since the epoch, and any number of microseconds past them: another one, another webhook.
 */
export function sampleWebhook(topic: string, endUser: string, created: number, microseconds = 0): JsonObject {
  const heronId = isHeronId(endUser) ? endUser : `eus_${digest(endUser)}`;
  const ids = { end_user_id: isHeronId(endUser) ? `customer-${endUser.slice(4, 12)}` : endUser };
  const time = new Date(created + Math.floor(microseconds / 1000)).toISOString().slice(0, -1);
  return {
    topic,
    created: `${time}${String(microseconds % 1000).padStart(3, '0')}`,
    data: dataOf(topic, heronId, ids),
    meta: null,
  };
}

function dataOf(topic: string, heronId: string, ids: JsonObject): JsonObject {
  const [resource = ''] = topic.split('.');
  if (resource === 'end_user') {
    const meant = topic === 'end_user.review_required' ? 'review_requested' : statusMeantBy(topic);
    return { heron_id: heronId, ...ids, status: meant ?? 'processed' };
  }
  const endUser = { end_user_heron_id: heronId, ...ids };
  if (topic === 'transactions.deleted') return { ...endUser, transactions: [{ heron_id: `txn_${digest(heronId)}` }] };
  return { heron_id: `${resource.slice(0, 3)}_${digest(`${resource} of ${heronId}`)}`, ...endUser };
}

/** 22 letters and digits, as Heron's ids have. */
function digest(text: string): string {
  return hash('sha256', text, 'base64')
    .replaceAll(/[^A-Za-z0-9]/g, '')
    .slice(0, 22);
}
