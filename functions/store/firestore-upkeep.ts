import { setTimeout as sleep } from 'node:timers/promises';
import type { Firestore } from '@google-cloud/firestore';
import type { Clock } from '../clock.ts';
import type { StoreConfig } from '../config.ts';
import { isTransient } from '../grpc.ts';
import { isHeronId } from '../heron/webhook.ts';
import { Connection } from './connection.ts';
import { checkpointDocument, endUserDocuments, rawEndUser } from './documents.ts';
import { erase, forget, lift } from './erasure.ts';
import { MENDED_AT_ONCE, mend } from './mend.ts';
import { QUERIES } from './queries.ts';
import { insist, type Place, recompute } from './recompute.ts';
import { allOf, everything, survey } from './survey.ts';
import { toTombstone } from './tombstone.ts';
import type {
  Checkpoint,
  Erased,
  LogPlace,
  Mended,
  Misread,
  Recomputed,
  Stretch,
  Tombstone,
  Upkeep,
} from './upkeep.ts';

/** A long history takes its time, and nobody waits as Pub/Sub does. */
const CALL_MS = 60_000;

const PATIENCE_MS = 60_000;
/** Pages of the log are megabytes, and who reads them may be far away. */
const READ_MS = 30_000;

/** Erasure and rebuilding in Firestore; what a rebuild has done is in `upkeep/rebuild`. */
export class FirestoreUpkeep implements Upkeep {
  readonly #connection: Connection;
  readonly #now: Clock;

  constructor(config: StoreConfig, now: Clock) {
    this.#connection = new Connection(config, { callMs: CALL_MS, readMs: READ_MS });
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

  survey(after: LogPlace | null): AsyncIterable<Stretch> {
    return survey((read) => this.#patiently(read), everything(after));
  }

  async *surveyOne(heronId: string): AsyncGenerator<Stretch> {
    if (isHeronId(heronId)) yield* survey((read) => this.#patiently(read), allOf(heronId));
  }

  async eventsBehind(place: LogPlace | null): Promise<number> {
    return (await this.#patiently((db) => QUERIES.log(db, place).count().get())).data().count;
  }

  async mend(misread: readonly Misread[]): Promise<Mended> {
    let all: Mended = { mended: 0, moved: 0, erased: 0 };
    const heronId = misread[0]?.event.heron_id ?? null;
    for (let from = 0; from < misread.length; from += MENDED_AT_ONCE) {
      const some = misread.slice(from, from + MENDED_AT_ONCE);
      const { mended, moved, erased } = await (heronId === null
        ? this.#connection.write((db, transaction) => mend(db, transaction, null, some))
        : insist({ connection: this.#connection, heronId }, (db, transaction) => mend(db, transaction, heronId, some)));
      all = { mended: all.mended + mended, moved: all.moved + moved, erased: all.erased + erased };
    }
    // What names only an id that a forgotten end user is known by now.
    if (heronId !== null && all.erased > 0) while (!(await this.erase(heronId)).isOver);
    return all;
  }

  async recompute(heronId: string, apply: boolean): Promise<Recomputed> {
    if (!isHeronId(heronId)) return { outcome: 'unknown' };
    const { readTime } = await this.#patiently((db) => rawEndUser(db, heronId).get());
    const place: Place = {
      connection: this.#connection,
      heronId,
      // Of a moment that is named: a read-only transaction whose begin fails is an unhandled rejection in the client.
      // Source: https://github.com/googleapis/google-cloud-node/issues/9122
      readAt: (moment) => (read) =>
        this.#patiently((db) =>
          db.runTransaction((transaction) => read(db, transaction), { readOnly: true, readTime: moment }),
        ),
    };
    return recompute(place, readTime, apply);
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

  /** A read that is tried again while that may help. */
  async #patiently<T>(read: (db: Firestore) => Promise<T>): Promise<T> {
    const end = performance.now() + PATIENCE_MS;
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#connection.call(read);
      } catch (error) {
        if (performance.now() > end || !isTransient(error)) throw error;
        await sleep(Math.random() * Math.min(5_000, 50 * 2 ** attempt));
      }
    }
  }
}
