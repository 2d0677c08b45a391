import { isDeepStrictEqual } from 'node:util';
import type { ReadEvent } from '../events/event.ts';
import type { Instant } from '../heron/instant.ts';
import { whyUnrouted } from '../heron/unrouted.ts';
import type { EventCursor, LoggedEvent } from './store.ts';

/** What is left of a forgotten end user. */
export type Tombstone = {
  readonly at: Instant;
  readonly by: string;
  /** How many events of it were erased so far. */
  readonly events: number;
  /** SHA-256 in hex of each end_user_id that its events named: what names only such an id is refused. */
  readonly end_user_ids: readonly string[];
};

/** What came of a step of an erasure. */
export type Erased = {
  readonly events: number;
  /** Of how many bodies that were kept apart the last part was deleted. */
  readonly bodies: number;
  /** A fresh look found nothing that is left, but for what is shared. */
  readonly isOver: boolean;
  /** Told once it is over. */
  readonly shared: readonly Shared[];
};

/** What stays, as it names only an end_user_id that other end users have. */
export type Shared = {
  readonly end_user_id: string;
  /** Who has it. */
  readonly heron_ids: readonly string[];
  /** Which events, at most 100. */
  readonly event_ids: readonly string[];
};

/** A field of a state that is not what the log says. */
export type Difference = { readonly field: string; readonly stored: unknown; readonly computed: unknown };

/**
 * What came of recomputing an end user's state; `without_events`: the log has none of it any more, the state stays;
 * `untimed`: no event of it has a time, and so it has no state; `newer`: the state is of a newer fold, and stays;
 * `unknown`: neither state nor log have it.
 */
export type Recomputed =
  | { readonly outcome: 'right' | 'forgotten' | 'without_events' | 'untimed' | 'newer' | 'unknown' }
  | {
      readonly outcome: 'different';
      readonly differences: readonly Difference[];
      /** The state had counted events that the log does not have any more. */
      readonly fewerEvents: boolean;
    };

/** What the log says about a body, which is as good as the program that read it; the body itself never changes. */
export type Readings = Pick<LoggedEvent, 'topic' | 'created' | 'heron_id' | 'end_user_id' | 'status'> & {
  /** Why the event has no place of its own; null where it has one. */
  readonly reason: string | null;
};

/** An event of which the log says something else than its body does. */
export type Misread = {
  /** As its body is read now. */
  readonly event: ReadEvent;
  readonly stored: Readings;
  readonly bytes: number;
  readonly recorded_at: Instant;
  readonly expires_at: Instant | null;
};

/**
 * What came of setting readings right: of how many events (others have gone meanwhile), how many of these belong to
 * another end user now, and how many were erased, as whom they name is forgotten.
 */
export type Mended = { readonly mended: number; readonly moved: number; readonly erased: number };

/**
 * A place in the log, which is in the order of heron_ids (events that name none are first), of each end user newest
 * first. @param event null: behind all of that end user's.
 */
export type LogPlace = { readonly heron_id: string | null; readonly event: EventCursor | null };

/** How an end user's state compares with its events; `suspect`: only {@link Upkeep.recompute} can tell. */
export type Surveyed = {
  readonly heron_id: string;
  readonly outcome: Exclude<Recomputed['outcome'], 'different' | 'unknown'> | 'suspect';
};

/** Of some events. */
export type EventCounts = {
  readonly events: number;
  /** How many of them name an end user, and have no time: no state counts them. */
  readonly untimed: number;
  /** How many have lost a part of their body, so that they cannot be read again. */
  readonly damaged: number;
};

/** What was seen on a stretch of the log. */
export type Stretch = {
  /** How many events were read. */
  readonly read: number;
  /** What the place has left behind: an end user's events count once all of them are read. */
  readonly counts: EventCounts;
  readonly misread: readonly Misread[];
  /** Those whose last event is on this stretch, and those between them that have none. */
  readonly endUsers: readonly Surveyed[];
  /** All before it is seen: where a survey can go on. Null at the end. */
  readonly place: LogPlace | null;
};

/** How far a rebuild has come: all before the place is done. */
export type Checkpoint = {
  readonly place: LogPlace;
  readonly started_at: Instant;
  /** One that is old may have come back with a backup: what changed since is behind it. */
  readonly saved_at: Instant;
  readonly fold_version: number;
  /** How many came to which outcome. */
  readonly tally: Readonly<Record<string, number>>;
};

/** The port to the store for operators: erasure and rebuilding, while events keep arriving. */
export interface Upkeep {
  /**
   * Leaves a tombstone in place of an end user's state, or the one that is there: from now on nothing of it is written,
   * and the store knows it no more; {@link erase} deletes what was written before.
   * @returns also what was there: its state, its tombstone, or null.
   */
  forget(
    heronId: string,
    by: string,
  ): Promise<{ readonly tombstone: Tombstone; readonly was: 'state' | 'tombstone' | null }>;
  tombstone(heronId: string): Promise<Tombstone | null>;
  /**
   * Deletes some of a forgotten end user's events and bodies, those of events that were never recorded too, and counts
   * the events on its tombstone. Events that name no heron_id but an end_user_id of it go as well, unless another end
   * user has that id. Call it until it is over.
   */
  erase(heronId: string): Promise<Erased>;
  /** Takes the tombstone away, after erasing what is left: new events count again. @returns it, or null: there was none. */
  lift(heronId: string): Promise<Tombstone | null>;

  /**
   * Goes once through the log behind a place, and through the states beside it, and changes nothing. What is mended on a
   * stretch that it has come past may show up once more further on.
   */
  survey(after: LogPlace | null): AsyncIterable<Stretch>;
  /** The same for one end user. */
  surveyOne(heronId: string): AsyncIterable<Stretch>;
  /** How many events are behind a place. */
  eventsBehind(place: LogPlace | null): Promise<number>;
  /**
   * Sets right what the log says of events of one end user, or of none, by how they are read now. Those that it did not
   * have before are folded into its state in the same transaction; whose they were must be recomputed.
   */
  mend(misread: readonly Misread[]): Promise<Mended>;
  /**
   * Compares an end user's state with what the log says at one moment, and sets it where it differs, if wanted, also
   * where its events never cease to arrive. @throws NewerFold
   */
  recompute(heronId: string, apply: boolean): Promise<Recomputed>;
  checkpoint(): Promise<Checkpoint | null>;
  saveCheckpoint(checkpoint: Checkpoint | null): Promise<void>;
  close(): Promise<void>;
}

export function readingsOf(event: ReadEvent): Readings {
  const { topic, created, heron_id, end_user_id, status } = event;
  return { topic, created, heron_id, end_user_id, status, reason: whyUnrouted(event) };
}

/** Null where the log says of an event what its body does. */
export function misreadIn(event: ReadEvent, logged: Readings & Omit<Misread, 'event' | 'stored'>): Misread | null {
  const { topic, created, heron_id, end_user_id, status, reason, bytes, recorded_at, expires_at } = logged;
  const stored: Readings = { topic, created, heron_id, end_user_id, status, reason };
  if (differencesOf(stored, readingsOf(event)).length === 0) return null;
  return { event, stored, bytes, recorded_at, expires_at };
}

type Fields = Readonly<Record<string, unknown>>;

/** @param stored null where there is none. */
export function differencesOf(stored: Fields | null, computed: Fields): readonly Difference[] {
  const fields = new Set([...Object.keys(computed), ...Object.keys(stored ?? {})]);
  return [...fields]
    .map((field) => ({ field, stored: stored?.[field], computed: computed[field] }))
    .filter((each) => !isDeepStrictEqual(each.stored, each.computed));
}
