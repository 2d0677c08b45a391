import type { Instant } from '../heron/instant.ts';
import {
  type EndUser,
  FOLD_VERSION,
  type Key,
  type Keys,
  keyOf,
  merge,
  SLOTS,
  type Slot,
  stateOf,
  stepOf,
} from './end-user.ts';

/** An older program must leave such a state alone, as what it does not know of would be lost. Later it may be newer. */
export class NewerFold extends Error {
  override readonly name = 'NewerFold';
  constructor(version: number) {
    super(`The state is of fold ${version}, and this program knows none above ${FOLD_VERSION}.`);
  }
}

/**
 * The state in place of one that an older fold left, or whose events the log has let go of: what the log says where it
 * has them all, and else for each part the later of the two. What an older fold did not know is null.
 * @param computed from the events that the log has; null where it has none.
 */
export function carryOver(old: EndUser, computed: EndUser | null): EndUser {
  if (computed === null) return kept(old);
  if (computed.event_count >= old.event_count) return computed;
  return { ...merge(kept(old), computed), event_count: old.event_count };
}

const KEY = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\|\d\|[0-9a-f]*$/;

/**
 * An older state in this fold's terms: by its own keys where this fold has such; where these do not give what the state
 * says, it counts as said when the state says it was, or else by its last event.
 */
function kept(old: EndUser): EndUser {
  const { end_user_id, status, meta, last_event, last_event_at } = old;
  const of = (keys: Keys) => stateOf(keys, { ...old, last_topic: last_event.topic });
  const own = SLOTS.flatMap((slot): [Slot, Key][] => {
    const key: unknown = old.fold.keys[slot];
    return typeof key === 'string' && KEY.test(key) ? [[slot, key as Key]] : [];
  });
  let keys: Keys = { last_event: keyOf(last_event.created, 'other', last_event.id), ...Object.fromEntries(own) };
  const say = (slot: Slot, at: Instant | null, carried: string | null = null) => {
    if (at !== null) keys = { ...keys, [slot]: keyOf(at, stepOf(carried), '') };
  };
  if (end_user_id !== null && !keys.end_user_id && !keys.end_user_id_elsewhere) say('end_user_id', last_event_at);
  if (meta !== null && !keys.meta) say('meta', last_event_at);
  if (!keys.meant_processed) say('meant_processed', old.processed_at);
  if (!keys.meant_failed) say('meant_failed', old.failed_at);
  if (!keys.meant_reviewed) say('meant_reviewed', old.reviewed_at);
  if (of(keys).status !== status) say(`carried_${stepOf(status)}`, old.status_at ?? last_event_at, status);
  if (old.review_required && !of(keys).review_required) say('review_asked', last_event_at);
  return of(keys);
}
