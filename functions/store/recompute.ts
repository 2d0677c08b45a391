import { type DocumentSnapshot, FieldValue, type Timestamp } from '@google-cloud/firestore';
import { type EndUser, FOLD_VERSION, merge } from '../events/end-user.ts';
import { CODE, codeOf } from '../grpc.ts';
import { rebuildingIn } from './append.ts';
import { IncompleteBody } from './bodies.ts';
import type { Connection } from './connection.ts';
import { differencesFrom } from './differences.ts';
import { endUserDocuments, endUserOf, rawEndUser, type StateDocument } from './documents.ts';
import { type ReadAtOnce, readHistory } from './history.ts';
import type { Recomputed } from './upkeep.ts';

/** What was begun is swept away only where an older program writes the state, or another rebuild ends first. */
const MOST_ATTEMPTS = 5;

/** Where a state and the log are compared. */
export type Place = {
  readonly connection: Connection;
  readonly heronId: string;
  /** Reads at a moment that is named. */
  readonly readAt: (moment: Timestamp) => ReadAtOnce;
};

/** State and log at one moment. */
type Look = {
  readonly recomputed: Recomputed;
  /** What the state should be: null where there should be none, undefined where it must stay as it is. */
  readonly right: EndUser | null | undefined;
  readonly moment: Timestamp;
  /** When the state that was seen was written; undefined where there was none. */
  readonly writtenAt: Timestamp | undefined;
};

/**
 * Compares state and log at one moment, without a lock, so that no webhook waits for it; sets the state where it is
 * still the one that was seen, and with it the log: an event that counts changes both. Where one has come meanwhile,
 * those that come from then on are folded apart as well, beside the state, and are added to what the log said until
 * then: so it ends, however long the history is and however fast events come.
 */
export async function recompute(place: Place, now: Timestamp, apply: boolean): Promise<Recomputed> {
  let look = await lookAt(place, now);
  if (!apply || look.recomputed.outcome === 'right') return look.recomputed;
  for (let attempt = 1; look.right !== undefined; attempt++) {
    const since = await put(place, look);
    if (since === null) break;
    if (attempt === MOST_ATTEMPTS) throw new Error(`The state was written by others ${attempt} times`);
    look = await lookAt(place, since);
  }
  return look.recomputed;
}

/**
 * A transaction on an end user for whom events may come without a pause. One that was overtaken has them wait a moment:
 * who is far from Firestore would be too late every time.
 */
export function insist<T>(
  { connection, heronId }: Omit<Place, 'readAt'>,
  work: Parameters<typeof connection.write<T>>[0],
): Promise<T> {
  const makeRoom = async () => {
    try {
      await connection.call((db) => rawEndUser(db, heronId).update({ held_at: FieldValue.serverTimestamp() }));
    } catch (error) {
      if (codeOf(error) !== CODE.NOT_FOUND) throw error;
    }
  };
  return connection.write(work, { makeRoom });
}

/** Sets the right state. @returns null; or where it cannot yet, the moment to look at next. */
function put(place: Place, { right, moment, writtenAt }: Look): Promise<Timestamp | null> {
  return insist(place, async (db, transaction) => {
    const found = await transaction.get(endUserDocuments(db).doc(place.heronId));
    const stored = found.data();
    const set = (endUser: EndUser | null | undefined) => {
      if (endUser) transaction.set(found.ref, { kind: 'state', endUser, changed_at: endUser.last_event_at });
      else transaction.delete(found.ref);
      return null;
    };
    if (found.updateTime?.valueOf() === writtenAt?.valueOf()) return set(right);
    const rebuilding = rebuildingIn(stored, found.readTime);
    if (rebuilding?.since.valueOf() === moment.valueOf()) {
      const { arrived } = rebuilding;
      return set(right && arrived ? merge(right, arrived) : (right ?? arrived));
    }
    if (stored?.kind === 'forgotten' && found.get('held_at')) transaction.set(found.ref, stored);
    if (stored?.kind !== 'state' || stored.endUser.fold.version > FOLD_VERSION) return found.readTime;
    if (rebuilding !== undefined) return rebuilding.since;
    transaction.update(found.ref.withConverter(null), {
      rebuilding: { since: found.readTime, arrived: null },
      held_at: FieldValue.delete(),
    });
    return found.readTime;
  });
}

async function lookAt({ heronId, readAt }: Place, moment: Timestamp): Promise<Look> {
  const read = readAt(moment);
  const snapshot: DocumentSnapshot = await read((db, transaction) => transaction.get(rawEndUser(db, heronId)));
  const stored = snapshot.data();
  const look = (recomputed: Recomputed, right?: EndUser | null): Look => {
    return { recomputed, right, moment, writtenAt: snapshot.updateTime };
  };
  if (stored?.forgotten !== undefined) return look({ outcome: 'forgotten' });
  if (Number(stored?.fold?.version) > FOLD_VERSION) return look({ outcome: 'newer' });
  const known = stored === undefined ? null : endUserOf(stored as StateDocument);
  const { state, events, damaged, isElsewhere } = await readHistory(read, heronId, known, 1); // many are recomputed at a time
  if (events === 0 && !isElsewhere) return look({ outcome: stored === undefined ? 'unknown' : 'without_events' });
  if (state === null && !isElsewhere) return look({ outcome: 'untimed' });
  if (damaged !== null && known?.fold.version === FOLD_VERSION)
    throw new IncompleteBody(`The body of event ${damaged} is not complete.`);
  const differences = differencesFrom(stored ?? null, state);
  if (differences.length === 0) return look({ outcome: 'right' }, state);
  const fewerEvents = Number(stored?.event_count) > (state?.event_count ?? 0);
  return look({ outcome: 'different', differences, fewerEvents }, state);
}
