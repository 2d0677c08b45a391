import { type DocumentData, Timestamp } from '@google-cloud/firestore';
import type { EndUser } from '../events/end-user.ts';
import { stateDocument } from './documents.ts';
import { toInstant } from './timestamp.ts';
import { type Difference, differencesOf } from './upkeep.ts';

/**
 * How a state that is stored differs from the right one, as people read it.
 * @param stored null where there is none. @param right null where there should be none.
 */
export function differencesFrom(stored: DocumentData | null, right: EndUser | null): readonly Difference[] {
  return differencesOf(stored && content(stored), right === null ? {} : content(stateDocument(right)));
}

/** The state, without when and by whom it was written. */
function content({ changed_at, rebuilding, held_at, ...state }: DocumentData): DocumentData {
  return plain(state);
}

/** Times as text. */
function plain(data: DocumentData): DocumentData {
  const readable = (value: unknown): unknown => {
    if (value instanceof Timestamp) return toInstant(value);
    return isMap(value) ? plain(value) : value;
  };
  return Object.fromEntries(Object.entries(data).map(([field, value]) => [field, readable(value)]));
}

function isMap(value: unknown): value is DocumentData {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}
