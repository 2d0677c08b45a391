import { type EndUser, evolve } from '../events/end-user.ts';
import { concernsEndUser, type HeronEvent, type ReadEvent, Unprocessable } from '../events/event.ts';
import type { Instant } from '../heron/instant.ts';
import { isHeronId } from '../heron/webhook.ts';

/**
 * `duplicate`: the log had it already; `forgotten`: its end user's data was erased, and no more is taken. Nothing was
 * written for either.
 */
export type Appended = 'appended' | 'duplicate' | 'forgotten';

/** An event as the log has it. */
export type LoggedEvent = {
  readonly event_id: string;
  readonly topic: string | null;
  readonly created: Instant | null;
  readonly received_at: Instant;
  readonly recorded_at: Instant;
  readonly heron_id: string | null;
  readonly end_user_id: string | null;
  readonly status: string | null;
  /** Length of the body. */
  readonly bytes: number;
  /** The body, byte for byte; null where it is over {@link MAX_INLINE_BYTES}: then {@link Store.body} has it. */
  readonly body: Uint8Array | null;
};

/** Where a page ends: the next one begins behind this event. */
export type EventCursor = { readonly created: Instant | null; readonly event_id: string };

export type EventPage = { readonly events: readonly LoggedEvent[]; readonly next: EventCursor | null };

/**
 * Which end users: all, those of one status ({@link OTHER}: of none that Heron documents, or of none at all), for which
 * a review is still required, or which failed last.
 */
export type EndUserFilter = { readonly status?: string; readonly review_required?: true; readonly failing?: true };
export const OTHER = 'other';

/** Where a page of end users ends. */
export type EndUserCursor = { readonly changed_at: Instant; readonly heron_id: string };

export type EndUserPage = { readonly endUsers: readonly EndUser[]; readonly next: EndUserCursor | null };

/** A page of those with one customer's id. @param next the last one's heron_id: the next page begins behind it. */
export type SameIdPage = { readonly endUsers: readonly EndUser[]; readonly next: string | null };

/** Where a page of the log ends: the next one begins behind this event. */
export type LogCursor = { readonly recorded_at: Instant; readonly event_id: string };

export type LogPage<E extends LoggedEvent> = { readonly events: readonly E[]; readonly next: LogCursor | null };

/** An event that has no place of its own, and why: see {@link whyUnrouted}. */
type UnroutedEvent = LoggedEvent & { readonly reason: string };

/** The log's topics. @param isCut there are more than are told. */
export type Topics = { readonly topics: readonly TopicInLog[]; readonly isCut: boolean };

/** A topic that the log has, null for events that name none, and when its latest event was recorded. */
export type TopicInLog = { readonly topic: string | null; readonly recorded_at: Instant };

/** Whom to watch: one end user, or all with a customer's id; they need not exist yet. */
export type Watched = { readonly heron_id: string } | { readonly end_user_id: string };

/** Called when a watch cannot go on; nothing is called after it. */
export type OnFailure = (error: unknown) => void;

/** Ends a watch; nothing is called after it. */
export type Stop = () => void;

/**
 * The port to the event log and to the states folded from it. Reads end with the reason of a `signal` that is given, if
 * it comes first.
 */
export interface Store {
  /**
   * Appends events to the log and folds them into their end user's state, all of it or nothing. Each counts once,
   * however often and wherever it was appended before. Where it rejects, nobody can tell whether it was written (the
   * answer may be what was lost): append again.
   * @param events of one end user, each with another id; or a single one that names none.
   * @throws Unprocessable where it would fail every time; other errors may pass.
   */
  append(events: readonly HeronEvent[]): Promise<readonly Appended[]>;
  /** Null also where the end user is forgotten. */
  endUser(heronId: string, signal?: AbortSignal): Promise<EndUser | null>;
  /** All end users with a customer's id, by heron_id; it is the customer's to keep it unique. At most 100. */
  endUsersOf(endUserId: string, signal?: AbortSignal): Promise<readonly EndUser[]>;
  /** The same page by page. @param size at least 1. */
  endUsersOfPage(endUserId: string, size: number, after: string | null, signal?: AbortSignal): Promise<SameIdPage>;
  /** Many at once, in the order of their ids; null for who is unknown. @param heronIds at most 500. */
  endUsersNamed(heronIds: readonly string[], signal?: AbortSignal): Promise<readonly (EndUser | null)[]>;
  /** An end user's events, newest `created` first; those without a time come last. @param size at least 1. */
  events(heronId: string, size: number, after: EventCursor | null, signal?: AbortSignal): Promise<EventPage>;
  /** The events of an end user, or of none, that Heron sent at one moment, by their id. At most {@link MAX_SENT_AT}. */
  sentAt(heronId: string | null, created: Instant, signal?: AbortSignal): Promise<readonly LoggedEvent[]>;
  event(eventId: string, signal?: AbortSignal): Promise<LoggedEvent | null>;
  /** A body, byte for byte, or null where the log has no such event. */
  body(eventId: string, signal?: AbortSignal): Promise<Uint8Array | null>;
  /** End users, those that changed last first. @param size at least 1. */
  listEndUsers(
    filter: EndUserFilter,
    size: number,
    after: EndUserCursor | null,
    signal?: AbortSignal,
  ): Promise<EndUserPage>;
  /** How many; counted by indexes, not by reading them. */
  countListed(filter: EndUserFilter, signal?: AbortSignal): Promise<number>;
  /** A topic's events, newest recorded first. @param size at least 1. */
  eventsOfTopic(
    topic: string,
    size: number,
    after: LogCursor | null,
    signal?: AbortSignal,
  ): Promise<LogPage<LoggedEvent>>;
  /** The events that have no place of their own, newest recorded first. @param size at least 1. */
  unroutedEvents(size: number, after: LogCursor | null, signal?: AbortSignal): Promise<LogPage<UnroutedEvent>>;
  /** At most {@link MAX_TOPICS}, the last by name, and those events that name none. */
  topics(signal?: AbortSignal): Promise<Topics>;
  /** How many events of a topic were recorded from a time on, and before another. */
  countEvents(topic: string | null, from: Instant, to: Instant, signal?: AbortSignal): Promise<number>;
  /** How many events that have no place of their own were recorded from a time on. */
  countUnrouted(from: Instant, signal?: AbortSignal): Promise<number>;
  /** Calls back with what there is, soon, and then after each change. */
  watch(watched: Watched, onStates: (endUsers: readonly EndUser[]) => void, onFailure: OnFailure): Stop;
  /**
   * Calls back with null once it watches, and then with the end users that change, whichever they are, in the order in
   * which they do. Null again means that some may have been missed. After each null, what is known of end users must be read again.
   */
  watchChanges(
    onChanges: (changed: readonly EndUser[] | null) => void,
    onFailure: OnFailure,
    /** It cannot see for now; once it can, it calls back with null. */
    onBlind?: () => void,
  ): Stop;
  close(): Promise<void>;
}

/** Bodies up to this size are kept in the event itself; Firestore takes documents of 1 MiB. */
export const MAX_INLINE_BYTES = 32 * 1024;
/** More end users than this with one customer id are not listed. */
export const MAX_SAME_ID = 100;
/** Heron's `created` has microseconds: more events than this of one end user share none. */
export const MAX_SENT_AT = 100;
/** Heron documents 44. */
export const MAX_TOPICS = 200;
/** More statuses than this that Heron does not document are not looked at one by one. */
export const MAX_OTHER_STATUSES = 50;
/** Where more end users than this change at once, a watch cannot tell which. */
export const MAX_CHANGES = 100;

/** Cuts a page out of events in order, of which there may be more than the page takes. */
export function page(events: readonly LoggedEvent[], size: number): EventPage {
  const last = events[size - 1];
  const next = events.length > size && last !== undefined ? { created: last.created, event_id: last.event_id } : null;
  return { events: events.slice(0, size), next };
}

/** A state, and when it was written. */
export type Changed = { readonly endUser: EndUser; readonly changed_at: Instant };

/** Cuts a page out of end users in order, of which there may be more than the page takes. */
export function endUserPage(changed: readonly Changed[], size: number): EndUserPage {
  const last = changed.length > size ? changed[size - 1] : undefined;
  const next = last === undefined ? null : { changed_at: last.changed_at, heron_id: last.endUser.heron_id };
  return { endUsers: changed.slice(0, size).map(({ endUser }) => endUser), next };
}

export function logPage<E extends LoggedEvent>(events: readonly E[], size: number): LogPage<E> {
  const last = events.length > size ? events[size - 1] : undefined;
  const next = last === undefined ? null : { recorded_at: last.recorded_at, event_id: last.event_id };
  return { events: events.slice(0, size), next };
}

export function sameIdPage(endUsers: readonly EndUser[], size: number): SameIdPage {
  const last = endUsers.length > size ? endUsers[size - 1] : undefined;
  return { endUsers: endUsers.slice(0, size), next: last?.heron_id ?? null };
}

/** The end user that the events name, or null. */
export function endUserOf(events: readonly ReadEvent[]): string | null {
  const [id = null, ...others] = new Set(events.map(({ heron_id }) => heron_id));
  if (others.length > 0 || (id === null && events.length > 1))
    throw new TypeError('Only events of one end user share a transaction.');
  if (id !== null && !isHeronId(id)) throw new TypeError('This heron_id cannot be the name of a document.');
  return id;
}

/** The state after those of the events that concern the end user. @throws Unprocessable: it would fail every time. */
export function fold<E extends ReadEvent>(
  state: EndUser | null,
  heronId: string,
  events: readonly E[],
  counts: boolean | ((event: E) => boolean) = true,
): EndUser | null {
  try {
    return events
      .filter(concernsEndUser)
      .filter((event) => event.heron_id === heronId)
      .reduce<EndUser | null>((before, event) => {
        const isCounted = typeof counts === 'boolean' ? counts : counts(event);
        return { ...evolve(before, event), event_count: (before?.event_count ?? 0) + (isCounted ? 1 : 0) };
      }, state);
  } catch (cause) {
    throw new Unprocessable('the event cannot be folded', { cause });
  }
}
