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

/** Firestore answers in a fraction of this; what takes longer is lost, as on a half-open connection. */
const READ_MS = 5_000;
const COMMIT_MS = 10_000;
/** The client pauses 1, 1.5, 2.3 and 3.4 s between five attempts: a sixth would seldom end before nobody waits for it. */
const MAX_ATTEMPTS = 5;
/** No attempt begins when the message, which has 25 s, is likely refused before it ends. */
const GIVE_UP_MS = 15_000;

/** What the client leaves to chance: by itself it waits 60 s for a commit, 300 s for a read, and retries for 600 s. */
const CLIENT_CONFIG = {
  interfaces: {
    'google.firestore.v1.Firestore': {
      retry_codes: { none: [] },
      methods: {
        BatchGetDocuments: { timeout_millis: READ_MS },
        RunQuery: { timeout_millis: READ_MS },
        // Retried as a whole transaction only: `Transaction` knows what may be, and pauses as Firestore asks for.
        Commit: { timeout_millis: COMMIT_MS, retry_codes_name: 'none' },
        Rollback: { timeout_millis: COMMIT_MS, retry_codes_name: 'none' },
      },
    },
  },
};

const CHANNEL_OPTIONS = {
  // A half-open connection is noticed while calls wait on it. No oftener, as Google's servers hang up on who pings
  // much; its own clients do the same: https://github.com/googleapis/python-firestore/issues/115
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
  // gRPC's own back-off grows to two minutes: Firestore may be back long before.
  'grpc.max_reconnect_backoff_ms': 5_000,
};

/** The event log and the end users' states in Firestore: `events/{event_id}` and `end_users/{heron_id}`. */
export class FirestoreStore implements Store {
  readonly #db: Firestore;
  readonly #now: () => number;

  constructor({ projectId, databaseId }: StoreConfig, now: () => number) {
    this.#now = now;
    this.#db = new Firestore({ projectId, databaseId, clientConfig: CLIENT_CONFIG, ...CHANNEL_OPTIONS });
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
      return await this.#write(async (transaction) => {
        const [state, known] = await Promise.all([
          heronId === null ? null : this.#current(transaction, heronId),
          this.#existing(transaction, suspects),
        ]);
        const fresh = events.filter(({ event_id }) => !known.has(event_id));
        const after = heronId === null || fresh.length === 0 ? null : fold(state, heronId, fresh);
        if (after !== null) transaction.set(this.#endUser(after.heron_id), endUserDocument(after));
        for (const event of fresh) transaction.create(this.#event(event.event_id), eventDocument(event, recordedAt));
        return events.map((event) => (fresh.includes(event) ? 'appended' : 'duplicate'));
      });
    } catch (error) {
      if (codeOf(error) !== ALREADY_EXISTS) throw error;
      if (events.length === 1) return ['duplicate'];
      // One at least is a duplicate, and Firestore does not say which.
      return this.#commit(heronId, events, new Set(events.map(({ event_id }) => event_id)));
    }
  }

  /** @throws Unprocessable where Firestore refuses what is written, as it would every time. */
  async #write<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    const begun = performance.now();
    let written = false;
    try {
      return await this.#db.runTransaction(
        async (transaction) => {
          written = false;
          if (performance.now() - begun > GIVE_UP_MS) throw new Error('Firestore did not take it in time.');
          const result = await work(transaction);
          written = true;
          return result;
        },
        { maxAttempts: MAX_ATTEMPTS },
      );
    } catch (error) {
      // The code is also that of a transaction which was idle for long, and of reads: neither is the event's fault.
      const refused = written && codeOf(error) === INVALID_ARGUMENT && !/transaction has expired/.test(String(error));
      throw refused ? new Unprocessable('Firestore refuses the event', { cause: error }) : error;
    }
  }

  /** The state that the next event is folded into; one of another fold is recomputed from the log. */
  async #current(transaction: Transaction, heronId: string): Promise<EndUser | null> {
    const data = (await transaction.get(this.#endUser(heronId))).data();
    if (data === undefined) return null;
    if (data.fold?.version === FOLD_VERSION) return toEndUser(data);
    let state: EndUser | null = null;
    let after: EventCursor | null = null;
    do {
      const { docs } = await transaction.get(this.#history(heronId, HISTORY_PAGE, after));
      const read = page(docs.map(toLoggedEvent), HISTORY_PAGE);
      for (const { event_id, bytes, body, received_at } of read.events) {
        const event = eventOf(body ?? (await this.#chunks(event_id, bytes)), received_at);
        state = fold(state, heronId, [event]);
      }
      after = read.next;
    } while (after !== null);
    return state;
  }

  async #existing(transaction: Transaction, ids: ReadonlySet<string>): Promise<ReadonlySet<string>> {
    if (ids.size === 0) return ids;
    const references = [...ids].map((id) => this.#event(id));
    const found = await transaction.getAll(...references, { fieldMask: ['bytes'] });
    return new Set(found.filter(({ exists }) => exists).map(({ id }) => id));
  }

  /** Chunks are written before the event: without it nobody reads them, and writing them again changes nothing. */
  async #writeChunks({ event_id, body }: HeronEvent): Promise<void> {
    if (body.byteLength <= MAX_INLINE_BYTES) return;
    const event = this.#event(event_id);
    if ((await event.get()).exists) return; // a duplicate writes nothing
    const references = this.#chunkReferences(event_id, body.byteLength);
    for (let from = 0; from < references.length; from += CHUNKS_A_COMMIT)
      await this.#write(async (transaction) => {
        references.slice(from, from + CHUNKS_A_COMMIT).forEach((reference, i) => {
          const begin = (from + i) * CHUNK_BYTES;
          transaction.set(reference, { data: body.subarray(begin, begin + CHUNK_BYTES) });
        });
      });
  }

  async endUser(heronId: string): Promise<EndUser | null> {
    if (!isHeronId(heronId)) return null;
    const data = (await this.#endUser(heronId).get()).data();
    return data === undefined ? null : toEndUser(data);
  }

  async endUsersOf(endUserId: string): Promise<readonly EndUser[]> {
    // A lone surrogate is no text to Firestore, which refuses it, or would take it for another character.
    if (!endUserId.isWellFormed() || Buffer.byteLength(endUserId) > MAX_INDEXED_BYTES) return [];
    const query = this.#db.collection('end_users').where('end_user_id', '==', endUserId).limit(MAX_SAME_ID);
    return (await query.get()).docs.map((snapshot) => toEndUser(snapshot.data()));
  }

  async events(heronId: string, size: number, after: EventCursor | null): Promise<EventPage> {
    if (!isHeronId(heronId)) return { events: [], next: null };
    const { docs } = await this.#history(heronId, size, after).get();
    return page(docs.map(toLoggedEvent), size);
  }

  async event(eventId: string): Promise<LoggedEvent | null> {
    if (!EVENT_ID.test(eventId)) return null;
    const snapshot = await this.#event(eventId).get();
    return snapshot.exists ? toLoggedEvent(snapshot) : null;
  }

  async body(eventId: string): Promise<Uint8Array | null> {
    const event = await this.event(eventId);
    return event === null ? null : (event.body ?? (await this.#chunks(eventId, event.bytes)));
  }

  async close(): Promise<void> {
    await this.#db.terminate();
  }

  async #chunks(eventId: string, bytes: number): Promise<Uint8Array> {
    const chunks = await this.#db.getAll(...this.#chunkReferences(eventId, bytes));
    const body = Buffer.concat(chunks.map((chunk) => chunk.get('data') ?? new Uint8Array()));
    if (body.byteLength !== bytes) throw new Error(`The body of event ${eventId} is not complete.`);
    return body;
  }

  #chunkReferences(eventId: string, bytes: number): readonly DocumentReference[] {
    const body = this.#event(eventId).collection('body');
    return Array.from({ length: Math.ceil(bytes / CHUNK_BYTES) }, (_, n) => body.doc(String(n)));
  }

  /** One event more than asked for tells whether there is a next page. */
  #history(heronId: string, size: number, after: EventCursor | null) {
    const query = this.#db
      .collection('events')
      .where('heron_id', '==', heronId)
      .orderBy('created', 'desc')
      .orderBy(FieldPath.documentId(), 'desc')
      .limit(size + 1);
    return after === null ? query : query.startAfter(toTimestamp(after.created), after.event_id);
  }

  #event(eventId: string): DocumentReference {
    return this.#db.collection('events').doc(eventId);
  }

  #endUser(heronId: string): DocumentReference {
    return this.#db.collection('end_users').doc(heronId);
  }
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
