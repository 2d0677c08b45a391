import { Timestamp } from '@google-cloud/firestore';
import type { Clock } from '../clock.ts';
import type { StoreConfig } from '../config.ts';
import { epoch, type Instant } from '../heron/instant.ts';
import { Connection } from './connection.ts';
import type { RecoveryLedger, Settled } from './recovery.ts';
import { toInstant, toTimestamp } from './timestamp.ts';

const CALL_MS = 15_000;
/** Heron lists an attempt for 7 days: longer it need not be remembered. */
const KEPT_SECONDS = 14 * 86_400;

/** The ledger in Firestore: `recoveries/{attempt}`, which TTL deletes, and the mark in `upkeep/recover`. */
export class FirestoreRecoveryLedger implements RecoveryLedger {
  readonly #connection: Connection;
  readonly #clock: Clock;

  constructor(config: StoreConfig, clock: Clock) {
    this.#connection = new Connection(config, { callMs: CALL_MS });
    this.#clock = clock;
  }

  async mark(): Promise<Instant | null> {
    const snapshot = await this.#connection.call((db) => db.doc('upkeep/recover').get());
    const mark: unknown = snapshot.get('mark');
    return mark instanceof Timestamp ? toInstant(mark) : null;
  }

  async advance(to: Instant): Promise<void> {
    await this.#connection.write(async (db, transaction) => {
      const document = db.doc('upkeep/recover');
      const mark: unknown = (await transaction.get(document)).get('mark');
      const known = mark instanceof Timestamp ? toInstant(mark) : null;
      if (known === null || to > known) transaction.set(document, { mark: toTimestamp(to) });
    });
  }

  async settled(attemptIds: readonly string[]): Promise<ReadonlySet<string>> {
    if (attemptIds.length === 0) return new Set();
    const found = await this.#connection.call((db) =>
      db.getAll(...attemptIds.map((id) => db.doc(`recoveries/${id}`)), { fieldMask: ['as'] }),
    );
    return new Set(found.filter(({ exists }) => exists).map(({ id }) => id));
  }

  async settle(attemptId: string, as: Settled): Promise<void> {
    const { seconds } = epoch(this.#clock());
    const at = new Timestamp(seconds, 0);
    const expires_at = new Timestamp(seconds + KEPT_SECONDS, 0);
    await this.#connection.call((db) => db.doc(`recoveries/${attemptId}`).set({ as, at, expires_at }));
  }

  close(): Promise<void> {
    return this.#connection.close();
  }
}
