import type { EndUser } from '../events/end-user.ts';
import type { HeronEvent } from '../events/event.ts';
import { instantOf } from '../heron/instant.ts';
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

/** The in-memory twin of the Firestore store, for tests and for machines without the emulator. */
export class MemoryStore implements Store {
  readonly #now: () => number;
  readonly #events = new Map<string, LoggedEvent & { body: Uint8Array }>();
  readonly #endUsers = new Map<string, EndUser>();

  constructor(now: () => number) {
    this.#now = now;
  }

  async append(events: readonly HeronEvent[]): Promise<readonly Appended[]> {
    const heronId = endUserOf(events);
    const fresh = events.filter(({ event_id }) => !this.#events.has(event_id));
    const before = heronId === null ? null : (this.#endUsers.get(heronId) ?? null);
    const state = heronId === null ? null : fold(before, heronId, fresh);
    const recorded_at = instantOf(this.#now());
    for (const { undocumented, meta, ...event } of fresh)
      this.#events.set(event.event_id, {
        ...event,
        recorded_at,
        bytes: event.body.byteLength,
        body: Uint8Array.from(event.body),
      });
    if (state !== null) this.#endUsers.set(state.heron_id, state);
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

  async events(heronId: string, size: number, after: EventCursor | null): Promise<EventPage> {
    const events = [...this.#events.values()]
      .filter((event) => event.heron_id === heronId && (after === null || newestFirst(event, after) > 0))
      .sort(newestFirst)
      .map(listed);
    return page(events, size);
  }

  async event(eventId: string): Promise<LoggedEvent | null> {
    const event = this.#events.get(eventId);
    return event === undefined ? null : listed(event);
  }

  async body(eventId: string): Promise<Uint8Array | null> {
    return this.#events.get(eventId)?.body ?? null;
  }

  async close(): Promise<void> {}
}

function listed(event: LoggedEvent): LoggedEvent {
  return event.bytes > MAX_INLINE_BYTES ? { ...event, body: null } : event;
}

function newestFirst(a: EventCursor, b: EventCursor): number {
  return descending(a.created ?? '', b.created ?? '') || descending(a.event_id, b.event_id);
}

function descending(a: string, b: string): number {
  return a < b ? 1 : a > b ? -1 : 0;
}
