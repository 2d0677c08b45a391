import type { Clock } from '../clock.ts';
import type { EndUser } from '../events/end-user.ts';
import { eventOf, type HeronEvent, type ReadEvent } from '../events/event.ts';
import { CANARY_ID, CANARY_TOPIC } from '../heron/canary.ts';
import { epoch, type Instant, instantOfEpoch } from '../heron/instant.ts';
import { STATUSES } from '../heron/status.ts';
import { whyUnrouted } from '../heron/unrouted.ts';
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
  type LogCursor,
  type LoggedEvent,
  logPage,
  MAX_INLINE_BYTES,
  MAX_SAME_ID,
  MAX_SENT_AT,
  MAX_TOPICS,
  type OnFailure,
  OTHER,
  page,
  type Stop,
  type Store,
  sameIdPage,
  type Topics,
  type Watched,
} from './store.ts';
import { hashOf, type StoredTombstone, toTombstone } from './tombstone.ts';
import {
  type Checkpoint,
  differencesOf,
  type Erased,
  type LogPlace,
  type Mended,
  type Misread,
  misreadIn,
  type Recomputed,
  readingsOf,
  type Stretch,
  type Surveyed,
  type Tombstone,
  type Upkeep,
} from './upkeep.ts';

type Logged = LoggedEvent & { readonly body: Uint8Array; readonly reason: string | null };

/** The in-memory twin of the Firestore store, for tests and for machines without the emulator. */
export class MemoryStore implements Store, Upkeep {
  readonly #now: Clock;
  readonly #events = new Map<string, Logged>();
  /** By which end users are listed and told of, so that the canary is not among them. */
  readonly #changedAt = new Map<string, Instant>();
  #lastMoment: Instant;
  readonly #endUsers = new Map<string, EndUser>();
  /** Told of each end user that changes; null says that one is gone. */
  readonly #watches = new Set<(changed: EndUser | null) => void>();
  readonly #tombstones = new Map<string, StoredTombstone>();
  #checkpoint: Checkpoint | null = null;

  constructor(now: Clock) {
    this.#now = now;
    this.#lastMoment = now();
  }

  async append(events: readonly HeronEvent[]): Promise<readonly Appended[]> {
    const heronId = endUserOf(events);
    const idOnly = heronId === null ? (events[0]?.end_user_id ?? null) : null;
    if (heronId !== null ? this.#tombstones.has(heronId) : idOnly !== null && this.#isErased(idOnly))
      return events.map(() => 'forgotten');
    const fresh = events.filter(({ event_id }) => !this.#events.has(event_id));
    const before = heronId === null ? null : (this.#endUsers.get(heronId) ?? null);
    const state = heronId === null ? null : fold(before, heronId, fresh);
    const recorded_at = this.#now();
    for (const { undocumented, json, meta, ...event } of fresh)
      this.#events.set(event.event_id, {
        ...event,
        reason: whyUnrouted({ ...event, undocumented }),
        recorded_at,
        bytes: event.body.byteLength,
        body: Uint8Array.from(event.body),
      });
    if (state !== null) this.#endUsers.set(state.heron_id, state);
    if (state !== null && fresh.length > 0) this.#tell(state);
    return events.map((event) => (fresh.includes(event) ? 'appended' : 'duplicate'));
  }

  async endUser(heronId: string): Promise<EndUser | null> {
    return this.#endUsers.get(heronId) ?? null;
  }

  async endUsersOf(endUserId: string): Promise<readonly EndUser[]> {
    return [...this.#endUsers.values()]
      .filter((endUser) => endUser.end_user_id === endUserId)
      .sort((a, b) => descending(b.heron_id, a.heron_id))
      .slice(0, MAX_SAME_ID);
  }

  async endUsersOfPage(endUserId: string, size: number, after: string | null) {
    const found = [...this.#endUsers.values()]
      .filter((endUser) => endUser.end_user_id === endUserId && (after === null || endUser.heron_id > after))
      .sort((a, b) => descending(b.heron_id, a.heron_id));
    return sameIdPage(found, size);
  }

  async endUsersNamed(heronIds: readonly string[]): Promise<readonly (EndUser | null)[]> {
    return heronIds.map((id) => this.#endUsers.get(id) ?? null);
  }

  async events(heronId: string, size: number, after: EventCursor | null): Promise<EventPage> {
    const events = [...this.#events.values()]
      .filter((event) => event.heron_id === heronId && (after === null || newestFirst(event, after) > 0))
      .sort(newestFirst)
      .map(listed);
    return page(events, size);
  }

  async sentAt(heronId: string | null, created: Instant): Promise<readonly LoggedEvent[]> {
    const events = [...this.#events.values()].filter(
      (event) => event.heron_id === heronId && event.created === created,
    );
    return events.sort(newestFirst).slice(0, MAX_SENT_AT).map(listed);
  }

  async event(eventId: string): Promise<LoggedEvent | null> {
    const event = this.#events.get(eventId);
    return event === undefined ? null : listed(event);
  }

  async body(eventId: string): Promise<Uint8Array | null> {
    return this.#events.get(eventId)?.body ?? null;
  }

  async forget(heronId: string, by: string) {
    const before = this.#tombstones.get(heronId);
    if (before !== undefined) return { tombstone: toTombstone(before), was: 'tombstone' as const };
    const ids = [this.#endUsers.get(heronId)?.end_user_id ?? []].flat();
    const tombstone = { at: this.#now(), by, events: 0, end_user_ids: ids.map(hashOf), unfinished: ids };
    this.#tombstones.set(heronId, tombstone);
    const had = this.#endUsers.delete(heronId);
    if (had) this.#tell(null);
    return { tombstone: toTombstone(tombstone), was: had ? ('state' as const) : null };
  }

  async tombstone(heronId: string): Promise<Tombstone | null> {
    const tombstone = this.#tombstones.get(heronId);
    return tombstone === undefined ? null : toTombstone(tombstone);
  }

  async erase(heronId: string): Promise<Erased> {
    const tombstone = this.#tombstones.get(heronId);
    if (tombstone === undefined) throw new Error(`${heronId} is not forgotten: nothing more was erased.`);
    const own = this.#of(heronId);
    const named = own.map(({ end_user_id }) => end_user_id).filter((id) => id !== null);
    const ids = [...new Set([...tombstone.unfinished, ...named])];
    const left = (id: string) =>
      [...this.#events.values()].filter((event) => event.heron_id === null && event.end_user_id === id);
    const others = (id: string) => [...this.#endUsers.values()].filter((endUser) => endUser.end_user_id === id);
    const erased = [...own, ...ids.filter((id) => others(id).length === 0).flatMap(left)];
    for (const { event_id } of erased) this.#events.delete(event_id);
    const unfinished = ids.filter((id) => left(id).length > 0);
    this.#tombstones.set(heronId, {
      ...tombstone,
      events: tombstone.events + erased.length,
      end_user_ids: [...new Set([...tombstone.end_user_ids, ...named.map(hashOf)])],
      unfinished,
    });
    const bodies = erased.filter(({ bytes }) => bytes > MAX_INLINE_BYTES).length;
    const shared = unfinished.map((id) => ({
      end_user_id: id,
      heron_ids: others(id)
        .map(({ heron_id }) => heron_id)
        .sort(),
      event_ids: left(id).map(({ event_id }) => event_id),
    }));
    const isOver = erased.length === 0;
    return { events: erased.length, bodies, isOver, shared: isOver ? shared : [] };
  }

  async lift(heronId: string): Promise<Tombstone | null> {
    if (!this.#tombstones.has(heronId)) return null;
    while (!(await this.erase(heronId)).isOver);
    const tombstone = await this.tombstone(heronId);
    this.#tombstones.delete(heronId);
    return tombstone;
  }

  /** Whether what names only this id is refused: it was that of an end user who is forgotten, and no other has it. */
  #isErased(endUserId: string): boolean {
    return (
      [...this.#tombstones.values()].some(({ end_user_ids }) => end_user_ids.includes(hashOf(endUserId))) &&
      ![...this.#endUsers.values()].some(({ end_user_id }) => end_user_id === endUserId)
    );
  }

  /** All of it is one stretch. */
  async *survey(after: LogPlace | null): AsyncGenerator<Stretch> {
    const events = this.#behind(after);
    const inLog = events.flatMap(({ heron_id }) => heron_id ?? []);
    const last = after?.heron_id ?? '';
    const ids = [...this.#endUsers.keys(), ...this.#tombstones.keys(), ...inLog].filter((id) => id > last);
    yield this.#stretch(events, [...new Set(ids)].sort());
  }

  async *surveyOne(heronId: string): AsyncGenerator<Stretch> {
    const events = this.#of(heronId);
    const isKnown = events.length > 0 || this.#endUsers.has(heronId) || this.#tombstones.has(heronId);
    yield this.#stretch(events, isKnown ? [heronId] : []);
  }

  #stretch(events: readonly Logged[], ids: readonly string[]): Stretch {
    const read = events.map((stored) => ({ stored, event: eventOf(stored.body, stored.received_at) }));
    const misread = read.flatMap(({ stored, event }) => misreadIn(event, { ...stored, expires_at: null }) ?? []);
    const endUsers = ids.map((heron_id): Surveyed => {
      if (misread.some(({ stored }) => stored.heron_id === heron_id)) return { heron_id, outcome: 'suspect' };
      const { outcome } = this.#compared(heron_id);
      return { heron_id, outcome: outcome === 'different' || outcome === 'unknown' ? 'suspect' : outcome };
    });
    const untimed = read.filter(({ event }) => event.heron_id !== null && event.created === null).length;
    const counts = { events: events.length, untimed, damaged: 0 };
    return { read: events.length, counts, misread, endUsers, place: null };
  }

  #behind(place: LogPlace | null): readonly Logged[] {
    const { heron_id, event } = place ?? { heron_id: null, event: null };
    const isBehind = (logged: Logged) =>
      (logged.heron_id ?? '') === (heron_id ?? '')
        ? event !== null && newestFirst(logged, event) > 0
        : (logged.heron_id ?? '') > (heron_id ?? '');
    return [...this.#events.values()].filter((logged) => place === null || isBehind(logged));
  }

  async eventsBehind(place: LogPlace | null): Promise<number> {
    return this.#behind(place).length;
  }

  async mend(misread: readonly Misread[]): Promise<Mended> {
    let [mended, moved, erased] = [0, 0, 0];
    for (const { event } of misread) {
      const stored = this.#events.get(event.event_id);
      if (stored === undefined) continue;
      const { event_id, heron_id, end_user_id } = event;
      mended++;
      this.#events.set(event_id, { ...stored, ...readingsOf(event) });
      const isForgotten = heron_id !== null && this.#tombstones.has(heron_id);
      if (isForgotten || (heron_id === null && end_user_id !== null && this.#isErased(end_user_id))) {
        if (isForgotten) while (!(await this.erase(heron_id)).isOver);
        this.#events.delete(event_id);
        erased++;
      } else if (stored.heron_id !== heron_id) {
        moved++;
        const state = heron_id && fold(this.#endUsers.get(heron_id) ?? null, heron_id, [event as ReadEvent]);
        if (state) this.#endUsers.set(state.heron_id, state);
        if (state) this.#tell(state);
      }
    }
    return { mended, moved, erased };
  }

  async recompute(heronId: string, apply: boolean): Promise<Recomputed> {
    const { computed, ...recomputed } = this.#compared(heronId);
    if (!apply || recomputed.outcome !== 'different') return recomputed;
    if (computed) this.#endUsers.set(heronId, computed);
    else this.#endUsers.delete(heronId);
    this.#tell(computed ?? null);
    return recomputed;
  }

  #compared(heronId: string): Recomputed & { readonly computed?: EndUser | null } {
    if (this.#tombstones.has(heronId)) return { outcome: 'forgotten' };
    const stored = this.#endUsers.get(heronId) ?? null;
    const read = this.#of(heronId).map(({ body, received_at }) => eventOf(body, received_at));
    const own = read.filter(({ heron_id }) => heron_id === heronId);
    const computed = fold(null, heronId, own);
    const isElsewhere = own.length === 0 && stored !== null && this.#events.has(stored.last_event.id);
    if (own.length === 0 && !isElsewhere) return { outcome: stored === null ? 'unknown' : 'without_events' };
    if (computed === null && !isElsewhere) return { outcome: 'untimed' };
    const differences = differencesOf(stored, computed ?? {});
    if (differences.length === 0) return { outcome: 'right' };
    const fewerEvents = (stored?.event_count ?? 0) > (computed?.event_count ?? 0);
    return { outcome: 'different', differences, fewerEvents, computed };
  }

  async checkpoint(): Promise<Checkpoint | null> {
    return this.#checkpoint;
  }

  async saveCheckpoint(checkpoint: Checkpoint | null): Promise<void> {
    this.#checkpoint = checkpoint;
  }

  async listEndUsers(filter: EndUserFilter, size: number, after: EndUserCursor | null): Promise<EndUserPage> {
    const found = this.#filtered(filter)
      .map((endUser) => ({ endUser, changed_at: this.#changedAt.get(endUser.heron_id) as Instant }))
      .filter(({ endUser, changed_at }) => {
        return after === null || changedLast({ changed_at, heron_id: endUser.heron_id }, after) > 0;
      })
      .sort((a, b) => descending(a.changed_at, b.changed_at));
    return endUserPage(found, size);
  }

  async eventsOfTopic(topic: string, size: number, after: LogCursor | null) {
    return logPage(this.#newest((event) => event.topic === topic, after).map(listed), size);
  }

  async unroutedEvents(size: number, after: LogCursor | null) {
    const found = this.#newest(({ reason }) => reason !== null, after);
    return logPage(
      found.map((event) => ({ ...listed(event), reason: event.reason ?? '' })),
      size,
    );
  }

  #newest(holds: (event: Logged) => boolean, after: LogCursor | null): readonly Logged[] {
    return [...this.#events.values()]
      .filter((event) => (after === null || recordedLast(event, after) > 0) && holds(event))
      .sort(recordedLast);
  }

  async countListed(filter: EndUserFilter): Promise<number> {
    return this.#filtered(filter).length;
  }

  #filtered({ status, review_required, failing }: EndUserFilter): EndUser[] {
    const isOther = (endUser: EndUser) => !STATUSES.some((known) => known === endUser.status);
    return [...this.#endUsers.values()].filter(
      (endUser) =>
        this.#changedAt.has(endUser.heron_id) &&
        (status === undefined || (status === OTHER ? isOther(endUser) : endUser.status === status)) &&
        (failing === undefined || endUser.failing === failing) &&
        (review_required === undefined || endUser.review_required === review_required),
    );
  }

  async topics(): Promise<Topics> {
    const found = Map.groupBy(this.#events.values(), ({ topic }) => topic);
    found.delete(CANARY_TOPIC);
    const topics = [...found].map(([topic, events]) => ({
      topic,
      recorded_at: events.map((event) => event.recorded_at).reduce((a, b) => (a > b ? a : b)),
    }));
    const named = topics.filter(({ topic }) => topic !== null);
    if (named.length <= MAX_TOPICS) return { topics, isCut: false };
    const last = named.sort((a, b) => descending(a.topic ?? '', b.topic ?? '')).slice(0, MAX_TOPICS);
    return { topics: [...last, ...topics.filter(({ topic }) => topic === null)], isCut: true };
  }

  async countEvents(topic: string | null, from: Instant, to: Instant): Promise<number> {
    return [...this.#events.values()].filter(
      (event) => event.topic === topic && event.recorded_at >= from && event.recorded_at < to,
    ).length;
  }

  async countUnrouted(from: Instant): Promise<number> {
    return [...this.#events.values()].filter(({ reason, recorded_at }) => reason !== null && recorded_at >= from)
      .length;
  }

  watch(watched: Watched, onStates: (endUsers: readonly EndUser[]) => void, onFailure: OnFailure): Stop {
    const read = async () => {
      if ('end_user_id' in watched) return this.endUsersOf(watched.end_user_id);
      const endUser = await this.endUser(watched.heron_id);
      return endUser === null ? [] : [endUser];
    };
    const tell = (changed: EndUser | null) => {
      if (changed !== null && 'heron_id' in watched && changed.heron_id !== watched.heron_id) return;
      read().then((endUsers) => this.#watches.has(tell) && onStates(endUsers), onFailure);
    };
    this.#watches.add(tell);
    tell(null);
    return () => this.#watches.delete(tell);
  }

  watchChanges(onChanges: (changed: readonly EndUser[] | null) => void, _onFailure: OnFailure): Stop {
    const tell = (changed: EndUser | null) => {
      if (changed === null || this.#changedAt.has(changed.heron_id)) onChanges(changed && [changed]);
    };
    this.#watches.add(tell);
    queueMicrotask(() => this.#watches.has(tell) && onChanges(null));
    return () => this.#watches.delete(tell);
  }

  #tell(changed: EndUser | null): void {
    if (changed !== null && changed.heron_id !== CANARY_ID) this.#changedAt.set(changed.heron_id, this.#nextMoment());
    for (const told of [...this.#watches]) told(changed);
  }

  /** Of two changes the later one has the later time, as on a server. */
  #nextMoment(): Instant {
    const now = this.#now();
    const { seconds, microseconds } = epoch(this.#lastMoment > now ? this.#lastMoment : now);
    this.#lastMoment = instantOfEpoch(seconds + (microseconds === 999_999 ? 1 : 0), (microseconds + 1) % 1_000_000);
    return this.#lastMoment;
  }

  async close(): Promise<void> {}

  #of(heronId: string) {
    return [...this.#events.values()].filter((event) => event.heron_id === heronId);
  }
}

function changedLast(a: EndUserCursor, b: EndUserCursor): number {
  return descending(a.changed_at, b.changed_at) || descending(a.heron_id, b.heron_id);
}

function recordedLast(a: LogCursor, b: LogCursor): number {
  return descending(a.recorded_at, b.recorded_at) || descending(a.event_id, b.event_id);
}

function listed({ reason, ...event }: Logged): LoggedEvent {
  return event.bytes > MAX_INLINE_BYTES ? { ...event, body: null } : event;
}

function newestFirst(a: EventCursor, b: EventCursor): number {
  return descending(a.created ?? '', b.created ?? '') || descending(a.event_id, b.event_id);
}

function descending(a: string, b: string): number {
  return a < b ? 1 : a > b ? -1 : 0;
}
