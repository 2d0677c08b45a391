import { Firestore, type Transaction } from '@google-cloud/firestore';
import type { StoreConfig } from '../config.ts';
import { within } from '../deadline.ts';
import { Unprocessable } from '../events/event.ts';
import { CODE, codeOf } from '../grpc.ts';

/** The client pauses 1, 1.5, 2.3 and 3.4 s between five attempts: a sixth would seldom end before nobody waits for it. */
const MAX_ATTEMPTS = 5;
/** What is on its way when all shall end has this long, of the 8 s that a function has for it. */
const CLOSE_MS = 5_000;

/**
 * By itself the client waits 60 s for a commit and 300 s for a read, each time, and tries for 600 s: what nobody waits
 * for any more shall end soon. Commits are retried as whole transactions, by `Transaction`, which knows what may be.
 */
const CLIENT_CONFIG = {
  interfaces: {
    'google.firestore.v1.Firestore': {
      retry_codes: { none: [] },
      methods: {
        BatchGetDocuments: { timeout_millis: 5_000 },
        RunQuery: { timeout_millis: 5_000 },
        RunAggregationQuery: { timeout_millis: 5_000 },
        Commit: { timeout_millis: 10_000, retry_codes_name: 'none' },
        Rollback: { timeout_millis: 10_000, retry_codes_name: 'none' },
      },
    },
  },
};

/** gRPC's own back-off grows to two minutes: Firestore may be back long before. */
const CHANNEL_OPTIONS = { 'grpc.max_reconnect_backoff_ms': 5_000 };

/** A client, and the calls that it has not ended yet, whether anybody waits for them or not. */
type Client = { readonly db: Firestore; readonly calls: Set<Promise<unknown>> };

/** What goes on until it is stopped. */
type Watch = { readonly begin: (db: Firestore) => () => void; stop: () => void };

/** The way to Firestore, on which every call ends in time, and which is replaced when it falls silent. */
export class Connection {
  readonly #config: StoreConfig;
  readonly #callMs: number;
  readonly #watches = new Set<Watch>();
  /** None once it is closed. */
  #client: Client | null;

  /** @param callMs after this a call is given up. */
  constructor(config: StoreConfig, callMs: number) {
    this.#config = config;
    this.#callMs = callMs;
    this.#client = this.#connect();
  }

  /**
   * Makes a call, and gives up when it takes too long: the connection is then taken for half-open, which neither gRPC
   * nor TCP notices for minutes, and later calls get a new one. What is on its way on the old one may still arrive.
   */
  async call<T>(begin: (db: Firestore) => Promise<T>): Promise<T> {
    const client = this.#client;
    if (client === null) throw new Error('The store is closed.');
    const call = begin(client.db);
    client.calls.add(call);
    const done = () => client.calls.delete(call);
    call.then(done, done);
    return within(this.#callMs, call, () => {
      this.#replace(client);
      const details = `Firestore did not answer within ${this.#callMs} ms.`;
      throw Object.assign(new Error(details), { code: CODE.DEADLINE_EXCEEDED, details });
    });
  }

  /** A transaction that writes. @throws Unprocessable where Firestore refuses what is written, as it would every time. */
  async write<T>(work: (db: Firestore, transaction: Transaction) => Promise<T>): Promise<T> {
    const end = performance.now() + this.#callMs;
    let written = false;
    const attempt = async (db: Firestore, transaction: Transaction): Promise<T> => {
      written = false;
      if (performance.now() > end) throw new Error('Nobody waits for this any more.');
      const result = await work(db, transaction);
      written = true;
      return result;
    };
    try {
      return await this.call((db) =>
        db.runTransaction((transaction) => attempt(db, transaction), { maxAttempts: MAX_ATTEMPTS }),
      );
    } catch (error) {
      // The code is also that of a transaction which was idle for long, and of reads: neither is the event's fault.
      const refused =
        written && codeOf(error) === CODE.INVALID_ARGUMENT && !/transaction has expired/.test(String(error));
      throw refused ? new Unprocessable('Firestore refuses the event', { cause: error }) : error;
    }
  }

  /** Begins to listen, and anew where the client is replaced. @param begin returns what ends it; so does this. */
  watch(begin: (db: Firestore) => () => void): () => void {
    if (this.#client === null) throw new Error('The store is closed.');
    const watch: Watch = { begin, stop: begin(this.#client.db) };
    this.#watches.add(watch);
    return () => {
      if (this.#watches.delete(watch)) watch.stop();
    };
  }

  /** What is still on its way after a while is left to itself. */
  async close(): Promise<void> {
    for (const watch of this.#watches) watch.stop(); // a client that is listened to refuses to end
    this.#watches.clear();
    const client = this.#client;
    this.#client = null;
    if (client !== null) await within(CLOSE_MS, disconnect(client), () => {});
  }

  /** Only the first of many calls that missed their time on a client replaces it. */
  #replace(client: Client): void {
    if (this.#client !== client) return;
    this.#client = this.#connect();
    for (const watch of this.#watches) {
      watch.stop();
      watch.stop = watch.begin(this.#client.db);
    }
    disconnect(client).catch(() => {});
  }

  #connect(): Client {
    const db = new Firestore({ ...this.#config, clientConfig: CLIENT_CONFIG, ...CHANNEL_OPTIONS });
    return { db, calls: new Set() };
  }
}

/** Only when its calls have ended: one that the terminated client would retry is an unhandled rejection in there. */
async function disconnect({ db, calls }: Client): Promise<void> {
  await Promise.allSettled(calls);
  await db.terminate();
}
