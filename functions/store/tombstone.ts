import { hash } from 'node:crypto';
import type { Tombstone } from './upkeep.ts';

/** A tombstone, and what is left to do. */
export type StoredTombstone = Tombstone & {
  /** Each end_user_id in plain text, until no event is left that names only that. */
  readonly unfinished: readonly string[];
};

export function toTombstone({ unfinished, ...tombstone }: StoredTombstone): Tombstone {
  return tombstone;
}

/**
 * After events were erased that named these ids, or none: they are refused from now on, and what names only them is
 * still to be erased.
 */
export function withErased(tombstone: StoredTombstone, named: readonly (string | null)[]): StoredTombstone {
  const ids = [...new Set(named.filter((id) => id !== null))];
  const fresh = ids.filter((id) => !tombstone.end_user_ids.includes(hashOf(id)));
  return {
    ...tombstone,
    events: tombstone.events + named.length,
    end_user_ids: [...tombstone.end_user_ids, ...fresh.map(hashOf)],
    unfinished: [...tombstone.unfinished, ...fresh],
  };
}

/** How a tombstone keeps a customer's id, which it may not keep as it is. */
export function hashOf(endUserId: string): string {
  return hash('sha256', endUserId);
}
