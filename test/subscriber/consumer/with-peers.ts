// The entries that need a peer, type-checked and loaded beside it.
import { Firestore } from '@google-cloud/firestore';
import { PubSub } from '@google-cloud/pubsub';
import { subscriber } from 'heron-events';
import { nodeHandler } from 'heron-events/node';
import { once } from 'heron-events/once-firestore';
import { deadLetters, pull } from 'heron-events/pull';

const db = new Firestore({ projectId: 'none' });
const pubsub = new PubSub({ projectId: 'none' });
const service = subscriber(() => {}).on('end_user.processed', once(db), async (event, { transaction }) => {
  transaction.set(db.collection('seen').doc(event.id), { at: event.created });
});
nodeHandler(service, { deadLetter: deadLetters(pubsub) });
console.log(typeof pull);
