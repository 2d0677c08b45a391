import type {
  DocumentReference,
  DocumentSnapshot,
  Firestore,
  Query,
  QueryDocumentSnapshot,
} from '@google-cloud/firestore';
import type { Clock } from '../clock.ts';
import type { StoreConfig } from '../config.ts';
import type { EndUser } from '../events/end-user.ts';
import { type HeronEvent, isEventId, Unprocessable } from '../events/event.ts';
import { CANARY_TOPIC } from '../heron/canary.ts';
import type { Instant } from '../heron/instant.ts';
import { STATUSES } from '../heron/status.ts';
import { HERON_TOPICS } from '../heron/topics.ts';
import { isHeronId } from '../heron/webhook.ts';
import { appendEvents } from './append.ts';
import { deleteBody, readBody, writeBody } from './bodies.ts';
import { changesIn } from './changes.ts';
import { Connection, type ConnectionOptions } from './connection.ts';
import { endUserDocuments, eventDocuments, type Stored, type StoredEvent } from './documents.ts';
import { QUERIES, type StoredFilter } from './queries.ts';
import { expiry } from './retention.ts';
import {
  type Appended,
  type Changed,
  type EndUserCursor,
  type EndUserFilter,
  type EndUserPage,
  type EventCursor,
  type EventPage,
  endUserPage,
  type LogCursor,
  type LoggedEvent,
  logPage,
  MAX_CHANGES,
  MAX_OTHER_STATUSES,
  MAX_SAME_ID,
  MAX_TOPICS,
  type OnFailure,
  OTHER,
  page,
  type Stop,
  type Store,
  sameIdPage,
  type TopicInLog,
  type Topics,
  type Watched,
} from './store.ts';

/** A longer text is in no index, and Firestore refuses to look for it. */
const MAX_INDEXED_BYTES = 1_500;

/** How many of Heron's topics are looked for one after another: 44 would take more than a second. */
const TOPICS_IN_TURN = 5;
/** The alphabet in stretches that are gone through at once, the last first. */
const STRETCHES = stretchesOf(HERON_TOPICS.toSorted().filter((_, n) => n > 0 && n % TOPICS_IN_TURN === 0));

/** Of the 25 s that a message has. */
const CALL_MS = 15_000;

export type FirestoreStoreOptions = Partial<ConnectionOptions> & {
  /** How long the log keeps an event; null for ever. */
  readonly retentionDays?: number | null;
};

/** The event log and the end users' states in Firestore: `events/{event_id}` and `end_users/{heron_id}`. */
export class FirestoreStore implements Store {
  readonly #connection: Connection;
  readonly #now: Clock;
  readonly #retentionDays: number | null;

  constructor(
    config: StoreConfig,
    now: Clock,
    { retentionDays = null, callMs = CALL_MS, ...connection }: FirestoreStoreOptions = {},
  ) {
    this.#connection = new Connection(config, { callMs, ...connection });
    this.#now = now;
    this.#retentionDays = retentionDays;
  }

  async append(arrived: readonly HeronEvent[]): Promise<readonly Appended[]> {
    // One after another: bodies are up to 10 MB, and each on its way is in memory several times.
    for (const event of arrived) await writeBody(this.#connection, event, this.#expiry(event, this.#now()).body);
    try {
      const recorded_at = this.#now();
      return await appendEvents(this.#connection, arrived, {
        recorded_at,
        expiresAt: (event) => this.#expiry(event, recorded_at).event,
      });
    } catch (error) {
      // It is dead-lettered now, body and all. Of several, each comes again by itself.
      const [event, ...others] = arrived;
      if (error instanceof Unprocessable && event !== undefined && others.length === 0)
        await deleteBody(this.#connection, event);
      throw error;
    }
  }

  async endUser(heronId: string, signal?: AbortSignal): Promise<EndUser | null> {
    if (!isHeronId(heronId)) return null;
    const found = await this.#connection.call((db) => endUserDocuments(db).doc(heronId).get(), signal);
    return endUserIn(found.data());
  }

  async endUsersOf(endUserId: string, signal?: AbortSignal): Promise<readonly EndUser[]> {
    if (!isIndexed(endUserId)) return [];
    return endUsersIn(await this.#read((db) => QUERIES.withId(db, endUserId, MAX_SAME_ID, null), signal));
  }

  async endUsersOfPage(endUserId: string, size: number, after: string | null, signal?: AbortSignal) {
    if (!isIndexed(endUserId)) return { endUsers: [], next: null };
    const found = await this.#read((db) => QUERIES.withId(db, endUserId, size + 1, after), signal);
    return sameIdPage(endUsersIn(found), size);
  }

  async endUsersNamed(heronIds: readonly string[], signal?: AbortSignal): Promise<readonly (EndUser | null)[]> {
    const known = [...new Set(heronIds.filter(isHeronId))];
    if (known.length === 0) return heronIds.map(() => null);
    const found = await this.#connection.call((db) => getAll(known.map((id) => endUserDocuments(db).doc(id))), signal);
    const byId = new Map(found.map((snapshot) => [snapshot.id, endUserIn(snapshot.data())]));
    return heronIds.map((id) => byId.get(id) ?? null);
  }

  async events(heronId: string, size: number, after: EventCursor | null, signal?: AbortSignal): Promise<EventPage> {
    if (!isHeronId(heronId)) return { events: [], next: null };
    // One more than asked for tells whether there is a next page.
    const found = await this.#read((db) => QUERIES.history(db, heronId, size + 1, after), signal);
    return page(found.map(loggedEvent), size);
  }

  async sentAt(heronId: string | null, created: Instant, signal?: AbortSignal): Promise<readonly LoggedEvent[]> {
    if (heronId !== null && !isHeronId(heronId)) return [];
    return (await this.#read((db) => QUERIES.sentAt(db, heronId, created), signal)).map(loggedEvent);
  }

  async event(eventId: string, signal?: AbortSignal): Promise<LoggedEvent | null> {
    if (!isEventId(eventId)) return null;
    const found = (await this.#connection.call((db) => eventDocuments(db).doc(eventId).get(), signal)).data();
    return found === undefined ? null : loggedEvent(found);
  }

  async body(eventId: string, signal?: AbortSignal): Promise<Uint8Array | null> {
    const event = await this.event(eventId, signal);
    return event === null
      ? null
      : (event.body ?? (await this.#connection.call((db) => readBody(db, eventId, event.bytes), signal)));
  }

  async listEndUsers(
    filter: EndUserFilter,
    size: number,
    after: EndUserCursor | null,
    signal?: AbortSignal,
  ): Promise<EndUserPage> {
    const pages = (await this.#stored(filter, signal)).map((each) =>
      this.#read((db) => QUERIES.listedPage(db, each, size + 1, after), signal),
    );
    const found = (await Promise.all(pages)).flat().flatMap((each) => (each.kind === 'state' ? [each] : []));
    return endUserPage(found.sort(changedLast), size);
  }

  async countListed(filter: EndUserFilter, signal?: AbortSignal): Promise<number> {
    const counts = (await this.#stored(filter, signal)).map((each) =>
      this.#count((db) => QUERIES.listed(db, each), signal),
    );
    return (await Promise.all(counts)).reduce((a, b) => a + b, 0);
  }

  /** What the documents are asked for: "other" is each status that there is and Heron does not document, and none. */
  async #stored({ status, ...filter }: EndUserFilter, signal?: AbortSignal): Promise<readonly StoredFilter[]> {
    if (status !== OTHER) return [status === undefined ? filter : { ...filter, status }];
    const others: (string | null)[] = [null];
    for (let last = ''; others.length <= MAX_OTHER_STATUSES; ) {
      const [next] = endUsersIn(await this.#read((db) => QUERIES.nextStatus(db, last), signal));
      if (next?.status === undefined || next.status === null) break;
      last = next.status;
      if (!STATUSES.some((known) => known === last)) others.push(last);
    }
    return others.map((each) => ({ ...filter, status: each }));
  }

  async eventsOfTopic(topic: string, size: number, after: LogCursor | null, signal?: AbortSignal) {
    if (!isIndexed(topic)) return { events: [], next: null };
    const found = await this.#read((db) => QUERIES.newestOfTopic(db, topic, size + 1, after), signal);
    return logPage(found.map(loggedEvent), size);
  }

  async unroutedEvents(size: number, after: LogCursor | null, signal?: AbortSignal) {
    const found = await this.#read((db) => QUERIES.newestUnrouted(db, size + 1, after), signal);
    return logPage(
      found.map((event) => ({ ...loggedEvent(event), reason: event.reason ?? '' })),
      size,
    );
  }

  /** Looks at one event a topic: the log is never read, and no index begins with a time. */
  async topics(signal?: AbortSignal): Promise<Topics> {
    const [without, ...stretches] = await Promise.all([
      this.#latest(QUERIES.latestWithoutTopic, signal),
      ...STRETCHES.map(([from, before]) => this.#topicsIn(from, before, signal)),
    ]);
    const found = stretches.flat();
    const listed = found.slice(0, MAX_TOPICS);
    return { topics: without === null ? listed : [...listed, without], isCut: found.length > MAX_TOPICS };
  }

  /** Those of a stretch of the alphabet, the last first; one more than may be listed tells that there are. */
  async #topicsIn(from: string | null, before: string | null, signal?: AbortSignal): Promise<readonly TopicInLog[]> {
    const found: TopicInLog[] = [];
    for (let end = before; found.length <= MAX_TOPICS; ) {
      const next = await this.#latest((db) => QUERIES.latestByTopic(db, from, end), signal);
      if (next === null || next.topic === null) break;
      end = next.topic;
      if (end !== CANARY_TOPIC) found.push(next);
    }
    return found;
  }

  async #latest(query: (db: Firestore) => Query<StoredEvent>, signal?: AbortSignal): Promise<TopicInLog | null> {
    const [event] = await this.#read(query, signal);
    return event === undefined ? null : { topic: event.topic, recorded_at: event.recorded_at };
  }

  async countEvents(topic: string | null, from: Instant, to: Instant, signal?: AbortSignal): Promise<number> {
    return this.#count((db) => QUERIES.ofTopic(db, topic, from, to), signal);
  }

  async countUnrouted(from: Instant, signal?: AbortSignal): Promise<number> {
    return this.#count((db) => QUERIES.unroutedFrom(db, from), signal);
  }

  watch(watched: Watched, onStates: (endUsers: readonly EndUser[]) => void, onFailure: OnFailure): Stop {
    if ('heron_id' in watched) {
      const { heron_id } = watched;
      return this.#connection.watch({
        begin: (db, failed) =>
          endUserDocuments(db)
            .doc(heron_id)
            .onSnapshot((snapshot) => onStates(endUsersIn([snapshot.data() ?? []].flat())), failed),
        onFailure,
      });
    }
    const { end_user_id } = watched;
    if (!isIndexed(end_user_id)) throw new TypeError('No end user can have this id.');
    return this.#connection.watch({
      begin: (db, failed) =>
        QUERIES.withId(db, end_user_id, MAX_SAME_ID, null).onSnapshot(
          ({ docs }) => onStates(endUsersIn(docs.map(dataOf))),
          failed,
        ),
      onFailure,
    });
  }

  watchChanges(
    onChanges: (changed: readonly EndUser[] | null) => void,
    onFailure: OnFailure,
    onBlind: () => void = () => {},
  ): Stop {
    return this.#connection.watch({
      begin: (db, failed) => {
        let begun = false;
        return QUERIES.changes(db, MAX_CHANGES).onSnapshot((snapshot) => {
          const changed = begun ? changesIn(snapshot, MAX_CHANGES) : null;
          begun = true;
          if (changed === null || changed.length > 0) onChanges(changed);
        }, failed);
      },
      onFailure,
      onBlind,
    });
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  #expiry(event: HeronEvent, recordedAt: Instant) {
    return expiry(event, recordedAt, this.#retentionDays);
  }

  async #read<T>(query: (db: Firestore) => Query<T>, signal: AbortSignal | undefined): Promise<T[]> {
    return (await this.#connection.call((db) => query(db).get(), signal)).docs.map(dataOf);
  }

  async #count(query: (db: Firestore) => Query<unknown>, signal: AbortSignal | undefined): Promise<number> {
    return (await this.#connection.call((db) => query(db).count().get(), signal)).data().count;
  }
}

function stretchesOf(ends: readonly string[]): readonly (readonly [from: string | null, before: string | null])[] {
  return [...ends.map((end, n) => [ends[n - 1] ?? null, end] as const), [ends.at(-1) ?? null, null] as const].reverse();
}

/** A lone surrogate is no text to Firestore, which refuses it, or would take it for another character. */
function isIndexed(text: string): boolean {
  return text.isWellFormed() && Buffer.byteLength(text) <= MAX_INDEXED_BYTES;
}

function dataOf<T>(snapshot: QueryDocumentSnapshot<T>): T {
  return snapshot.data();
}

function loggedEvent({ expires_at, reason, ...event }: StoredEvent): LoggedEvent {
  return event;
}

/** Typed, unlike the client's own. */
async function getAll<T>(documents: readonly DocumentReference<T>[]): Promise<readonly DocumentSnapshot<T>[]> {
  const [first] = documents;
  return first === undefined
    ? []
    : ((await first.firestore.getAll(...(documents as unknown as DocumentReference[]))) as never);
}

function changedLast(a: Changed, b: Changed): number {
  return descending(a.changed_at, b.changed_at) || descending(a.endUser.heron_id, b.endUser.heron_id);
}

function descending(a: string, b: string): number {
  return a < b ? 1 : a > b ? -1 : 0;
}

function endUserIn(stored: Stored | undefined): EndUser | null {
  return stored?.kind === 'state' ? stored.endUser : null;
}

function endUsersIn(stored: readonly Stored[]): readonly EndUser[] {
  return stored.flatMap((each) => endUserIn(each) ?? []);
}
