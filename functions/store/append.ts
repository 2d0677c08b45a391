import type { Firestore, Transaction } from '@google-cloud/firestore';
import { NewerFold } from '../events/carry-over.ts';
import { type EndUser, FOLD_VERSION } from '../events/end-user.ts';
import { concernsEndUser, type HeronEvent } from '../events/event.ts';
import { CODE, codeOf } from '../grpc.ts';
import type { Instant } from '../heron/instant.ts';
import { whyUnrouted } from '../heron/unrouted.ts';
import { haveBodies } from './bodies.ts';
import type { Connection } from './connection.ts';
import { endUserDocuments, eventDocuments, type Stored, type StoredEvent } from './documents.ts';
import { isErased } from './erasure.ts';
import { broughtUpToDate } from './history.ts';
import { counts } from './retention.ts';
import { type Appended, endUserOf, fold, MAX_INLINE_BYTES } from './store.ts';

/** When events are recorded, and when each may be deleted: null where the log keeps it for ever. */
export type Times = { readonly recorded_at: Instant; readonly expiresAt: (event: HeronEvent) => Instant | null };

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
    const before = await currentState(db, transaction, stored);
    const { recorded_at, expiresAt } = times;
    const endUser = fold(before, heronId, fresh, (event) =>
      counts(event, { recorded_at, expires_at: expiresAt(event) }),
    );
    if (endUser !== null)
      transaction.set(endUserDocuments(db).doc(heronId), { kind: 'state', endUser, changed_at: recorded_at });
  }
  for (const event of fresh) transaction.create(eventDocuments(db).doc(event.event_id), storedEvent(event, times));
  return arrived.map((event) => (fresh.includes(event) ? 'appended' : 'duplicate'));
}

/**
 * The state that the next event is folded into. One of an older fold is brought up to date; one of a newer fold is left
 * alone: a newer version is being rolled out, and takes the message when it comes again.
 */
async function currentState(
  db: Firestore,
  transaction: Transaction,
  stored: Stored | undefined,
): Promise<EndUser | null> {
  if (stored?.kind !== 'state') return null;
  const { version } = stored.endUser.fold;
  if (version > FOLD_VERSION) throw new NewerFold(version);
  return version === FOLD_VERSION ? stored.endUser : broughtUpToDate(db, transaction, stored.endUser);
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

function storedEvent(event: HeronEvent, { recorded_at, expiresAt }: Times): StoredEvent {
  const { event_id, topic, created, received_at, heron_id, end_user_id, status, body } = event;
  const isInline = body.byteLength <= MAX_INLINE_BYTES;
  return {
    ...{ event_id, topic, created, received_at, heron_id, end_user_id, status },
    ...{ bytes: body.byteLength, body: isInline ? body : null, reason: whyUnrouted(event) },
    ...{ recorded_at, expires_at: expiresAt(event) },
  };
}
