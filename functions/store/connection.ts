import { setTimeout as sleep } from 'node:timers/promises';
import { Firestore, type Transaction } from '@google-cloud/firestore';
import type { StoreConfig } from '../config.ts';
import { within } from '../deadline.ts';
import { Unprocessable } from '../events/event.ts';
import { CODE, codeOf, isTransient } from '../grpc.ts';

/** What is on its way when all shall end has this long, of the 8 s that a function has for it. */
const CLOSE_MS = 5_000;

const READ_MS = 5_000;

/** Between attempts at a transaction: twice as long each time, from the first to the last. */
const FIRST_PAUSE_MS = 500;
const LAST_PAUSE_MS = 4_000;
/** Who is asked for less must not come back at once. */
const EXHAUSTED_PAUSE_MS = 1_000;

/** While somebody watches, the way is tried so often, which costs a read each time. */
const WATCH_MS = 5_000;
/** The client tries a read five times, in more than 8 s, before it says why it failed. */
const PROBE_MS = 10_000;
/** So long it may try to listen; where it is terminated meanwhile, that ends in an unhandled rejection. */
const LISTEN_MS = 15_000;

/**
 * By itself the client waits 60 s for a commit and 300 s for a read, each time, and tries for 600 s: what nobody waits
 * for any more shall end soon. Commits are retried as whole transactions, see {@link Connection.write}.
 */
const clientConfig = (readMs: number) => ({
  interfaces: {
    'google.firestore.v1.Firestore': {
      retry_codes: { none: [] },
      methods: {
        BatchGetDocuments: { timeout_millis: readMs },
        RunQuery: { timeout_millis: readMs },
        RunAggregationQuery: { timeout_millis: readMs },
        Commit: { timeout_millis: 10_000, retry_codes_name: 'none' },
        Rollback: { timeout_millis: 10_000, retry_codes_name: 'none' },
      },
    },
  },
});

const CHANNEL_OPTIONS = {
  // gRPC's own back-off grows to two minutes: Firestore may be back long before.
  'grpc.max_reconnect_backoff_ms': 5_000,
  // A way that is dead under calls and watches is noticed, and opened anew. As often as Bigtable's client does it.
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
};

/** A client, and the calls that it has not ended yet, whether anybody waits for them or not. */
type Client = { readonly db: Firestore; readonly calls: Set<Promise<unknown>>; probe: Promise<Answer> | null };

/** Whether Firestore answers: `refused`: there is no way to it, as gRPC knows, which looks for one by itself. */
type Answer = 'yes' | 'refused' | 'silent';

/** What goes on until it is stopped. */
type Watch = { readonly events: WatchEvents; stop: () => void };

export type WatchEvents = {
  /** @returns what ends it. @param failed to be called where it cannot go on: then it ends by itself. */
  readonly begin: (db: Firestore, failed: (error: unknown) => void) => () => void;
  readonly onFailure: (error: unknown) => void;
  /** Changes may happen unseen, until it begins anew. */
  readonly onBlind?: () => void;
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

/**
 * The way to Firestore, on which every call ends in time, and which is replaced where it falls silent: a half-open
 * connection, which neither gRPC nor TCP notices for long. Slow is not silent: only where a second, small call has no
 * answer either is there nobody at the other end.
 */
export class Connection {
  readonly #config: StoreConfig;
  readonly #callMs: number;
  readonly #readMs: number;
  readonly #watchMs: number;
  readonly #probeMs: number;
  readonly #watches = new Set<Watch>();
  #watchman: NodeJS.Timeout | null = null;
  /** Nothing is watched, although somebody wants it: there is no way to Firestore. */
  #isBlind = false;
  /** None once it is closed. */
  #client: Client | null;

  constructor(
    config: StoreConfig,
    { callMs, readMs = READ_MS, watchMs = WATCH_MS, probeMs = PROBE_MS }: ConnectionOptions,
  ) {
    this.#config = config;
    this.#callMs = callMs;
    this.#readMs = readMs;
    this.#watchMs = watchMs;
    this.#probeMs = probeMs;
    this.#client = this.#connect();
  }

  /**
   * Makes a call, and gives up when it takes too long. What is on its way may still arrive.
   * @param signal ends it before its time: the caller has no more.
   */
  call<T>(begin: (db: Firestore) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#call(begin, this.#callMs, signal, () => tooLate(this.#callMs));
  }

  /**
   * A transaction that writes, tried again where that may help: what failed last is what this fails with.
   * @param makeRoom is called before an attempt that follows one which others were faster than.
   * @throws Unprocessable where Firestore refuses what is written, as it would every time.
   */
  async write<T>(
    work: (db: Firestore, transaction: Transaction) => Promise<T>,
    makeRoom: () => Promise<void> = async () => {},
  ): Promise<T> {
    const end = performance.now() + this.#callMs;
    let failure: unknown;
    for (let attempt = 0; ; attempt++) {
      const left = end - performance.now();
      let written = false;
      const once = async (db: Firestore, transaction: Transaction): Promise<T> => {
        const result = await work(db, transaction);
        written = true;
        return result;
      };
      try {
        return await this.#call(
          (db) => db.runTransaction((transaction) => once(db, transaction), { maxAttempts: 1 }),
          left,
          undefined,
          () => failure ?? tooLate(this.#callMs),
        );
      } catch (error) {
        if (written && isRefused(error)) throw new Unprocessable('Firestore refuses the event', { cause: error });
        if (!isTransient(error) && !hasExpired(error)) throw error;
        failure = error;
        const pause = pauseAfter(error, attempt);
        if (performance.now() + pause >= end) throw error;
        await sleep(pause);
        if (codeOf(error) === CODE.ABORTED) await makeRoom();
      }
    }
  }

  /** Watches until it is stopped, anew where the connection is replaced. */
  watch(events: WatchEvents): () => void {
    if (this.#client === null) throw new Error('The store is closed.');
    const watch: Watch = { events, stop: () => {} };
    this.#watches.add(watch);
    if (this.#isBlind) queueMicrotask(() => this.#watches.has(watch) && events.onBlind?.());
    else this.#begin(watch, this.#client);
    this.#watchman ??= setTimeout(() => this.#lookOut(), this.#watchMs);
    return () => {
      if (this.#watches.delete(watch)) watch.stop();
    };
  }

  /** How many watches there are. */
  get watching(): number {
    return this.#watches.size;
  }

  /** What is still on its way after a while is left to itself. */
  async close(): Promise<void> {
    for (const watch of this.#watches) watch.stop(); // a client that is listened to refuses to end
    this.#watches.clear();
    if (this.#watchman !== null) clearTimeout(this.#watchman);
    const client = this.#client;
    this.#client = null;
    if (client !== null) await within(CLOSE_MS, disconnect(client), () => {});
  }

  async #call<T>(
    begin: (db: Firestore) => Promise<T>,
    milliseconds: number,
    signal: AbortSignal | undefined,
    late: () => unknown,
  ): Promise<T> {
    const client = this.#client;
    if (client === null) throw new Error('The store is closed.');
    signal?.throwIfAborted();
    const call = tracked(client, begin(client.db));
    let isSilent = false;
    const suspicion = setTimeout(
      async () => {
        isSilent = true;
        isSilent = (await this.#probe(client)) === 'silent';
      },
      (this.#callMs * 2) / 3,
    );
    const aborted = Promise.withResolvers<never>();
    const abort = () => aborted.reject(signal?.reason);
    signal?.addEventListener('abort', abort);
    try {
      return await within(milliseconds, signal === undefined ? call : Promise.race([call, aborted.promise]), () => {
        if (isSilent) this.#replace(client);
        throw late();
      });
    } finally {
      clearTimeout(suspicion);
      signal?.removeEventListener('abort', abort);
    }
  }

  #probe(client: Client): Promise<Answer> {
    const ask = () => tracked(client, client.db.collection('upkeep').doc('probe').get());
    client.probe ??= within(this.#probeMs, answerOf(ask()), (): Answer => 'silent').finally(() => {
      client.probe = null;
    });
    return client.probe;
  }

  /** A connection that is frozen tells its watches nothing, for minutes: while somebody watches, it is tried. */
  async #lookOut(): Promise<void> {
    this.#watchman = null;
    const client = this.#client;
    if (client === null || this.#watches.size === 0) return;
    const answer = await this.#probe(client);
    if (this.#client === null) return;
    if (answer !== 'yes') this.#goBlind();
    if (answer === 'silent') this.#replace(client);
    if (answer === 'yes' && this.#isBlind) {
      this.#isBlind = false;
      for (const watch of this.#watches) this.#begin(watch, this.#client);
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

  #begin(watch: Watch, { db }: Client): void {
    watch.stop = watch.events.begin(db, (error) => {
      if (this.#watches.delete(watch)) watch.events.onFailure(error);
    });
  }

  /** Only the first of many calls that missed their time on a client replaces it. */
  #replace(client: Client): void {
    if (this.#client !== client) return;
    const replacement = this.#connect();
    this.#client = replacement;
    if (!this.#isBlind)
      for (const watch of this.#watches) {
        watch.stop();
        this.#begin(watch, replacement);
      }
    sleep(LISTEN_MS, undefined, { ref: false })
      .then(() => disconnect(client))
      .catch(() => {});
  }

  #connect(): Client {
    const db = new Firestore({ ...this.#config, clientConfig: clientConfig(this.#readMs), ...CHANNEL_OPTIONS });
    return { db, calls: new Set(), probe: null };
  }
}

function tracked<T>({ calls }: Client, call: Promise<T>): Promise<T> {
  calls.add(call);
  const done = () => calls.delete(call);
  call.then(done, done);
  return call;
}

/** What Firestore itself refuses is an answer. */
function answerOf(call: Promise<unknown>): Promise<Answer> {
  return call.then(
    () => 'yes',
    (error) => {
      if (codeOf(error) === CODE.UNAVAILABLE) return 'refused';
      return codeOf(error) === CODE.DEADLINE_EXCEEDED ? 'silent' : 'yes';
    },
  );
}

/** Only when its calls have ended: one that the terminated client would retry is an unhandled rejection in there. */
async function disconnect({ db, calls }: Client): Promise<void> {
  while (calls.size > 0) await Promise.allSettled(calls);
  await db.terminate();
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
