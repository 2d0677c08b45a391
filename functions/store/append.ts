import type { Firestore, QuerySnapshot, Transaction } from '@google-cloud/firestore';
import { type EndUser, FOLD_VERSION } from '../events/end-user.ts';
import { concernsEndUser, eventOf, type HeronEvent } from '../events/event.ts';
import { CODE, codeOf } from '../grpc.ts';
import type { Instant } from '../heron/instant.ts';
import { whyUnrouted } from '../heron/unrouted.ts';
import { haveBodies, readBody } from './bodies.ts';
import type { Connection } from './connection.ts';
import { endUserDocuments, eventDocuments, type Stored, type StoredEvent } from './documents.ts';
import { isErased } from './erasure.ts';
import { QUERIES } from './queries.ts';
import { type Appended, endUserOf, fold, MAX_INLINE_BYTES } from './store.ts';

/** When events are recorded, and when they may be deleted: null where the log keeps them for ever. */
export type Times = { readonly recorded_at: Instant; readonly expires_at: Instant | null };

const HISTORY_PAGE = 100;

/**
 * Records events and folds them into their end user's state, in one transaction. It creates the events, which fails all
 * of it where one exists: so each counts once, and none need be looked up.
 */
export async function appendEvents(
  connection: Connection,
  arrived: readonly HeronEvent[],
  times: Times,
): Promise<readonly Appended[]> {
  for (let lookUp = false; ; lookUp = true) {
    try {
      return await connection.write((db, transaction) => append(db, transaction, arrived, times, lookUp));
    } catch (error) {
      if (codeOf(error) !== CODE.ALREADY_EXISTS) throw error;
      if (arrived.length === 1) return ['duplicate'];
      // One at least is a duplicate, and Firestore does not say which: now they are looked up.
    }
  }
}

async function append(
  db: Firestore,
  transaction: Transaction,
  arrived: readonly HeronEvent[],
  times: Times,
  lookUp: boolean,
): Promise<readonly Appended[]> {
  const heronId = endUserOf(arrived);
  const idOnly = heronId === null ? (arrived[0]?.end_user_id ?? null) : null;
  const [stored, refused, known, complete] = await allEnded([
    heronId === null ? undefined : transaction.get(endUserDocuments(db).doc(heronId)).then((found) => found.data()),
    idOnly === null ? false : isErased(db, transaction, idOnly),
    lookUp ? recorded(db, transaction, arrived) : new Set<string>(),
    haveBodies(db, transaction, arrived),
  ]);
  if (refused || stored?.kind === 'forgotten') return arrived.map(() => 'forgotten');
  // Erased, and lifted at once, since they were written.
  if (!complete) throw new Error('Chunks of a body are gone that were there just now: the event must come again.');
  const fresh = arrived.filter(({ event_id }) => !known.has(event_id));
  if (heronId !== null && fresh.some(concernsEndUser)) {
    const endUser = fold(await currentState(db, transaction, heronId, stored), heronId, fresh);
    if (endUser !== null)
      transaction.set(endUserDocuments(db).doc(heronId), { kind: 'state', endUser, changed_at: times.recorded_at });
  }
  for (const event of fresh) transaction.create(eventDocuments(db).doc(event.event_id), storedEvent(event, times));
  return arrived.map((event) => (fresh.includes(event) ? 'appended' : 'duplicate'));
}

/** The state that the next event is folded into; one of another fold is recomputed from the log. */
async function currentState(
  db: Firestore,
  transaction: Transaction,
  heronId: string,
  stored: Stored | undefined,
): Promise<EndUser | null> {
  if (stored?.kind !== 'state') return null;
  if (stored.endUser.fold.version === FOLD_VERSION) return stored.endUser;
  return foldLog(db, transaction, heronId);
}

/** The state from the events that the log has now. */
export async function foldLog(db: Firestore, transaction: Transaction, heronId: string): Promise<EndUser | null> {
  let state: EndUser | null = null;
  let last: StoredEvent | null = null;
  do {
    const { docs }: QuerySnapshot<StoredEvent> = await transaction.get(
      QUERIES.history(db, heronId, HISTORY_PAGE, last),
    );
    for (const event of docs.map((snapshot) => snapshot.data())) {
      const body = event.body ?? (await readBody(db, event.event_id, event.bytes, transaction));
      state = fold(state, heronId, [eventOf(body, event.received_at)]);
      last = event;
    }
    if (docs.length < HISTORY_PAGE) last = null;
  } while (last !== null);
  return state;
}

/**
 * All results, or the first failure, once all have ended: a read that goes on when its transaction is over would be an
 * unhandled rejection in a client that is terminated.
 */
async function allEnded<const T extends readonly unknown[]>(work: T) {
  await Promise.allSettled(work);
  return Promise.all(work);
}

/** The ids of those events that the log has. */
async function recorded(
  db: Firestore,
  transaction: Transaction,
  arrived: readonly HeronEvent[],
): Promise<ReadonlySet<string>> {
  const documents = arrived.map(({ event_id }) => eventDocuments(db).doc(event_id));
  const found = await transaction.getAll(...documents, { fieldMask: ['bytes'] });
  return new Set(found.filter(({ exists }) => exists).map(({ id }) => id));
}

function storedEvent(event: HeronEvent, times: Times): StoredEvent {
  const { event_id, topic, created, received_at, heron_id, end_user_id, status, body } = event;
  const isInline = body.byteLength <= MAX_INLINE_BYTES;
  return {
    ...{ event_id, topic, created, received_at, heron_id, end_user_id, status },
    ...{ bytes: body.byteLength, body: isInline ? body : null, reason: whyUnrouted(event) },
    ...times,
  };
}
