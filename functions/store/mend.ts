import { FieldValue, type Firestore, type Transaction } from '@google-cloud/firestore';
import { foldInto } from './append.ts';
import { chunksOf, ownerOf } from './bodies.ts';
import { endUserDocuments, eventDocuments, readingFields } from './documents.ts';
import { isErased } from './erasure.ts';
import { counts } from './retention.ts';
import { MAX_INLINE_BYTES } from './store.ts';
import { withErased } from './tombstone.ts';
import { type Mended, type Misread, readingsOf } from './upkeep.ts';

/** In one transaction; each may have a dozen parts of its body that are named anew. */
export const MENDED_AT_ONCE = 20;

/**
 * Sets right what the log says of a few events of one end user, or of none, and folds those that it had for another into
 * the state. What names somebody who is forgotten is erased: today it would be refused.
 */
export async function mend(
  db: Firestore,
  transaction: Transaction,
  heronId: string | null,
  misread: readonly Misread[],
): Promise<Mended> {
  const found = heronId === null ? undefined : await transaction.get(endUserDocuments(db).doc(heronId));
  const stored = found?.data();
  const documents = misread.map(({ event }) => raw(db, event.event_id));
  const now = await transaction.getAll(...documents, { fieldMask: ['heron_id'] });
  // Not what was erased, or has expired, since it was read.
  const there = misread.flatMap((each, i) => (now[i]?.exists ? [{ ...each, was: now[i].get('heron_id') }] : []));
  const refused = stored?.kind === 'forgotten' ? there : heronId === null ? await erasedIn(db, transaction, there) : [];
  const kept = there.filter((each) => !refused.includes(each));
  const moved = kept.filter(({ was }) => was !== heronId);

  if (found !== undefined) {
    const counted = new Map(moved.map(({ event, ...times }) => [event, counts(event, times)]));
    await foldInto(db, transaction, found, [...counted.keys()], (event) => counted.get(event) ?? false);
  }
  if (found !== undefined && stored?.kind === 'forgotten') {
    const named = refused.map(({ event }) => event.end_user_id);
    transaction.set(found.ref, { ...stored, tombstone: withErased(stored.tombstone, named) });
  }
  for (const { event, bytes } of refused)
    for (const each of [raw(db, event.event_id), ...partsOf(db, event.event_id, bytes)]) transaction.delete(each);
  for (const { event, bytes } of kept) {
    transaction.update(raw(db, event.event_id), readingFields(readingsOf(event)));
    const { heron_id, end_user_id = FieldValue.delete() } = ownerOf(event);
    for (const part of partsOf(db, event.event_id, bytes)) transaction.update(part, { heron_id, end_user_id });
  }
  return { mended: there.length, moved: moved.length, erased: refused.length };
}

/** Those that name nobody but an id that is erased. */
async function erasedIn<M extends Misread>(
  db: Firestore,
  transaction: Transaction,
  misread: readonly M[],
): Promise<readonly M[]> {
  const erased = new Set<string>();
  for (const id of new Set(misread.flatMap(({ event }) => event.end_user_id ?? [])))
    if (await isErased(db, transaction, id)) erased.add(id);
  return misread.filter(({ event }) => event.end_user_id !== null && erased.has(event.end_user_id));
}

function raw(db: Firestore, eventId: string) {
  return eventDocuments(db).doc(eventId).withConverter(null);
}

function partsOf(db: Firestore, eventId: string, bytes: number) {
  return bytes > MAX_INLINE_BYTES ? chunksOf(db, eventId, bytes) : [];
}
