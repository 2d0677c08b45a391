import { isDeepStrictEqual } from 'node:util';
import type { Instant } from '../heron/instant.ts';

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

/** How far a rebuild has come: all end users up to the cursor are done. */
export type Checkpoint = {
  readonly cursor: string;
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

  /** End users that have a state, a tombstone or events, by heron_id, and where to go on; null at the end. */
  endUsers(
    after: string | null,
    size: number,
  ): Promise<{ readonly ids: readonly string[]; readonly next: string | null }>;
  /** How many there are behind it; those that have events only are not counted. */
  countEndUsers(after: string | null): Promise<number>;
  /** Compares an end user's state with what the log says at that moment, and sets it where it differs, if wanted. */
  recompute(heronId: string, apply: boolean): Promise<Recomputed>;
  checkpoint(): Promise<Checkpoint | null>;
  saveCheckpoint(checkpoint: Checkpoint | null): Promise<void>;
  close(): Promise<void>;
}

type Fields = Readonly<Record<string, unknown>>;

/** @param stored null where there is none. */
export function differencesOf(stored: Fields | null, computed: Fields): readonly Difference[] {
  const fields = new Set([...Object.keys(computed), ...Object.keys(stored ?? {})]);
  return [...fields]
    .map((field) => ({ field, stored: stored?.[field], computed: computed[field] }))
    .filter((each) => !isDeepStrictEqual(each.stored, each.computed));
}
