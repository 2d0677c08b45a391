import type { QuerySnapshot } from '@google-cloud/firestore';
import type { EndUser } from '../events/end-user.ts';
import { changedAt, type Stored } from './documents.ts';

/**
 * What changed between one snapshot of the end users that changed last and the next: they, in the order in which they
 * changed, or null where others may have
 * changed as well and nobody can tell which.
 * @param size how many are watched.
 */
export function changesIn(snapshot: QuerySnapshot<Stored>, size: number): readonly EndUser[] | null {
  const changes = snapshot.docChanges();
  // A snapshot has new ones before known ones, each the last that changed first.
  const changed = changes
    .filter(({ type }) => type !== 'removed')
    .map(({ doc }) => doc)
    .sort((a, b) => (changedAt(a).valueOf() < changedAt(b).valueOf() ? -1 : 1))
    .map((doc) => doc.data());
  // All that are watched are new: others may have been pushed out before they were seen.
  if (changed.length >= size) return null;
  // One that left without being pushed out by newer ones was forgotten.
  const oldest = snapshot.docs[size - 1];
  const left = changes.filter(({ type }) => type === 'removed').map(({ doc }) => doc);
  const isPushedOut = (doc: (typeof left)[number]) =>
    oldest !== undefined && changedAt(doc).valueOf() <= changedAt(oldest).valueOf();
  return left.every(isPushedOut) ? changed.flatMap((each) => (each.kind === 'state' ? [each.endUser] : [])) : null;
}
