import { type EndUser, evolve } from '../events/end-user.ts';
import { concernsEndUser, type HeronEvent, Unprocessable } from '../events/event.ts';
import { instantOf } from '../heron/instant.ts';
import {
  type Appended,
  type EventCursor,
  type EventPage,
  type LoggedEvent,
  MAX_INLINE_BYTES,
  MAX_SAME_ID,
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
    const fresh = events.filter(({ event_id }) => !this.#events.has(event_id));
    const states = new Map<string, EndUser>();
    for (const event of fresh.filter(concernsEndUser)) {
      const state = states.get(event.heron_id) ?? this.#endUsers.get(event.heron_id) ?? null;
      try {
        states.set(event.heron_id, evolve(state, event));
      } catch (cause) {
        throw new Unprocessable('the event cannot be folded', { cause });
      }
    }
    for (const { undocumented, meta, ...event } of fresh)
      this.#events.set(event.event_id, {
        ...event,
        recorded_at: instantOf(this.#now()),
        bytes: event.body.byteLength,
        body: Uint8Array.from(event.body),
      });
    for (const [id, state] of states) this.#endUsers.set(id, state);
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

/** Cuts a page out of events in order, of which there may be more than the page takes. */
export function page(events: readonly LoggedEvent[], size: number): EventPage {
  const last = events[size - 1];
  return { events: events.slice(0, size), next: events.length > size && last !== undefined ? last : null };
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
