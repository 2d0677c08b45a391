/**
 * The store's work without a projector: for each event one document got, one set and one created, of the same fields and
 * sizes as ours; 20 transactions at once, and over one end user one after another, as at once they only abort each
 * other. `node transactions.js EVENTS END_USERS [EVENTS END_USERS …]`; prints a line of JSON for each pair.
 */
import { randomUUID } from 'node:crypto';
import { Firestore, Timestamp } from '@google-cloud/firestore';
import { endUserDocument, eventDocument } from './documents.js';

const db = new Firestore();
const pairs = process.argv.slice(2).map(Number);
const BODY = Buffer.alloc(200, 'x');

async function run(events, endUsers) {
  const left = Array.from({ length: events }, (_, n) => n);
  const worker = async () => {
    for (let n = left.pop(); n !== undefined; n = left.pop()) {
      const endUser = db.doc(`end_users/eus_floor${n % endUsers}`);
      await db.runTransaction(async (transaction) => {
        (await transaction.get(endUser)).data();
        const at = Timestamp.now();
        transaction.set(endUser, endUserDocument(endUser.id, at));
        transaction.create(db.doc(`events/${randomUUID()}`), eventDocument(endUser.id, at, BODY));
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
