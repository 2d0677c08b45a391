// A service as its own team writes it: nothing but the package heron-events, Google's clients and Google's framework.
import { Firestore } from '@google-cloud/firestore';
import { http } from '@google-cloud/functions-framework';
import { Discard, subscriber } from 'heron-events';
import { nodeHandler } from 'heron-events/node';
import { once } from 'heron-events/once-firestore';
import { deadLetters } from 'heron-events/pull';

const { NAME = 'underwriting', TAKES_REVIEWS } = process.env;
const db = new Firestore();

/**
 * Counts an event of its end user, and pays for what is processed, but not again for the past. It only adds: an event
 * that is handled twice, or half, leaves a wrong sum.
 */
async function count(event, { transaction, replay }) {
  const ref = db.collection(NAME).doc(event.data.heron_id);
  const { paid = 0, ...counts } = (await transaction.get(ref)).data() ?? {};
  const pays = event.topic === 'end_user.processed' && replay === undefined;
  transaction.set(ref, { ...counts, [event.topic]: (counts[event.topic] ?? 0) + 1, paid: pays ? paid + 1 : paid });
}

export const service = subscriber(() => {
  throw new Discard('a topic that this service has not asked for');
})
  .on('end_user.processed', once(db), count)
  .on('end_user.failed', once(db), count)
  .on('end_user.reviewed', once(db), async (event, context) => {
    if (TAKES_REVIEWS === undefined) throw new Discard('reviews are not taken yet');
    await count(event, context);
  });

// An event whose process has died in it is free again five seconds after these.
http(NAME, nodeHandler(service, { deadLetter: deadLetters(), timeoutSeconds: 8 }));
