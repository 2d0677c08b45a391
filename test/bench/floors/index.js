/**
 * What ours is measured against: functions as short as they can be written with Google's own packages, each with the
 * same effect as one of ours, and without any of its promises.
 */
import { http } from '@google-cloud/functions-framework';

/** The least that a request can cost here. */
http('bare', (_request, response) => {
  response.status(200).end();
});

if (process.env.FUNCTION_TARGET !== 'bare') {
  const { Firestore, Timestamp } = await import('@google-cloud/firestore');
  const { endUserDocument, eventDocument } = await import('./documents.js');
  const db = new Firestore();

  http('bare-query', async (request, response) => {
    const snapshot = await db.doc(`end_users/${request.path.split('/').at(-1)}`).get();
    response.json(snapshot.data());
  });

  http('bare-projector', async (request, response) => {
    const { data, attributes } = request.body.message;
    const body = Buffer.from(data, 'base64');
    const heronId = JSON.parse(body).data.heron_id;
    const endUser = db.doc(`end_users/${heronId}`);
    await db.runTransaction(async (transaction) => {
      (await transaction.get(endUser)).data();
      const at = Timestamp.now();
      transaction.set(endUser, endUserDocument(heronId, at));
      transaction.create(db.doc(`events/${attributes['ce-id']}`), eventDocument(heronId, at, body));
    });
    response.status(204).end();
  });
}

if (process.env.FUNCTION_TARGET === 'bare-ingest') {
  const { PubSub } = await import('@google-cloud/pubsub');
  const topic = new PubSub().topic('end_user.processed', { batching: { maxMilliseconds: 1 } });

  http('bare-ingest', async (request, response) => {
    const { createHash } = await import('node:crypto');
    const id = createHash('sha256').update(request.rawBody).digest('hex');
    await topic.publishMessage({ data: request.rawBody, attributes: { 'ce-id': id } });
    response.status(200).end();
  });
}
