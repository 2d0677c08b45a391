/** Pages once through the log, 500 events at a time, and does nothing with them. Prints how many there were and how long it took. */
import { FieldPath, Firestore } from '@google-cloud/firestore';

const db = new Firestore();
const began = performance.now();
let events = 0;
const inOrder = db
  .collection('events')
  .orderBy('heron_id')
  .orderBy('created', 'desc')
  .orderBy(FieldPath.documentId(), 'desc');
for (let last; ; ) {
  const { docs } = await (last === undefined ? inOrder : inOrder.startAfter(last)).limit(500).get();
  events += docs.length;
  last = docs.at(-1);
  if (docs.length < 500) break;
}
console.log(JSON.stringify({ events, milliseconds: performance.now() - began }));
await db.terminate();
