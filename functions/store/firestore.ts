import {
  type DocumentData,
  type DocumentReference,
  FieldPath,
  Firestore,
  Timestamp,
  type Transaction,
} from '@google-cloud/firestore';
import type { StoreConfig } from '../config.ts';
import { type EndUser, FOLD_VERSION, type Keys } from '../events/end-user.ts';
import { eventOf, type HeronEvent, Unprocessable } from '../events/event.ts';
import { epoch, type Instant, instantOf, instantOfEpoch } from '../heron/instant.ts';
import { isHeronId, type JsonObject } from '../heron/webhook.ts';
import {
  type Appended,
  type EventCursor,
  type EventPage,
  endUserOf,
  fold,
  type LoggedEvent,
  MAX_INLINE_BYTES,
  MAX_SAME_ID,
  page,
  type Store,
} from './store.ts';

const INVALID_ARGUMENT = 3;
const ALREADY_EXISTS = 6;

/** Firestore takes documents of 1 MiB, and commits of 10 MiB (its emulator 4). */
const CHUNK_BYTES = 900_000;
const CHUNKS_A_COMMIT = 3;
/** A longer text is in no index, and Firestore refuses to look for it. */
const MAX_INDEXED_BYTES = 1_500;

const EVENT_ID = /^[0-9a-f]{64}$/;
const HISTORY_PAGE = 100;

/** The client pauses 1, 1.5, 2.3 and 3.4 s between five attempts: a sixth would seldom end before nobody waits for it. */
const MAX_ATTEMPTS = 5;
/** Of the 25 s that a message has. */
const CALL_MS = 15_000;

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
        Commit: { timeout_millis: 10_000, retry_codes_name: 'none' },
        Rollback: { timeout_millis: 10_000, retry_codes_name: 'none' },
      },
    },
  },
};

/** gRPC's own back-off grows to two minutes: Firestore may be back long before. */
const CHANNEL_OPTIONS = { 'grpc.max_reconnect_backoff_ms': 5_000 };

/** A client, and the calls that it has not ended yet, whether anybody waits for them or not. */
type Connection = { readonly db: Firestore; readonly calls: Set<Promise<unknown>> };

/** The event log and the end users' states in Firestore: `events/{event_id}` and `end_users/{heron_id}`. */
export class FirestoreStore implements Store {
  readonly #config: StoreConfig;
  readonly #now: () => number;
  readonly #callMs: number;
  /** None once the store is closed. */
  #connection: Connection | null;

  /** @param callMs after this a call is given up. */
  constructor(config: StoreConfig, now: () => number, callMs = CALL_MS) {
    this.#config = config;
    this.#now = now;
    this.#callMs = callMs;
    this.#connection = this.#connect();
  }

  async append(events: readonly HeronEvent[]): Promise<readonly Appended[]> {
    const heronId = endUserOf(events);
    // One after another: bodies are up to 10 MB, and each on its way is in memory several times.
    for (const event of events) await this.#writeChunks(event);
    return this.#commit(heronId, events, new Set());
  }

  /**
   * Creates the events, which fails the whole commit where one exists: so each counts once, and none need be read.
   * @param suspects ids of events that are looked for before, as some are duplicates.
   */
  async #commit(
    heronId: string | null,
    events: readonly HeronEvent[],
    suspects: ReadonlySet<string>,
  ): Promise<readonly Appended[]> {
    const recordedAt = instantOf(this.#now());
    try {
      return await this.#write(async (db, transaction) => {
        const [before, known] = await Promise.all([
          heronId === null ? null : currentState(db, transaction, heronId),
          existing(db, transaction, suspects),
        ]);
        const fresh = events.filter(({ event_id }) => !known.has(event_id));
        const after = heronId === null || fresh.length === 0 ? null : fold(before, heronId, fresh);
        if (after !== null) transaction.set(endUserReference(db, after.heron_id), endUserDocument(after));
        for (const event of fresh)
          transaction.create(eventReference(db, event.event_id), eventDocument(event, recordedAt));
        return events.map((event) => (fresh.includes(event) ? 'appended' : 'duplicate'));
      });
    } catch (error) {
      if (codeOf(error) !== ALREADY_EXISTS) throw error;
      if (events.length === 1) return ['duplicate'];
      // One at least is a duplicate, and Firestore does not say which.
      return this.#commit(heronId, events, new Set(events.map(({ event_id }) => event_id)));
    }
  }

  /** Chunks are written before the event: without it nobody reads them, and writing them again changes nothing. */
  async #writeChunks({ event_id, body }: HeronEvent): Promise<void> {
    if (body.byteLength <= MAX_INLINE_BYTES) return;
    const { exists } = await this.#call((db) => eventReference(db, event_id).get());
    if (exists) return; // a duplicate writes nothing
    for (let from = 0; from < body.byteLength; from += CHUNKS_A_COMMIT * CHUNK_BYTES)
      await this.#write(async (db, transaction) => {
        const first = from / CHUNK_BYTES;
        const references = chunkReferences(db, event_id, body.byteLength).slice(first, first + CHUNKS_A_COMMIT);
        for (const [i, reference] of references.entries()) {
          const begin = from + i * CHUNK_BYTES;
          transaction.set(reference, { data: body.subarray(begin, begin + CHUNK_BYTES) });
        }
      });
  }

  /** @throws Unprocessable where Firestore refuses what is written, as it would every time. */
  async #write<T>(work: (db: Firestore, transaction: Transaction) => Promise<T>): Promise<T> {
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
      return await this.#call((db) =>
        db.runTransaction((transaction) => attempt(db, transaction), { maxAttempts: MAX_ATTEMPTS }),
      );
    } catch (error) {
      // The code is also that of a transaction which was idle for long, and of reads: neither is the event's fault.
      const refused = written && codeOf(error) === INVALID_ARGUMENT && !/transaction has expired/.test(String(error));
      throw refused ? new Unprocessable('Firestore refuses the event', { cause: error }) : error;
    }
  }

  /**
   * Makes a call, and gives up when it takes too long: the connection is then taken for half-open, which neither gRPC
   * nor TCP notices for minutes, and later calls get a new one. What is on its way on the old one may still arrive.
   */
  async #call<T>(begin: (db: Firestore) => Promise<T>): Promise<T> {
    const connection = this.#connection;
    if (connection === null) throw new Error('The store is closed.');
    const call = begin(connection.db);
    connection.calls.add(call);
    const done = () => connection.calls.delete(call);
    call.then(done, done);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.#replace(connection);
        reject(new Error(`Firestore did not answer within ${this.#callMs} ms.`));
      }, this.#callMs);
    });
    return Promise.race([call, late]).finally(() => clearTimeout(timer));
  }

  /** Only the first of many calls that missed their time on a connection replaces it. */
  #replace(connection: Connection): void {
    if (this.#connection !== connection) return;
    this.#connection = this.#connect();
    disconnect(connection).catch(() => {});
  }

  #connect(): Connection {
    const db = new Firestore({ ...this.#config, clientConfig: CLIENT_CONFIG, ...CHANNEL_OPTIONS });
    return { db, calls: new Set() };
  }

  async endUser(heronId: string): Promise<EndUser | null> {
    if (!isHeronId(heronId)) return null;
    const data = (await this.#call((db) => endUserReference(db, heronId).get())).data();
    return data === undefined ? null : toEndUser(data);
  }

  async endUsersOf(endUserId: string): Promise<readonly EndUser[]> {
    // A lone surrogate is no text to Firestore, which refuses it, or would take it for another character.
    if (!endUserId.isWellFormed() || Buffer.byteLength(endUserId) > MAX_INDEXED_BYTES) return [];
    const { docs } = await this.#call((db) =>
      db.collection('end_users').where('end_user_id', '==', endUserId).limit(MAX_SAME_ID).get(),
    );
    return docs.map((snapshot) => toEndUser(snapshot.data()));
  }

  async events(heronId: string, size: number, after: EventCursor | null): Promise<EventPage> {
    if (!isHeronId(heronId)) return { events: [], next: null };
    const { docs } = await this.#call((db) => history(db, heronId, size, after).get());
    return page(docs.map(toLoggedEvent), size);
  }

  async event(eventId: string): Promise<LoggedEvent | null> {
    if (!EVENT_ID.test(eventId)) return null;
    const snapshot = await this.#call((db) => eventReference(db, eventId).get());
    return snapshot.exists ? toLoggedEvent(snapshot) : null;
  }

  async body(eventId: string): Promise<Uint8Array | null> {
    const event = await this.event(eventId);
    return event === null ? null : (event.body ?? (await this.#call((db) => chunks(db, eventId, event.bytes))));
  }

  async close(): Promise<void> {
    const connection = this.#connection;
    this.#connection = null;
    if (connection !== null) await disconnect(connection);
  }
}

/** Only when its calls have ended: one that the terminated client would retry is an unhandled rejection in there. */
async function disconnect({ db, calls }: Connection): Promise<void> {
  await Promise.allSettled(calls);
  await db.terminate();
}

/** The state that the next event is folded into; one of another fold is recomputed from the log. */
async function currentState(db: Firestore, transaction: Transaction, heronId: string): Promise<EndUser | null> {
  const data = (await transaction.get(endUserReference(db, heronId))).data();
  if (data === undefined) return null;
  if (data.fold?.version === FOLD_VERSION) return toEndUser(data);
  let state: EndUser | null = null;
  let after: EventCursor | null = null;
  do {
    const { docs } = await transaction.get(history(db, heronId, HISTORY_PAGE, after));
    const read = page(docs.map(toLoggedEvent), HISTORY_PAGE);
    for (const { event_id, bytes, body, received_at } of read.events) {
      const event = eventOf(body ?? (await chunks(db, event_id, bytes)), received_at);
      state = fold(state, heronId, [event]);
    }
    after = read.next;
  } while (after !== null);
  return state;
}

async function existing(
  db: Firestore,
  transaction: Transaction,
  ids: ReadonlySet<string>,
): Promise<ReadonlySet<string>> {
  if (ids.size === 0) return ids;
  const references = [...ids].map((id) => eventReference(db, id));
  const found = await transaction.getAll(...references, { fieldMask: ['bytes'] });
  return new Set(found.filter(({ exists }) => exists).map(({ id }) => id));
}

async function chunks(db: Firestore, eventId: string, bytes: number): Promise<Uint8Array> {
  const found = await db.getAll(...chunkReferences(db, eventId, bytes));
  const body = Buffer.concat(found.map((chunk) => chunk.get('data') ?? new Uint8Array()));
  if (body.byteLength !== bytes) throw new Error(`The body of event ${eventId} is not complete.`);
  return body;
}

function eventReference(db: Firestore, eventId: string): DocumentReference {
  return db.collection('events').doc(eventId);
}

function endUserReference(db: Firestore, heronId: string): DocumentReference {
  return db.collection('end_users').doc(heronId);
}

function chunkReferences(db: Firestore, eventId: string, bytes: number): readonly DocumentReference[] {
  const body = eventReference(db, eventId).collection('body');
  return Array.from({ length: Math.ceil(bytes / CHUNK_BYTES) }, (_, n) => body.doc(String(n)));
}

/** One event more than asked for tells whether there is a next page. */
function history(db: Firestore, heronId: string, size: number, after: EventCursor | null) {
  const query = db
    .collection('events')
    .where('heron_id', '==', heronId)
    .orderBy('created', 'desc')
    .orderBy(FieldPath.documentId(), 'desc')
    .limit(size + 1);
  return after === null ? query : query.startAfter(toTimestamp(after.created), after.event_id);
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown }).code;
}

function eventDocument(event: HeronEvent, recordedAt: Instant): DocumentData {
  return {
    topic: event.topic,
    created: toTimestamp(event.created),
    received_at: toTimestamp(event.received_at),
    recorded_at: toTimestamp(recordedAt),
    heron_id: event.heron_id,
    end_user_id: event.end_user_id,
    status: event.status,
    bytes: event.body.byteLength,
    body: event.body.byteLength > MAX_INLINE_BYTES ? null : event.body,
  };
}

function toLoggedEvent(snapshot: { readonly id: string; data(): DocumentData | undefined }): LoggedEvent {
  const data = snapshot.data() ?? {};
  return {
    event_id: snapshot.id,
    topic: data.topic,
    created: toInstant(data.created),
    received_at: toInstant(data.received_at) as Instant,
    recorded_at: toInstant(data.recorded_at) as Instant,
    heron_id: data.heron_id,
    end_user_id: data.end_user_id,
    status: data.status,
    bytes: data.bytes,
    body: data.body,
  };
}

/** `meta` is kept as JSON text: as a map Firestore would refuse some keys, and depth over 20. */
function endUserDocument({ meta, ...state }: EndUser): DocumentData {
  return {
    ...state,
    status_at: toTimestamp(state.status_at),
    first_event_at: toTimestamp(state.first_event_at),
    last_event_at: toTimestamp(state.last_event_at),
    last_event: { ...state.last_event, created: toTimestamp(state.last_event.created) },
    meta: meta === null ? null : JSON.stringify(meta),
  };
}

function toEndUser(data: DocumentData): EndUser {
  return {
    heron_id: data.heron_id,
    end_user_id: data.end_user_id,
    status: data.status,
    status_at: toInstant(data.status_at),
    review_required: data.review_required,
    first_event_at: toInstant(data.first_event_at) as Instant,
    last_event_at: toInstant(data.last_event_at) as Instant,
    last_event: { ...data.last_event, created: toInstant(data.last_event.created) as Instant },
    event_count: data.event_count,
    meta: data.meta === null ? null : (JSON.parse(data.meta) as JsonObject),
    fold: { version: data.fold.version, keys: data.fold.keys as Keys },
  };
}

function toTimestamp(instant: Instant | null): Timestamp | null {
  if (instant === null) return null;
  const { seconds, microseconds } = epoch(instant);
  return new Timestamp(seconds, microseconds * 1000);
}

function toInstant(timestamp: Timestamp | null): Instant | null {
  return timestamp === null ? null : instantOfEpoch(timestamp.seconds, Math.floor(timestamp.nanoseconds / 1000));
}
