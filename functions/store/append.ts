import type { DocumentSnapshot, Firestore, Timestamp, Transaction } from '@google-cloud/firestore';
import { NewerFold } from '../events/carry-over.ts';
import { type EndUser, FOLD_VERSION } from '../events/end-user.ts';
import { concernsEndUser, type HeronEvent, type ReadEvent } from '../events/event.ts';
import { CODE, codeOf } from '../grpc.ts';
import type { Instant } from '../heron/instant.ts';
import { whyUnrouted } from '../heron/unrouted.ts';
import { haveBodies, inLog } from './bodies.ts';
import type { Connection } from './connection.ts';
import type { DirectClient } from './direct.ts';
import {
  type EndUserDocument,
  endUserDocuments,
  endUserFields,
  endUserPath,
  eventDocuments,
  eventFields,
  eventPath,
  type Rebuilding,
  type Stored,
  type StoredEvent,
  storedOf,
} from './documents.ts';
import { isErased } from './erasure.ts';
import { broughtUpToDate } from './history.ts';
import { counts } from './retention.ts';
import { type Appended, endUserOf, fold, MAX_INLINE_BYTES } from './store.ts';
import { toInstant } from './timestamp.ts';
import { UnknownKind } from './values.ts';

/** A rebuild has so long for its last step on a state that events come to without a pause; they wait meanwhile. */
const HOLD_MS = 3_000;
/** Firestore can be asked for what was an hour ago: a rebuild that reads for longer cannot end. */
const MAX_REBUILDING_MS = 3_600_000;

/** When events are recorded, and when each may be deleted: null where the log keeps it for ever. */
export type Times = { readonly recorded_at: Instant; readonly expiresAt: (event: HeronEvent) => Instant | null };

/**
 * Records events and folds them into their end user's state, all or nothing. It creates the events, which fails all of it
 * where one exists: so each counts once, and none need be looked up.
 */
export async function appendEvents(
  connection: Connection,
  arrived: readonly HeronEvent[],
  times: Times,
): Promise<readonly Appended[]> {
  for (let lookUp = false; ; lookUp = true) {
    try {
      return await connection.write((db, transaction) => append(db, transaction, arrived, times, lookUp), {
        ...(lookUp ? {} : { directly: (client) => appendDirectly(client, arrived, times) }),
      });
    } catch (error) {
      if (codeOf(error) !== CODE.ALREADY_EXISTS) throw error;
      if (arrived.length === 1) return ['duplicate'];
      // One at least is a duplicate, and Firestore does not say which: now they are looked up.
    }
  }
}

/**
 * What nearly every event takes: its end user's state read, and one commit of the next with the events, which Firestore
 * takes where the state is still the one that was read. No transaction outlives a process here, and holds others up.
 * @returns null where it takes more than that, or was refused: a transaction tells why, and what to do.
 */
async function appendDirectly(
  client: DirectClient,
  arrived: readonly HeronEvent[],
  times: Times,
): Promise<readonly Appended[] | null> {
  const heronId = endUserOf(arrived);
  if (heronId === null || arrived.some((event) => !concernsEndUser(event) || !isInline(event))) return null;
  const path = endUserPath(heronId);
  let stored: Stored | undefined;
  try {
    const found = await client.read(path);
    stored = found && storedOf(found.data as EndUserDocument);
    if (stored?.kind === 'forgotten') return arrived.map(() => 'forgotten');
    if (stored !== undefined && !isAlone(stored)) return null;
    const endUser = fold(stored?.endUser ?? null, heronId, arrived, countedAt(times));
    if (endUser === null) return null;
    const state = endUserFields({ kind: 'state', endUser, changed_at: times.recorded_at });
    await client.commit([
      { path, data: state, replaces: found?.version ?? null },
      ...arrived.map((event) => ({
        path: eventPath(event.event_id),
        data: eventFields(storedEvent(event, times)),
        replaces: null,
      })),
    ]);
    return arrived.map(() => 'appended');
  } catch (error) {
    // Where there was no state either may exist: an event, or a state that others have written meanwhile.
    const isEither = codeOf(error) === CODE.ALREADY_EXISTS && stored === undefined;
    if (isEither || UNTOLD.has(codeOf(error)) || error instanceof UnknownKind) return null;
    throw error;
  }
}

/** The state was written by others meanwhile; or something is wrong with the request, whosoever's fault that is. */
const UNTOLD: ReadonlySet<number | undefined> = new Set([CODE.FAILED_PRECONDITION, CODE.INVALID_ARGUMENT]);

/** No rebuild is at work on it, and no new fold is to be. */
function isAlone({ endUser, rebuilding, held_at }: Extract<Stored, { kind: 'state' }>): boolean {
  return endUser.fold.version === FOLD_VERSION && rebuilding === undefined && held_at === undefined;
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
  const [found, refused, known, complete] = await allEnded([
    heronId === null ? undefined : transaction.get(endUserDocuments(db).doc(heronId)),
    idOnly === null ? false : isErased(db, transaction, idOnly),
    lookUp
      ? inLog(
          db,
          transaction,
          arrived.map(({ event_id }) => event_id),
        )
      : new Set<string>(),
    haveBodies(db, transaction, arrived),
  ]);
  const stored = found?.data();
  if (refused || stored?.kind === 'forgotten') return arrived.map(() => 'forgotten');
  if (isHeld(stored, found?.readTime)) throw new Held();
  // Erased, and lifted at once, since they were written.
  if (!complete) throw new Error('Chunks of a body are gone that were there just now: the event must come again.');
  const fresh = arrived.filter(({ event_id }) => !known.has(event_id));
  if (found !== undefined) {
    await foldInto(db, transaction, found, fresh, countedAt(times));
  }
  for (const event of fresh) transaction.create(eventDocuments(db).doc(event.event_id), storedEvent(event, times));
  return arrived.map((event) => (fresh.includes(event) ? 'appended' : 'duplicate'));
}

/** Sets the state after events that the log did not have before, of which some may not concern the end user. */
export async function foldInto<E extends ReadEvent>(
  db: Firestore,
  transaction: Transaction,
  found: DocumentSnapshot<Stored>,
  events: readonly E[],
  counts: (event: E) => boolean,
): Promise<void> {
  if (!events.some(concernsEndUser)) return;
  const { id: heronId, ref, readTime } = found;
  const stored = found.data();
  const endUser = fold(await currentState(db, transaction, stored), heronId, events, counts);
  const since = rebuildingIn(stored, readTime);
  const rebuilding = since && { ...since, arrived: fold(since.arrived, heronId, events, counts) };
  const changed_at = toInstant(readTime);
  if (endUser !== null) transaction.set(ref, { kind: 'state', endUser, changed_at, rebuilding });
}

/** A rebuild that is under way, and may still end. */
export function rebuildingIn(stored: Stored | undefined, now: Timestamp): Rebuilding | undefined {
  if (stored?.kind !== 'state' || stored.rebuilding === undefined) return undefined;
  const { since, arrived } = stored.rebuilding;
  const isOld = now.toMillis() - since.toMillis() > MAX_REBUILDING_MS;
  const isOther = arrived !== null && arrived.fold.version !== FOLD_VERSION;
  return isOld || isOther ? undefined : stored.rebuilding;
}

/** By Firestore's own clock alone. */
function isHeld(stored: Stored | undefined, now: Timestamp | undefined): boolean {
  if (stored?.kind !== 'state' || stored.held_at === undefined || now === undefined) return false;
  return now.toMillis() - stored.held_at.toMillis() < HOLD_MS;
}

/** A rebuild takes its last step: in a moment there is room again. */
class Held extends Error {
  override readonly name = 'Held';
  readonly code = CODE.ABORTED;
  constructor() {
    super('A rebuild of this end user takes its last step.');
  }
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

/** Whether an event adds to its end user's count that is recorded at these times. */
function countedAt({ recorded_at, expiresAt }: Times): (event: HeronEvent) => boolean {
  return (event) => counts(event, { recorded_at, expires_at: expiresAt(event) });
}

function isInline({ body }: HeronEvent): boolean {
  return body.byteLength <= MAX_INLINE_BYTES;
}

function storedEvent(event: HeronEvent, { recorded_at, expiresAt }: Times): StoredEvent {
  const { event_id, topic, created, received_at, heron_id, end_user_id, status, body } = event;
  return {
    ...{ event_id, topic, created, received_at, heron_id, end_user_id, status },
    ...{ bytes: body.byteLength, body: isInline(event) ? body : null, reason: whyUnrouted(event) },
    ...{ recorded_at, expires_at: expiresAt(event) },
  };
}
