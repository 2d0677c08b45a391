import type { DocumentReference, Firestore, Query, Transaction } from '@google-cloud/firestore';
import type { Clock } from '../clock.ts';
import type { Connection } from './connection.ts';
import { endUserDocuments } from './documents.ts';
import { QUERIES } from './queries.ts';
import { MAX_SAME_ID } from './store.ts';
import { hashOf, type StoredTombstone, toTombstone, withErased } from './tombstone.ts';
import type { Erased, Shared, Tombstone } from './upkeep.ts';

/** A commit takes 10 MiB: so many events of 32 KiB at most, and so many chunks of 900 kB. */
const EVENTS_A_COMMIT = 100;
const CHUNKS_A_COMMIT = 10;

/** Puts a tombstone where the state was. From then on no append writes anything of the end user. */
export async function forget(connection: Connection, now: Clock, heronId: string, by: string) {
  return connection.write(async (db, transaction) => {
    const document = endUserDocuments(db).doc(heronId);
    const before = (await transaction.get(document)).data();
    if (before?.kind === 'forgotten') return { tombstone: toTombstone(before.tombstone), was: 'tombstone' as const };
    const ids = [before?.endUser.end_user_id ?? []].flat();
    const tombstone = { at: now(), by, events: 0, end_user_ids: ids.map(hashOf), unfinished: ids };
    transaction.set(document, { kind: 'forgotten', tombstone });
    return { tombstone: toTombstone(tombstone), was: before === undefined ? null : ('state' as const) };
  });
}

/**
 * Deletes what one transaction can. As no append writes behind a tombstone, what a transaction that reads it does not
 * find is gone for good. The ids that the end user's events named are on the tombstone before any of them is deleted,
 * as they are until nothing that names only them is left: so an erasure that was cut off goes on where it was.
 */
export async function erase(connection: Connection, heronId: string): Promise<Erased> {
  return connection.write(async (db, transaction) => {
    const document = endUserDocuments(db).doc(heronId);
    const stored = (await transaction.get(document)).data();
    if (stored?.kind !== 'forgotten') throw new Error(`${heronId} is not forgotten: nothing more was erased.`);
    const { tombstone } = stored;
    const change = (changes: Partial<StoredTombstone>) =>
      transaction.set(document, { kind: 'forgotten', tombstone: { ...tombstone, ...changes } });
    const some = ({ events = 0, bodies = 0 }): Erased => ({ events, bodies, isOver: false, shared: [] });

    // Those of events that were never recorded, too: by a field of their own, they are found no other way.
    const bodies = await eraseChunks(transaction, QUERIES.bodies(db, heronId));
    if (bodies !== null) return some({ bodies });

    const own = await transaction.get(raw(QUERIES.history(db, heronId, EVENTS_A_COMMIT, null)).select('end_user_id'));
    if (!own.empty) {
      const named = own.docs.map((event) => event.get('end_user_id') as string | null);
      for (const { ref } of own.docs) transaction.delete(ref);
      change(withErased(tombstone, named));
      return some({ events: own.size });
    }

    const shared: Shared[] = [];
    for (const id of tombstone.unfinished) {
      const others = await endUsersWith(db, transaction, id);
      if (others.length === 0) {
        const bodies = await eraseChunks(transaction, QUERIES.bodiesNaming(db, id));
        if (bodies !== null) return some({ bodies });
      }
      const naming = await transaction.get(raw(QUERIES.naming(db, id, EVENTS_A_COMMIT)).select());
      if (naming.empty) {
        change({ unfinished: tombstone.unfinished.filter((each) => each !== id) });
        return some({});
      }
      if (others.length === 0) {
        for (const { ref } of naming.docs) transaction.delete(ref);
        change({ events: tombstone.events + naming.size });
        return some({ events: naming.size });
      }
      shared.push({ end_user_id: id, heron_ids: others, event_ids: naming.docs.map((event) => event.id) });
    }
    return { events: 0, bodies: 0, isOver: true, shared };
  });
}

/** Takes the tombstone away, once all is erased. */
export async function lift(connection: Connection, heronId: string): Promise<Tombstone | null> {
  return connection.write(async (db, transaction) => {
    const document = endUserDocuments(db).doc(heronId);
    const stored = (await transaction.get(document)).data();
    if (stored?.kind !== 'forgotten') return null;
    transaction.delete(document);
    return toTombstone(stored.tombstone);
  });
}

/** Whether what names only this id is refused: it was that of an end user who is forgotten, and no other has it. */
export async function isErased(db: Firestore, transaction: Transaction, endUserId: string): Promise<boolean> {
  const tombstones = await transaction.get(QUERIES.tombstonesNaming(db, hashOf(endUserId)));
  return !tombstones.empty && (await endUsersWith(db, transaction, endUserId)).length === 0;
}

async function endUsersWith(db: Firestore, transaction: Transaction, endUserId: string): Promise<readonly string[]> {
  return (await transaction.get(raw(QUERIES.withId(db, endUserId, MAX_SAME_ID, null)).select())).docs.map(
    ({ id }) => id,
  );
}

/** @returns of how many bodies the last chunk was deleted, or null where there was none. */
async function eraseChunks(transaction: Transaction, query: Query): Promise<number | null> {
  const { docs } = await transaction.get(query.limit(CHUNKS_A_COMMIT + 1).select());
  if (docs.length === 0) return null;
  const erased = docs.slice(0, CHUNKS_A_COMMIT);
  for (const { ref } of erased) transaction.delete(ref);
  const ended = new Set(erased.map(eventOfChunk));
  // They come in the order of their names: this one has more of them.
  for (const next of docs.slice(CHUNKS_A_COMMIT)) ended.delete(eventOfChunk(next));
  return ended.size;
}

function eventOfChunk({ ref }: { readonly ref: DocumentReference }): string | undefined {
  return ref.parent.parent?.id;
}

/** Only names of documents are asked for, or single fields: nothing that could be converted. */
function raw(query: Query<unknown>): Query {
  return query.withConverter(null) as Query;
}
