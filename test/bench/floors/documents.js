/** Documents of as many fields as ours, of the same kinds and sizes: Firestore's cost, and its emulator's, goes by them. */
const ID = 'f'.repeat(64);
const KEY = `2026-11-26T10:53:33.689000Z|3|${ID}`;
const META = '{"n":"w4","padding":"xxxxxxxxxxxxxxxx"}';

export function endUserDocument(heronId, at) {
  return {
    ...{ heron_id: heronId, end_user_id: 'customer-0', status: 'processed', meta: META },
    ...{ review_required: false, failing: false, event_count: 5 },
    ...{ status_at: at, processed_at: at, failed_at: null, reviewed_at: null, changed_at: at },
    ...{ first_event_at: at, last_event_at: at, last_event: { id: ID, topic: 'end_user.processed', created: at } },
    fold: {
      version: 2,
      keys: { last_event: KEY, end_user_id: KEY, meta: KEY, carried_processed: KEY, meant_processed: KEY },
    },
  };
}

export function eventDocument(heronId, at, body) {
  return {
    ...{ topic: 'end_user.processed', heron_id: heronId, end_user_id: 'customer-0', status: 'processed' },
    ...{ bytes: body.length, body, created: at, received_at: at, recorded_at: at },
  };
}
