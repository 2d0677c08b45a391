import { setTimeout as sleep } from 'node:timers/promises';
import {
  type DocumentData,
  type DocumentReference,
  type Firestore,
  Timestamp,
  type Transaction,
} from '@google-cloud/firestore';
import type { Clock } from '../clock.ts';
import type { StoreConfig } from '../config.ts';
import { FOLD_VERSION } from '../events/end-user.ts';
import { isTransient } from '../grpc.ts';
import { isHeronId } from '../heron/webhook.ts';
import { IncompleteBody } from './bodies.ts';
import { Connection } from './connection.ts';
import { checkpointDocument, endUserDocuments, endUserOf, type StateDocument, writtenState } from './documents.ts';
import { erase, forget, lift } from './erasure.ts';
import { readHistory } from './history.ts';
import { QUERIES } from './queries.ts';
import { toInstant } from './timestamp.ts';
import { toTombstone } from './tombstone.ts';
import { type Checkpoint, differencesOf, type Erased, type Recomputed, type Tombstone, type Upkeep } from './upkeep.ts';

/** A long history takes its time, and nobody waits as Pub/Sub does. */
const CALL_MS = 60_000;

const PATIENCE_MS = 60_000;
/** So many times a state is recomputed without a lock, and may be overtaken by an event. */
const FREE_ATTEMPTS = 5;

type Comparison = {
  readonly recomputed: Recomputed;
  readonly right: DocumentData | null;
  readonly updateTime: Timestamp | undefined;
};

/** Erasure and rebuilding in Firestore; what a rebuild has done is in `upkeep/rebuild`. */
export class FirestoreUpkeep implements Upkeep {
  readonly #connection: Connection;
  readonly #now: Clock;

  constructor(config: StoreConfig, now: Clock) {
    this.#connection = new Connection(config, { callMs: CALL_MS });
    this.#now = now;
  }

  forget(heronId: string, by: string) {
    return forget(this.#connection, this.#now, heronId, by);
  }

  async tombstone(heronId: string): Promise<Tombstone | null> {
    if (!isHeronId(heronId)) return null;
    const stored = (await this.#connection.call((db) => endUserDocuments(db).doc(heronId).get())).data();
    return stored?.kind === 'forgotten' ? toTombstone(stored.tombstone) : null;
  }

  erase(heronId: string): Promise<Erased> {
    return erase(this.#connection, heronId);
  }

  async lift(heronId: string): Promise<Tombstone | null> {
    if ((await this.tombstone(heronId)) === null) return null;
    while (!(await this.erase(heronId)).isOver);
    return lift(this.#connection, heronId);
  }

  async endUsers(after: string | null, size: number) {
    const known = await this.#connection.call((db) =>
      QUERIES.behind(db, after)
        .limit(size)
        .select()
        .get()
        .then(({ docs }) => docs.map(({ id }) => id)),
    );
    // Between any two of them others may be whose state is missing.
    const bounds = [after ?? '', ...known, null];
    const gaps = bounds.slice(0, known.length < size ? -1 : -2).map(async (from, i) => {
      const missing: string[] = [];
      for (let last = from; last !== null && missing.length <= size; ) {
        last = await this.#connection.call((db) => nextInLog(db, last ?? '', bounds[i + 1] ?? null));
        if (last !== null) missing.push(last);
      }
      return [...missing, ...known.slice(i, i + 1)];
    });
    const ids = (await Promise.all(gaps)).flat().slice(0, size);
    return { ids, next: ids.length < size ? null : (ids.at(-1) ?? null) };
  }

  async countEndUsers(after: string | null): Promise<number> {
    return (await this.#connection.call((db) => QUERIES.behind(db, after).count().get())).data().count;
  }

  async recompute(heronId: string, apply: boolean): Promise<Recomputed> {
    if (!isHeronId(heronId)) return { outcome: 'unknown' };
    const end = performance.now() + PATIENCE_MS;
    for (let attempt = 1; ; attempt++) {
      try {
        const locking = attempt > FREE_ATTEMPTS;
        const recomputed = await (locking ? this.#recomputeLocked(heronId, apply) : this.#recompute(heronId, apply));
        if (recomputed !== null) return recomputed;
      } catch (error) {
        if (performance.now() > end || !isTransient(error)) throw error;
        await sleep(Math.random() * Math.min(5_000, 50 * 2 ** attempt));
      }
    }
  }

  /**
   * Reads state and log at one moment, without a lock, so that no webhook waits for it; sets the state only where it is
   * still the one that was read, and with it the log: an event that counts changes both.
   * @returns null where it was not.
   */
  async #recompute(heronId: string, apply: boolean): Promise<Recomputed | null> {
    // Of a moment that is named: a read-only transaction whose begin fails is an unhandled rejection in the client.
    // Source: https://github.com/googleapis/google-cloud-node/issues/9122
    const { recomputed, right, updateTime } = await this.#connection.call(async (db) => {
      const { readTime } = await rawEndUser(db, heronId).get();
      return db.runTransaction((transaction) => compare(db, transaction, heronId), { readOnly: true, readTime });
    });
    if (right === null || !apply) return recomputed;
    return this.#connection.write(async (db, transaction) => {
      const { ref, updateTime: since } = await transaction.get(rawEndUser(db, heronId));
      if (since?.valueOf() !== updateTime?.valueOf()) return null;
      transaction.set(ref, right);
      return recomputed;
    });
  }

  /** For an end user whose events come faster than they can be read: now they wait. */
  async #recomputeLocked(heronId: string, apply: boolean): Promise<Recomputed> {
    return this.#connection.write(async (db, transaction) => {
      const { recomputed, right } = await compare(db, transaction, heronId);
      if (right !== null && apply) transaction.set(rawEndUser(db, heronId), right);
      return recomputed;
    });
  }

  async checkpoint(): Promise<Checkpoint | null> {
    return (await this.#connection.call((db) => checkpointDocument(db).get())).data() ?? null;
  }

  async saveCheckpoint(checkpoint: Checkpoint | null): Promise<void> {
    await this.#connection.call<unknown>((db) =>
      checkpoint === null ? checkpointDocument(db).delete() : checkpointDocument(db).set(checkpoint),
    );
  }

  close(): Promise<void> {
    return this.#connection.close();
  }
}

/** @returns also the right document, where the one that is there is not, and when that was written. */
async function compare(db: Firestore, transaction: Transaction, heronId: string): Promise<Comparison> {
  const snapshot = await transaction.get(rawEndUser(db, heronId));
  const { updateTime } = snapshot;
  const stored = snapshot.data();
  const ends = (recomputed: Recomputed) => ({ recomputed, right: null, updateTime });
  if (stored?.forgotten !== undefined) return ends({ outcome: 'forgotten' });
  if (Number(stored?.fold?.version) > FOLD_VERSION) return ends({ outcome: 'newer' });
  const known = stored === undefined ? null : endUserOf(stored as StateDocument);
  const { state, events, damaged } = await readHistory(db, transaction, heronId, known);
  if (events === 0) return ends({ outcome: stored === undefined ? 'unknown' : 'without_events' });
  if (state === null) return ends({ outcome: 'untimed' });
  if (damaged.length > 0 && known?.fold.version === FOLD_VERSION)
    throw new IncompleteBody(`The body of event ${damaged[0]} is not complete.`);
  const right = writtenState(state);
  const differences = differencesOf(stored === undefined ? null : content(stored), content(right));
  if (differences.length === 0) return ends({ outcome: 'right' });
  const fewerEvents = Number(stored?.event_count) > state.event_count;
  return { recomputed: { outcome: 'different', differences, fewerEvents }, right, updateTime };
}

/** As it is stored, whatever that may be: it is what may be wrong. */
function rawEndUser(db: Firestore, heronId: string): DocumentReference {
  return db.collection('end_users').doc(heronId);
}

/** The first end user in the log behind one and before another. */
async function nextInLog(db: Firestore, after: string, before: string | null): Promise<string | null> {
  const { docs } = await QUERIES.nextInLog(db, after, before).select('heron_id').limit(1).get();
  return docs[0]?.get('heron_id') ?? null;
}

/** The state, without when it was written. */
function content({ changed_at, ...state }: DocumentData): DocumentData {
  return plain(state);
}

/** As people read it: times as text. */
function plain(data: DocumentData): DocumentData {
  const readable = (value: unknown): unknown => {
    if (value instanceof Timestamp) return toInstant(value);
    return isMap(value) ? plain(value) : value;
  };
  return Object.fromEntries(Object.entries(data).map(([field, value]) => [field, readable(value)]));
}

function isMap(value: unknown): value is DocumentData {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}
