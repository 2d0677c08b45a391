import { createHash } from 'node:crypto';
import type { Tombstone } from './upkeep.ts';

/** A tombstone, and what is left to do. */
export type StoredTombstone = Tombstone & {
  /** Each end_user_id in plain text, until no event is left that names only that. */
  readonly unfinished: readonly string[];
};

export function toTombstone({ unfinished, ...tombstone }: StoredTombstone): Tombstone {
  return tombstone;
}

/** How a tombstone keeps a customer's id, which it may not keep as it is. */
export function hashOf(endUserId: string): string {
  return createHash('sha256').update(endUserId).digest('hex');
}
