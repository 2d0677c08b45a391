import { setTimeout as sleep } from 'node:timers/promises';
import { Firestore, type Transaction } from '@google-cloud/firestore';
import type { StoreConfig } from '../config.ts';
import { Unprocessable } from '../events/event.ts';
import { CODE, codeOf, isTransient } from '../grpc.ts';
import { DirectClient } from './direct.ts';
import { Way } from './way.ts';

const READ_MS = 5_000;
const COMMIT_MS = 10_000;

/** Between attempts at a transaction: twice as long each time, from the first to the last. */
const FIRST_PAUSE_MS = 500;
const LAST_PAUSE_MS = 4_000;
/** Who is asked for less must not come back at once. */
const EXHAUSTED_PAUSE_MS = 1_000;

/** While somebody watches, the way is tried so often, which costs a read each time. */
const WATCH_MS = 5_000;
/** The client tries a read five times, in more than 8 s, before it says why it failed. */
const PROBE_MS = 10_000;
/** Something small, which need not be there. */
const PROBE = 'upkeep/probe';

/**
 * By itself the client waits 60 s for a commit and 300 s for a read, each time, and tries for 600 s: what nobody waits
 * for any more shall end soon. Commits are retried as whole transactions, see {@link Connection.write}.
 */
const clientConfig = (readMs: number, commitMs = COMMIT_MS) => ({
  interfaces: {
    'google.firestore.v1.Firestore': {
      retry_codes: { none: [] },
      methods: {
        BatchGetDocuments: { timeout_millis: readMs },
        RunQuery: { timeout_millis: readMs },
        RunAggregationQuery: { timeout_millis: readMs },
        Commit: { timeout_millis: commitMs, retry_codes_name: 'none' },
        Rollback: { timeout_millis: COMMIT_MS, retry_codes_name: 'none' },
      },
    },
  },
});

const CHANNEL_OPTIONS = {
  // Otherwise clients of one process share their connection, and one that takes another's place would get the same.
  'grpc.use_local_subchannel_pool': 1,
  // gRPC's own back-off grows to two minutes: Firestore may be back long before.
  'grpc.max_reconnect_backoff_ms': 5_000,
  // A way that is dead under calls and watches is noticed, and opened anew. As often as Bigtable's client does it.
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
};

/** What goes on until it is stopped. */
type Watch = { readonly events: WatchEvents; stop: () => void };

export type WatchEvents = {
  /** @returns what ends it. @param failed to be called where it cannot go on: then it ends by itself. */
  readonly begin: (db: Firestore, failed: (error: unknown) => void) => () => void;
  readonly onFailure: (error: unknown) => void;
  /** Changes may happen unseen, until it begins anew. */
  readonly onBlind?: () => void;
};

export type WriteOptions<T> = {
  /** Is tried first, and once: null where it takes the transaction. */
  readonly directly?: (client: DirectClient) => Promise<T | null>;
  /** Is called before an attempt that follows one which others were faster than. */
  readonly makeRoom?: () => Promise<void>;
};

export type ConnectionOptions = {
  /** After this a call is given up. */
  readonly callMs: number;
  /** After this a read is begun again. */
  readonly readMs?: number;
  /** How often the way is tried while somebody watches, and how long an answer may take. */
  readonly watchMs?: number;
  readonly probeMs?: number;
};

/** Firestore, and what is watched there. What is written directly goes a way of its own. */
export class Connection {
  readonly #callMs: number;
  readonly #watchMs: number;
  readonly #firestore: Way<Firestore>;
  readonly #direct: Way<DirectClient>;
  readonly #watches = new Set<Watch>();
  #watchman: NodeJS.Timeout | null = null;
  /** Nothing is watched, although somebody wants it: there is no way to Firestore. */
  #isBlind = false;

  constructor(
    config: StoreConfig,
    { callMs, readMs = READ_MS, watchMs = WATCH_MS, probeMs = PROBE_MS }: ConnectionOptions,
  ) {
    this.#callMs = callMs;
    this.#watchMs = watchMs;
    this.#firestore = new Way(
      {
        open: () => new Firestore({ ...config, clientConfig: clientConfig(readMs), ...CHANNEL_OPTIONS }),
        ask: (db) => db.doc(PROBE).get(),
        close: (db) => db.terminate(),
      },
      { callMs, probeMs },
      () => this.#watchAnew(),
    );
    this.#direct = new Way(
      {
        open: () => new DirectClient(config, { clientConfig: clientConfig(callMs, callMs), ...CHANNEL_OPTIONS }),
        ask: (client) => client.read(PROBE),
        close: (client) => client.close(),
      },
      { callMs, probeMs },
    );
  }

  /**
   * Makes a call, and gives up when it takes too long. What is on its way may still arrive.
   * @param signal ends it before its time: the caller has no more.
   */
  call<T>(begin: (db: Firestore) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#firestore.call(begin, this.#callMs, () => tooLate(this.#callMs), signal);
  }

  /**
   * A transaction that writes, tried again where that may help: what failed last is what this fails with.
   * @throws Unprocessable where Firestore refuses what is written, as it would every time.
   */
  async write<T>(
    work: (db: Firestore, transaction: Transaction) => Promise<T>,
    { directly, makeRoom = async () => {} }: WriteOptions<T> = {},
  ): Promise<T> {
    const end = performance.now() + this.#callMs;
    const left = () => end - performance.now();
    let failure: unknown;
    const late = () => failure ?? tooLate(this.#callMs);
    for (let attempt = 0; ; attempt++) {
      let written = false;
      const once = async (db: Firestore, transaction: Transaction): Promise<T> => {
        const result = await work(db, transaction);
        written = true;
        return result;
      };
      try {
        if (directly !== undefined && attempt === 0) {
          const result = await this.#direct.call(directly, left(), late);
          if (result !== null) return result;
        }
        return await this.#firestore.call(
          (db) => db.runTransaction((transaction) => once(db, transaction), { maxAttempts: 1 }),
          left(),
          late,
        );
      } catch (error) {
        if (written && isRefused(error)) throw new Unprocessable('Firestore refuses the event', { cause: error });
        if (!isTransient(error) && !hasExpired(error)) throw error;
        failure = error;
        const pause = pauseAfter(error, attempt);
        if (pause >= left()) throw error;
        await sleep(pause);
        if (codeOf(error) === CODE.ABORTED) await makeRoom();
      }
    }
  }

  /** Watches until it is stopped, anew where the connection is replaced. */
  watch(events: WatchEvents): () => void {
    if (this.#firestore.isClosed) throw new Error('The store is closed.');
    const watch: Watch = { events, stop: () => {} };
    this.#watches.add(watch);
    if (this.#isBlind) queueMicrotask(() => this.#watches.has(watch) && events.onBlind?.());
    else this.#begin(watch);
    this.#watchman ??= setTimeout(() => this.#lookOut(), this.#watchMs);
    return () => {
      if (this.#watches.delete(watch)) watch.stop();
    };
  }

  /** How many watches there are. */
  get watching(): number {
    return this.#watches.size;
  }

  async close(): Promise<void> {
    for (const watch of this.#watches) watch.stop(); // a client that is listened to refuses to end
    this.#watches.clear();
    if (this.#watchman !== null) clearTimeout(this.#watchman);
    await Promise.all([this.#firestore.close(), this.#direct.close()]);
  }

  /** A connection that is frozen tells its watches nothing, for minutes: while somebody watches, it is tried. */
  async #lookOut(): Promise<void> {
    this.#watchman = null;
    if (this.#firestore.isClosed || this.#watches.size === 0) return;
    const answer = await this.#firestore.probe((known) => {
      if (known !== 'yes') this.#goBlind();
    });
    if (this.#firestore.isClosed) return;
    if (answer === 'yes' && this.#isBlind) {
      this.#isBlind = false;
      for (const watch of this.#watches) this.#begin(watch);
    }
    this.#watchman = setTimeout(() => this.#lookOut(), this.#watchMs);
  }

  #goBlind(): void {
    if (this.#isBlind) return;
    this.#isBlind = true;
    for (const { stop, events } of [...this.#watches]) {
      stop();
      events.onBlind?.();
    }
  }

  #begin(watch: Watch): void {
    watch.stop = watch.events.begin(this.#firestore.client, (error) => {
      if (this.#watches.delete(watch)) watch.events.onFailure(error);
    });
  }

  /** The client that they were on was replaced. */
  #watchAnew(): void {
    if (this.#isBlind) return;
    for (const watch of this.#watches) {
      watch.stop();
      this.#begin(watch);
    }
  }
}

function tooLate(milliseconds: number): Error {
  const details = `Firestore did not answer within ${milliseconds} ms.`;
  return Object.assign(new Error(details), { code: CODE.DEADLINE_EXCEEDED, details });
}

/** A transaction that Firestore has ended has this code as well: that is not the fault of what it writes. */
function isRefused(error: unknown): boolean {
  return codeOf(error) === CODE.INVALID_ARGUMENT && !hasExpired(error);
}

/** After a time, or to end a deadlock. In Firestore's words, and in its emulator's. */
function hasExpired(error: unknown): boolean {
  return /transaction (has expired|is invalid or (closed|expired))/i.test(String(error));
}

function pauseAfter(error: unknown, attempt: number): number {
  const least = codeOf(error) === CODE.RESOURCE_EXHAUSTED ? EXHAUSTED_PAUSE_MS : FIRST_PAUSE_MS;
  return Math.min(LAST_PAUSE_MS, least * 2 ** attempt) * (0.5 + Math.random() / 2);
}
