import type { Instant } from '../heron/instant.ts';
import type { JsonObject } from '../heron/webhook.ts';
import type { EndUserEvent } from './event.ts';

/**
 * Where an end user stands: a function of the set of its events, whatever their order. {@link evolve} takes one event
 * at a time and never reads history: what the next event must be compared with is kept in `fold`.
 */
export type EndUser = {
  readonly heron_id: string;
  /** The customer's own id. */
  readonly end_user_id: string | null;
  /** `new`, `ready`, `processed`, `reviewed`, `review_requested`, `failed`, or one that Heron adds later. */
  readonly status: string | null;
  readonly status_at: Instant | null;
  /** A review was asked for and none has happened since. */
  readonly review_required: boolean;
  readonly first_event_at: Instant;
  readonly last_event_at: Instant;
  readonly last_event: { readonly id: string; readonly topic: string | null; readonly created: Instant };
  readonly event_count: number;
  readonly meta: JsonObject | null;
  readonly fold: { readonly version: number; readonly keys: Keys };
};

/** An event's place: created, rank of its status, id; compared as text. */
export type Key = string & { readonly key: unique symbol };

/** The greatest key so far among the events that could decide each part of the state; null where there was none. */
export type Keys = {
  readonly end_user_id: Key | null;
  readonly meta: Key | null;
  readonly last_event: Key | null;
  readonly review_required: Key | null;
  readonly reviewed: Key | null;
  readonly status: Key | null;
};

/** Raise it with every change of what {@link evolve} computes: states of another version are recomputed from the log. */
export const FOLD_VERSION = 1;

/** Among events of one microsecond the later step of Heron's process wins; one digit each, as keys are text. */
const RANK: ReadonlyMap<string | null, number> = new Map([
  ['new', 0],
  ['ready', 1],
  ['review_requested', 3],
  ['processed', 4],
  ['failed', 5],
  ['reviewed', 6],
]);
const RANK_OF_OTHERS = 2;

function keyOf(event: EndUserEvent): Key {
  return `${event.created}|${RANK.get(event.status) ?? RANK_OF_OTHERS}|${event.event_id}` as Key;
}

function initialState(event: EndUserEvent): EndUser {
  const keys: Keys = {
    end_user_id: null,
    meta: null,
    last_event: null,
    review_required: null,
    reviewed: null,
    status: null,
  };
  return {
    heron_id: event.heron_id,
    end_user_id: null,
    status: null,
    status_at: null,
    review_required: false,
    first_event_at: event.created,
    last_event_at: event.created,
    last_event: { id: event.event_id, topic: event.topic, created: event.created },
    event_count: 0,
    meta: null,
    fold: { version: FOLD_VERSION, keys },
  };
}

/**
 * The state after one more event, which must not have been folded before (the log knows). Events may come in any order.
 * @param state null where the end user had none yet.
 */
export function evolve(state: EndUser | null, event: EndUserEvent): EndUser {
  const before = state ?? initialState(event);
  const { keys } = before.fold;
  const key = keyOf(event);
  const { topic, created, status } = event;

  const isLast = isGreater(key, keys.last_event);
  const namesId = event.end_user_id !== null && isGreater(key, keys.end_user_id);
  const hasMeta = event.meta !== null && isGreater(key, keys.meta);
  const hasStatus = status !== null && topic?.startsWith('end_user.') && isGreater(key, keys.status);
  const asksReview = topic === 'end_user.review_required' && isGreater(key, keys.review_required);
  const reviews = topic === 'end_user.reviewed' && isGreater(key, keys.reviewed);

  const after: Keys = {
    end_user_id: namesId ? key : keys.end_user_id,
    meta: hasMeta ? key : keys.meta,
    last_event: isLast ? key : keys.last_event,
    review_required: asksReview ? key : keys.review_required,
    reviewed: reviews ? key : keys.reviewed,
    status: hasStatus ? key : keys.status,
  };
  return {
    heron_id: before.heron_id,
    end_user_id: namesId ? event.end_user_id : before.end_user_id,
    status: hasStatus ? status : before.status,
    status_at: hasStatus ? created : before.status_at,
    review_required: after.review_required !== null && isGreater(after.review_required, after.reviewed),
    first_event_at: created < before.first_event_at ? created : before.first_event_at,
    last_event_at: created > before.last_event_at ? created : before.last_event_at,
    last_event: isLast ? { id: event.event_id, topic, created } : before.last_event,
    event_count: before.event_count + 1,
    meta: hasMeta ? event.meta : before.meta,
    fold: { version: FOLD_VERSION, keys: after },
  };
}

function isGreater(key: Key, than: Key | null): boolean {
  return than === null || key > than;
}
