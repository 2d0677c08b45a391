import {
  type DocumentData,
  type DocumentReference,
  type DocumentSnapshot,
  FieldValue,
  type Firestore,
  type Query,
  type QuerySnapshot,
  Timestamp,
  type Transaction,
} from '@google-cloud/firestore';
import type { Clock } from '../clock.ts';
import type { StoreConfig } from '../config.ts';
import { type EndUser, FOLD_VERSION, type Keys } from '../events/end-user.ts';
import { concernsEndUser, eventOf, type HeronEvent, isEventId, Unprocessable } from '../events/event.ts';
import { CODE, codeOf } from '../grpc.ts';
import { epoch, type Instant } from '../heron/instant.ts';
import { isHeronId, type JsonObject } from '../heron/webhook.ts';
import { Connection } from './connection.ts';
import { QUERIES } from './queries.ts';
import {
  type Appended,
  type EndUserCursor,
  type EndUserFilter,
  type EndUserPage,
  type EventCursor,
  type EventPage,
  endUserOf,
  endUserPage,
  fold,
  type LoggedEvent,
  MAX_CHANGES,
  MAX_INLINE_BYTES,
  MAX_TOPICS,
  type OnFailure,
  page,
  type Stop,
  type Store,
  type TopicInLog,
  type Watched,
} from './store.ts';
import { toInstant, toTimestamp } from './timestamp.ts';

/** Firestore takes documents of 1 MiB, and commits of 10 MiB (its emulator 4). */
const CHUNK_BYTES = 900_000;
const CHUNKS_A_COMMIT = 3;
/** A longer text is in no index, and Firestore refuses to look for it. */
const MAX_INDEXED_BYTES = 1_500;

const DAY_SECONDS = 86_400;
/** TTL deletes within a day or so, each document at its own time: no event may outlive its body. */
const CHUNK_GRACE_DAYS = 3;

const HISTORY_PAGE = 100;

/** Of the 25 s that a message has. */
const CALL_MS = 15_000;

/** The event log and the end users' states in Firestore: `events/{event_id}` and `end_users/{heron_id}`. */
export class FirestoreStore implements Store {
  readonly #connection: Connection;
  readonly #now: Clock;
  readonly #retentionDays: number | null;

  /** @param callMs after this a call is given up. @param retentionDays how long the log keeps an event; null for ever. */
  constructor(
    config: StoreConfig,
    now: Clock,
    { callMs = CALL_MS, retentionDays = null }: { callMs?: number; retentionDays?: number | null } = {},
  ) {
    this.#connection = new Connection(config, callMs);
    this.#now = now;
    this.#retentionDays = retentionDays;
  }

  async append(events: readonly HeronEvent[]): Promise<readonly Appended[]> {
    const heronId = endUserOf(events);
    // One after another: bodies are up to 10 MB, and each on its way is in memory several times.
    for (const event of events) await this.#writeChunks(event);
    try {
      return await this.#commit(heronId, events, new Set());
    } catch (error) {
      // It is dead-lettered now, body and all. Of several, each comes again by itself.
      if (error instanceof Unprocessable && events.length === 1) await this.#deleteChunks(events);
      throw error;
    }
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
    const recordedAt = this.#now();
    try {
      return await this.#connection.write(async (db, transaction) => {
        const [stored, known, complete] = await Promise.all([
          heronId === null ? undefined : endUserData(db, transaction, heronId),
          existing(db, transaction, suspects),
          haveChunks(db, transaction, events),
        ]);
        if (isTombstone(stored)) return events.map(() => 'forgotten');
        // Erased, and lifted at once, since they were written.
        if (!complete)
          throw new Error('Chunks of a body are gone that were there just now: the event must come again.');
        const fresh = events.filter(({ event_id }) => !known.has(event_id));
        if (heronId !== null && fresh.some(concernsEndUser)) {
          const before = await currentState(db, transaction, heronId, stored);
          const after = fold(before, heronId, fresh);
          if (after !== null) transaction.set(endUserReference(db, heronId), endUserDocument(after));
        }
        for (const event of fresh)
          transaction.create(eventReference(db, event.event_id), {
            ...eventDocument(event, recordedAt),
            ...this.#expiry(recordedAt, 0),
          });
        return events.map((event) => (fresh.includes(event) ? 'appended' : 'duplicate'));
      });
    } catch (error) {
      if (codeOf(error) !== CODE.ALREADY_EXISTS) throw error;
      if (events.length === 1) return ['duplicate'];
      // One at least is a duplicate, and Firestore does not say which.
      return this.#commit(heronId, events, new Set(events.map(({ event_id }) => event_id)));
    }
  }

  /**
   * Chunks are written before the event: without it nobody reads them, and writing them again changes nothing. Each
   * transaction has seen no tombstone: once there is one, what erasure deletes does not come back.
   */
  async #writeChunks({ event_id, heron_id, body }: HeronEvent): Promise<void> {
    if (body.byteLength <= MAX_INLINE_BYTES) return;
    for (let from = 0; from < body.byteLength; from += CHUNKS_A_COMMIT * CHUNK_BYTES) {
      const isWanted = await this.#connection.write(async (db, transaction) => {
        const [event, endUser] = await transaction.getAll(
          eventReference(db, event_id),
          ...(heron_id === null ? [] : [endUserReference(db, heron_id)]),
        );
        // Neither a duplicate nor the forgotten writes anything.
        if (event?.exists || isTombstone(endUser?.data())) return false;
        const first = from / CHUNK_BYTES;
        const references = chunkReferences(db, event_id, body.byteLength).slice(first, first + CHUNKS_A_COMMIT);
        const expiry = this.#expiry(this.#now(), CHUNK_GRACE_DAYS);
        for (const [i, reference] of references.entries()) {
          const begin = from + i * CHUNK_BYTES;
          transaction.set(reference, { heron_id, data: body.subarray(begin, begin + CHUNK_BYTES), ...expiry });
        }
        return true;
      });
      if (!isWanted) return;
    }
  }

  /** Of events that the log does not have. */
  async #deleteChunks(events: readonly HeronEvent[]): Promise<void> {
    const large = events.filter(({ body }) => body.byteLength > MAX_INLINE_BYTES);
    if (large.length === 0) return;
    await this.#connection.write(async (db, transaction) => {
      const known = await existing(db, transaction, new Set(large.map(({ event_id }) => event_id)));
      for (const { event_id, body } of large.filter((event) => !known.has(event.event_id)))
        for (const chunk of chunkReferences(db, event_id, body.byteLength)) transaction.delete(chunk);
    });
  }

  /** What Firestore's TTL goes by, where the log does not keep events for ever. */
  #expiry(from: Instant, graceDays: number): { readonly expires_at?: Timestamp } {
    if (this.#retentionDays === null) return {};
    const { seconds, microseconds } = epoch(from);
    return {
      expires_at: new Timestamp(seconds + (this.#retentionDays + graceDays) * DAY_SECONDS, microseconds * 1000),
    };
  }

  async endUser(heronId: string): Promise<EndUser | null> {
    if (!isHeronId(heronId)) return null;
    return toEndUser((await this.#connection.call((db) => endUserReference(db, heronId).get())).data());
  }

  async endUsersOf(endUserId: string): Promise<readonly EndUser[]> {
    if (!isIndexed(endUserId)) return [];
    const { docs } = await this.#connection.call((db) => QUERIES.withId(db, endUserId).get());
    return docs.flatMap((snapshot) => toEndUser(snapshot.data()) ?? []);
  }

  async events(heronId: string, size: number, after: EventCursor | null): Promise<EventPage> {
    if (!isHeronId(heronId)) return { events: [], next: null };
    const { docs } = await this.#connection.call((db) => QUERIES.history(db, heronId, size, after).get());
    return page(docs.map(toLoggedEvent), size);
  }

  async event(eventId: string): Promise<LoggedEvent | null> {
    if (!isEventId(eventId)) return null;
    const snapshot = await this.#connection.call((db) => eventReference(db, eventId).get());
    return snapshot.exists ? toLoggedEvent(snapshot) : null;
  }

  async body(eventId: string): Promise<Uint8Array | null> {
    const event = await this.event(eventId);
    return event === null
      ? null
      : (event.body ?? (await this.#connection.call((db) => chunks(db, eventId, event.bytes))));
  }

  async listEndUsers(filter: EndUserFilter, size: number, after: EndUserCursor | null): Promise<EndUserPage> {
    const { docs } = await this.#connection.call((db) => QUERIES.listedPage(db, filter, size, after).get());
    const endUsers = docs.flatMap((snapshot) => toEndUser(snapshot.data()) ?? []);
    return endUserPage(endUsers, size);
  }

  async countListed(filter: EndUserFilter): Promise<number> {
    return (await this.#connection.call((db) => QUERIES.listed(db, filter).count().get())).data().count;
  }

  /** Looks at one event a topic: the log is never read, and no index begins with a time. */
  async topics(): Promise<readonly TopicInLog[]> {
    const latest = async (query: (db: Firestore) => Query): Promise<TopicInLog | undefined> => {
      const { docs } = await this.#connection.call((db) => query(db).get());
      const [event] = docs.map((snapshot) => snapshot.data());
      return event && { topic: event.topic, recorded_at: toInstant(event.recorded_at) as Instant };
    };
    const found: TopicInLog[] = [];
    let next = await latest((db) => QUERIES.latestByTopic(db, null));
    while (next !== undefined && next.topic !== null && found.length < MAX_TOPICS) {
      const { topic } = next;
      found.push(next);
      next = await latest((db) => QUERIES.latestByTopic(db, topic));
    }
    const without = await latest(QUERIES.latestWithoutTopic);
    return without === undefined ? found : [...found, without];
  }

  async countEvents(topic: string | null, from: Instant, to: Instant): Promise<number> {
    const counted = await this.#connection.call((db) => QUERIES.ofTopic(db, topic, from, to).count().get());
    return counted.data().count;
  }

  watch(watched: Watched, onStates: (endUsers: readonly EndUser[]) => void, onFailure: OnFailure): Stop {
    if ('heron_id' in watched) {
      const { heron_id } = watched;
      return this.#connection.watch((db) =>
        endUserReference(db, heron_id).onSnapshot((snapshot) => {
          const endUser = toEndUser(snapshot.data());
          onStates(endUser === null ? [] : [endUser]);
        }, onFailure),
      );
    }
    const { end_user_id } = watched;
    if (!isIndexed(end_user_id)) throw new TypeError('No end user can have this id.');
    return this.#connection.watch((db) =>
      QUERIES.withId(db, end_user_id).onSnapshot(
        ({ docs }) => onStates(docs.flatMap((snapshot) => toEndUser(snapshot.data()) ?? [])),
        onFailure,
      ),
    );
  }

  /** The latest {@link MAX_CHANGES} are watched: where all of them are new at once, others may have been pushed out. */
  watchChanges(onChanges: (changed: readonly EndUser[] | null) => void, onFailure: OnFailure): Stop {
    return this.#connection.watch((db) => {
      let begun = false;
      return QUERIES.changes(db, MAX_CHANGES).onSnapshot((snapshot) => {
        const changed = snapshot.docChanges().filter(({ type }) => type !== 'removed');
        if (!begun || changed.length >= MAX_CHANGES || isOneGone(snapshot)) onChanges(null);
        else if (changed.length > 0) onChanges(changed.flatMap(({ doc }) => toEndUser(doc.data()) ?? []));
        begun = true;
      }, onFailure);
    });
  }

  close(): Promise<void> {
    return this.#connection.close();
  }
}

async function endUserData(
  db: Firestore,
  transaction: Transaction,
  heronId: string,
): Promise<DocumentData | undefined> {
  return (await transaction.get(endUserReference(db, heronId))).data();
}

/** The state that the next event is folded into; one of another fold is recomputed from the log. */
async function currentState(
  db: Firestore,
  transaction: Transaction,
  heronId: string,
  stored: DocumentData | undefined,
): Promise<EndUser | null> {
  if (stored === undefined || stored.fold?.version === FOLD_VERSION) return toEndUser(stored);
  return foldLog(db, transaction, heronId);
}

/** The state from the events that the log has now. */
export async function foldLog(db: Firestore, transaction: Transaction, heronId: string): Promise<EndUser | null> {
  let state: EndUser | null = null;
  let after: EventCursor | null = null;
  do {
    const { docs } = await transaction.get(QUERIES.history(db, heronId, HISTORY_PAGE, after));
    const read = page(docs.map(toLoggedEvent), HISTORY_PAGE);
    for (const { event_id, bytes, body, received_at } of read.events) {
      const event = eventOf(body ?? (await chunks(db, event_id, bytes, transaction)), received_at);
      state = fold(state, heronId, [event]);
    }
    after = read.next;
  } while (after !== null);
  return state;
}

async function haveChunks(db: Firestore, transaction: Transaction, events: readonly HeronEvent[]): Promise<boolean> {
  const references = events
    .filter(({ body }) => body.byteLength > MAX_INLINE_BYTES)
    .flatMap(({ event_id, body }) => chunkReferences(db, event_id, body.byteLength));
  if (references.length === 0) return true;
  const found = await transaction.getAll(...references, { fieldMask: ['heron_id'] });
  return found.every(({ exists }) => exists);
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

async function chunks(
  db: Firestore,
  eventId: string,
  bytes: number,
  reader: { getAll(...references: DocumentReference[]): Promise<DocumentSnapshot[]> } = db,
): Promise<Uint8Array> {
  const found = await reader.getAll(...chunkReferences(db, eventId, bytes));
  const body = Buffer.concat(found.map((chunk) => chunk.get('data') ?? new Uint8Array()));
  if (body.byteLength !== bytes) throw new Error(`The body of event ${eventId} is not complete.`);
  return body;
}

function eventReference(db: Firestore, eventId: string): DocumentReference {
  return db.collection('events').doc(eventId);
}

export function endUserReference(db: Firestore, heronId: string): DocumentReference {
  return db.collection('end_users').doc(heronId);
}

function chunkReferences(db: Firestore, eventId: string, bytes: number): readonly DocumentReference[] {
  const body = eventReference(db, eventId).collection('body');
  return Array.from({ length: Math.ceil(bytes / CHUNK_BYTES) }, (_, n) => body.doc(String(n)));
}

/** A lone surrogate is no text to Firestore, which refuses it, or would take it for another character. */
function isIndexed(text: string): boolean {
  return text.isWellFormed() && Buffer.byteLength(text) <= MAX_INDEXED_BYTES;
}

/** Whether an end user was forgotten; one that was only pushed out changed before all that are left. */
function isOneGone(snapshot: QuerySnapshot): boolean {
  const removed = snapshot.docChanges().filter(({ type }) => type === 'removed');
  const oldest: Timestamp | undefined = snapshot.docs[MAX_CHANGES - 1]?.get('changed_at');
  return removed.some(({ doc }) => oldest === undefined || (doc.get('changed_at') as Timestamp) > oldest);
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
export function endUserDocument({ meta, ...state }: EndUser): DocumentData {
  return {
    ...state,
    status_at: toTimestamp(state.status_at),
    first_event_at: toTimestamp(state.first_event_at),
    last_event_at: toTimestamp(state.last_event_at),
    last_event: { ...state.last_event, created: toTimestamp(state.last_event.created) },
    meta: meta === null ? null : JSON.stringify(meta),
    changed_at: FieldValue.serverTimestamp(), // for watchChanges
  };
}

/** Whether the end user is forgotten: `{forgotten}` is then all that its document holds. */
export function isTombstone(data: DocumentData | undefined): data is { forgotten: DocumentData } {
  return data?.forgotten !== undefined;
}

/** Null where there is none, or a tombstone in its place. */
function toEndUser(data: DocumentData | undefined): EndUser | null {
  if (data === undefined || isTombstone(data)) return null;
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
