/**
 * The store's work without a projector: for each event one document got, one set and one created, of the same fields and
 * sizes as ours; 20 transactions at once, and over one end user one after another, as at once they only abort each
 * other. `node transactions.js EVENTS END_USERS [EVENTS END_USERS …]`; prints a line of JSON for each pair.
 */
import { randomUUID } from 'node:crypto';
import { Firestore, Timestamp } from '@google-cloud/firestore';

const db = new Firestore();
const pairs = process.argv.slice(2).map(Number);
const BODY = Buffer.alloc(200, 'x');
const ID = 'f'.repeat(64);
const KEY = `2026-11-26T10:53:33.689000Z|3|${ID}`;
const META = '{"n":"w4","padding":"xxxxxxxxxxxxxxxx"}';

function endUserDocument(heronId, at) {
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

function eventDocument(heronId, at) {
  return {
    ...{ topic: 'end_user.processed', heron_id: heronId, end_user_id: 'customer-0', status: 'processed' },
    ...{ bytes: BODY.length, body: BODY, created: at, received_at: at, recorded_at: at },
  };
}

async function run(events, endUsers) {
  const left = Array.from({ length: events }, (_, n) => n);
  const worker = async () => {
    for (let n = left.pop(); n !== undefined; n = left.pop()) {
      const endUser = db.doc(`end_users/eus_floor${n % endUsers}`);
      await db.runTransaction(async (transaction) => {
        (await transaction.get(endUser)).data();
        const at = Timestamp.now();
        transaction.set(endUser, endUserDocument(endUser.id, at));
        transaction.create(db.doc(`events/${randomUUID()}`), eventDocument(endUser.id, at));
      });
    }
  };
  const [cpu, began] = [process.cpuUsage(), performance.now()];
  await Promise.all(Array.from({ length: Math.min(20, endUsers) }, worker));
  const seconds = (performance.now() - began) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { rate: events / seconds, cpu: (user + system) / events };
}

for (let i = 0; i < pairs.length; i += 2) console.log(JSON.stringify(await run(pairs[i], pairs[i + 1])));
await db.terminate();
