import {
  type DocumentData,
  type DocumentReference,
  FieldPath,
  Firestore,
  Timestamp,
  type Transaction,
} from '@google-cloud/firestore';
import type { StoreConfig } from '../config.ts';
import { type EndUser, evolve, FOLD_VERSION, type Keys } from '../events/end-user.ts';
import { concernsEndUser, type EndUserEvent, eventOf, type HeronEvent, Unprocessable } from '../events/event.ts';
import { epoch, type Instant, instantOf, instantOfEpoch } from '../heron/instant.ts';
import { isHeronId, type JsonObject } from '../heron/webhook.ts';
import { page } from './memory.ts';
import {
  type Appended,
  type EventCursor,
  type EventPage,
  type LoggedEvent,
  MAX_INLINE_BYTES,
  MAX_SAME_ID,
  type Store,
} from './store.ts';

const INVALID_ARGUMENT = 3;
const ALREADY_EXISTS = 6;

/** Firestore takes documents of 1 MiB, and commits of 10 MiB (its emulator 4). */
const CHUNK_BYTES = 900_000;
const CHUNKS_A_COMMIT = 3;

const EVENT_ID = /^[0-9a-f]{64}$/;
const HISTORY_PAGE = 100;

/** The event log and the end users' states in Firestore: `events/{event_id}` and `end_users/{heron_id}`. */
export class FirestoreStore implements Store {
  readonly #db: Firestore;
  readonly #now: () => number;

  constructor({ projectId, databaseId }: StoreConfig, now: () => number) {
    this.#now = now;
    this.#db = new Firestore({
      projectId,
      databaseId,
      // A half-open connection is noticed while a call waits on it. More often than this Google's servers object.
      'grpc.keepalive_time_ms': 30_000,
      'grpc.keepalive_timeout_ms': 10_000,
    });
  }

  async append(events: readonly HeronEvent[]): Promise<readonly Appended[]> {
    try {
      await Promise.all(events.map((event) => this.#writeChunks(event)));
      await this.#commit(events);
      return events.map(() => 'appended');
    } catch (error) {
      const { code } = error as { code?: unknown };
      if (code === INVALID_ARGUMENT) throw new Unprocessable('Firestore refuses the event', { cause: error });
      if (code !== ALREADY_EXISTS) throw error;
      if (events.length === 1) return ['duplicate'];
      // One of them at least is a duplicate, and Firestore does not say which.
      const outcomes: Appended[] = [];
      for (const event of events) outcomes.push(...(await this.append([event])));
      return outcomes;
    }
  }

  /** Creating an event that exists fails the whole commit: so each counts once. */
  async #commit(events: readonly HeronEvent[]): Promise<void> {
    const recordedAt = instantOf(this.#now());
    const [first] = events.filter(concernsEndUser);
    if (first === undefined) {
      const batch = this.#db.batch();
      for (const event of events) batch.create(this.#event(event.event_id), eventDocument(event, recordedAt));
      await batch.commit();
      return;
    }
    const reference = this.#endUser(first.heron_id);
    await this.#db.runTransaction(async (transaction) => {
      let state = await this.#current(transaction, reference);
      for (const event of events) {
        if (concernsEndUser(event)) state = fold(state, event);
        transaction.create(this.#event(event.event_id), eventDocument(event, recordedAt));
      }
      if (state !== null) transaction.set(reference, endUserDocument(state));
    });
  }

  /** The state that the next event is folded into; one of an older fold is recomputed from the log. */
  async #current(transaction: Transaction, reference: DocumentReference): Promise<EndUser | null> {
    const snapshot = await transaction.get(reference);
    const data = snapshot.data();
    if (data === undefined || data.fold?.version === FOLD_VERSION) return data === undefined ? null : toEndUser(data);
    let state: EndUser | null = null;
    let after: EventCursor | null = null;
    do {
      const { docs } = await transaction.get(this.#history(reference.id, HISTORY_PAGE, after));
      const read = page(docs.map(toLoggedEvent), HISTORY_PAGE);
      for (const logged of read.events) {
        const body = logged.body ?? (await this.#chunks(logged.event_id, logged.bytes));
        const event = eventOf(body, logged.received_at);
        if (concernsEndUser(event)) state = fold(state, event);
      }
      after = read.next;
    } while (after !== null);
    return state;
  }

  /** Chunks are written before the event: without it nobody reads them, and writing them again changes nothing. */
  async #writeChunks({ event_id, body }: HeronEvent): Promise<void> {
    if (body.byteLength <= MAX_INLINE_BYTES) return;
    const event = this.#event(event_id);
    if ((await event.get()).exists) return; // a duplicate writes nothing
    const count = Math.ceil(body.byteLength / CHUNK_BYTES);
    for (let from = 0; from < count; from += CHUNKS_A_COMMIT) {
      const batch = this.#db.batch();
      for (let n = from; n < Math.min(count, from + CHUNKS_A_COMMIT); n++)
        batch.set(event.collection('body').doc(String(n)), {
          data: Buffer.from(body.subarray(n * CHUNK_BYTES, (n + 1) * CHUNK_BYTES)),
        });
      await batch.commit();
    }
  }

  async endUser(heronId: string): Promise<EndUser | null> {
    if (!isHeronId(heronId)) return null;
    const data = (await this.#endUser(heronId).get()).data();
    return data === undefined ? null : toEndUser(data);
  }

  async endUsersOf(endUserId: string): Promise<readonly EndUser[]> {
    const query = this.#db.collection('end_users').where('end_user_id', '==', endUserId).limit(MAX_SAME_ID);
    return (await query.get()).docs.map((snapshot) => toEndUser(snapshot.data()));
  }

  async events(heronId: string, size: number, after: EventCursor | null): Promise<EventPage> {
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
    const chunks: Uint8Array[] = [];
    for (let n = 0; n < Math.ceil(bytes / CHUNK_BYTES); n++) {
      const data = (await this.#event(eventId).collection('body').doc(String(n)).get()).get('data');
      if (!(data instanceof Uint8Array)) throw new Error(`Chunk ${n} of event ${eventId} is missing.`);
      chunks.push(data);
    }
    return Buffer.concat(chunks);
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

function fold(state: EndUser | null, event: EndUserEvent): EndUser {
  try {
    return evolve(state, event);
  } catch (cause) {
    throw new Unprocessable('the event cannot be folded', { cause });
  }
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
    body: event.body.byteLength > MAX_INLINE_BYTES ? null : Buffer.from(event.body),
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
