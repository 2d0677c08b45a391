import { setTimeout as sleep } from 'node:timers/promises';
import { type EndUser, evolve } from '../../functions/events/end-user.ts';
import { concernsEndUser, type EndUserEvent, eventOf, type HeronEvent } from '../../functions/events/event.ts';
import { instantOf } from '../../functions/heron/instant.ts';

export const RECEIVED = instantOf(Date.UTC(2026, 7, 14, 12, 24, 39));

type Fields = {
  readonly topic?: string;
  readonly created?: string | null;
  readonly meta?: unknown;
  /** All others are in `data`. */
  readonly [field: string]: unknown;
};

/** An event as Heron's webhook brings it. */
export function event({
  topic = 'end_user.processed',
  created = '2026-08-14T12:24:38.137886',
  meta = null,
  ...data
}: Fields): HeronEvent {
  return logged(JSON.stringify({ topic, created, data, meta }));
}

/** An event with any body at all. */
export function logged(body: string | Uint8Array): HeronEvent {
  return eventOf(Buffer.from(body), RECEIVED);
}

/** The event as an older program read it, which understood some of it in another way, or not at all. */
export function misread(given: HeronEvent, as: Partial<HeronEvent>): HeronEvent {
  return { ...given, ...as };
}

/** An event that changes an end user's state. */
export function endUserEvent(fields: Fields & { readonly heron_id: string }): EndUserEvent {
  const made = event(fields);
  if (!concernsEndUser(made)) throw new Error('This event concerns no end user.');
  return made;
}

/** The event with a body of so many bytes. */
export function sized(bytes: number, fields: Fields & { readonly heron_id: string }): EndUserEvent {
  const bare = endUserEvent({ ...fields, padding: '' }).body.byteLength;
  return endUserEvent({ ...fields, padding: 'x'.repeat(bytes - bare) });
}

/** The state from scratch: of the set of events, in an order of its own. */
export function foldOf(events: readonly HeronEvent[]): EndUser | null {
  const distinct = new Map(events.filter(concernsEndUser).map((each) => [each.event_id, each]));
  return [...distinct.values()]
    .sort((a, b) => (a.event_id < b.event_id ? -1 : 1))
    .reduce<EndUser | null>((state, each) => evolve(state, each), null);
}

/** Sends again what was refused, as Pub/Sub does. */
export async function persistently<T>(work: () => Promise<T>, attempts = 20): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (attempt === attempts) throw error;
      await sleep(50 * attempt * Math.random());
    }
  }
}
