import type { Instant } from '../heron/instant.ts';
import type { JsonText } from '../heron/json.ts';
import { STATUSES, statusMeantBy } from '../heron/status.ts';
import { type EndUserEvent, FAR_AHEAD_MICROSECONDS, microsecondsAhead, type ReadEvent } from './event.ts';

/**
 * Where an end user stands: a function of the set of its events, whatever their order. {@link evolve} takes one event
 * at a time and never reads history: what the next event must be compared with is kept in `fold`. All times are by
 * {@link placeInTime}.
 */
export type EndUser = {
  readonly heron_id: string;
  /** The customer's own id. */
  readonly end_user_id: string | null;
  /** The latest that a webhook carried: one of {@link STATUSES}, or one that Heron adds later. */
  readonly status: string | null;
  /** Since when; where no webhook announced the status, when one carried it last. */
  readonly status_at: Instant | null;
  /** When a webhook last announced this, whatever the status is now. */
  readonly processed_at: Instant | null;
  readonly failed_at: Instant | null;
  readonly reviewed_at: Instant | null;
  /** A review was asked for and none has happened since. */
  readonly review_required: boolean;
  /** A failure was told, and neither processing nor a review has succeeded since. */
  readonly failing: boolean;
  readonly first_event_at: Instant;
  readonly last_event_at: Instant;
  readonly last_event: { readonly id: string; readonly topic: string | null; readonly created: Instant };
  readonly event_count: number;
  readonly meta: JsonText | null;
  readonly fold: { readonly version: number; readonly keys: Keys };
};

/** Raise it with every change of what {@link evolve} computes: states of an older one are recomputed from the log. */
export const FOLD_VERSION = 2;

/** An event's place among others: its time, the rank of its step, its id; compared as text. */
export type Key = string & { readonly key: unique symbol };

/** The steps of Heron's process: of events in one microsecond the later one counts. */
const STEPS = ['new', 'ready', 'other', 'processed', 'failed', 'review_requested', 'reviewed'] as const;
type Step = (typeof STEPS)[number];

/** The kinds of events that decide a part of the state. */
export const SLOTS = [
  'last_event',
  // Has one. An event of the end user itself counts more than any of another resource.
  'end_user_id',
  'end_user_id_elsewhere',
  'meta',
  // Is `end_user.review_required`.
  'review_asked',
  ...STEPS.map((step) => `carried_${step}` as const),
  // By its topic.
  ...STATUSES.map((status) => `meant_${status}` as const),
] as const;
export type Slot = (typeof SLOTS)[number];

/** The greatest key of each kind so far; absent where there was none. */
export type Keys = { readonly [slot in Slot]?: Key };

/** The parts of the state that its keys alone do not give. */
type Values = Pick<EndUser, 'heron_id' | 'end_user_id' | 'status' | 'meta' | 'first_event_at' | 'event_count'> & {
  readonly last_topic: string | null;
};

/**
 * The time at which an event counts: `created`, but where that is over a day ahead of its arrival, the arrival itself.
 * One wrong clock would pin an end user for ever.
 */
function placeInTime(event: Pick<EndUserEvent<ReadEvent>, 'created' | 'received_at'>): Instant {
  return microsecondsAhead(event) > FAR_AHEAD_MICROSECONDS ? event.received_at : event.created;
}

/**
 * The state after one more event, which must not have been folded before (the log knows). Events may come in any order.
 * @param state null where the end user had none yet.
 * @param counts false where it may have been counted before: so long ago that the log may have let go of it.
 */
export function evolve(state: EndUser | null, event: EndUserEvent<ReadEvent>, counts = true): EndUser {
  const own = ofOne(event);
  if (state === null) return own;
  const merged = merge(state, own);
  return counts ? merged : { ...merged, event_count: state.event_count };
}

function ofOne(event: EndUserEvent<ReadEvent>): EndUser {
  const { event_id, heron_id, topic, end_user_id } = event;
  const isOwn = topic?.startsWith('end_user.') ?? false;
  // Of another resource both are about that one.
  const status = isOwn ? event.status : null;
  const meta = isOwn ? event.meta : null;
  const meant = statusMeantBy(topic);
  const asksReview = topic === 'end_user.review_required';

  const at = placeInTime(event);
  const key = keyOf(at, asksReview ? 'review_requested' : stepOf(status), event_id);
  const keys: Keys = {
    last_event: key,
    ...(end_user_id === null ? {} : { [isOwn ? 'end_user_id' : 'end_user_id_elsewhere']: key }),
    ...(meta === null ? {} : { meta: key }),
    ...(status === null ? {} : { [`carried_${stepOf(status)}`]: key }),
    ...(meant === null ? {} : { [`meant_${meant}`]: key }),
    ...(asksReview ? { review_asked: key } : {}),
  };
  return stateOf(keys, { heron_id, end_user_id, status, meta, first_event_at: at, event_count: 1, last_topic: topic });
}

/** The state of the union of two sets of an end user's events that have none in common. */
export function merge(a: EndUser, b: EndUser): EndUser {
  const from = (slot: Slot) => (isAfter(b.fold.keys[slot], a.fold.keys[slot]) ? b : a);
  const keys: { [slot in Slot]?: Key } = { ...a.fold.keys };
  for (const [slot, key] of Object.entries(b.fold.keys) as [Slot, Key][])
    if (isAfter(key, keys[slot])) keys[slot] = key;
  return stateOf(keys, {
    heron_id: a.heron_id,
    end_user_id: from(keys.end_user_id === undefined ? 'end_user_id_elsewhere' : 'end_user_id').end_user_id,
    status: from('carried_other').status,
    meta: from('meta').meta,
    first_event_at: a.first_event_at < b.first_event_at ? a.first_event_at : b.first_event_at,
    event_count: a.event_count + b.event_count,
    last_topic: from('last_event').last_event.topic,
  });
}

/** @param values of which `status` is looked at only where the keys say no more than that it is another. */
export function stateOf(keys: Keys, { last_topic, status, ...values }: Values): EndUser {
  const last = keys.last_event as Key;
  const step = currentStep(keys);
  return {
    heron_id: values.heron_id,
    end_user_id: values.end_user_id,
    status: step === 'other' ? status : step,
    status_at: step === null ? null : timeOf(statusKey(keys, step)),
    processed_at: timeOf(keys.meant_processed),
    failed_at: timeOf(keys.meant_failed),
    reviewed_at: timeOf(keys.meant_reviewed),
    review_required: isAfter(
      greatest(keys.review_asked, keys.carried_review_requested),
      greatest(keys.meant_reviewed, keys.carried_reviewed),
    ),
    failing: isAfter(
      greatest(keys.meant_failed, keys.carried_failed),
      greatest(keys.meant_processed, keys.carried_processed, keys.meant_reviewed, keys.carried_reviewed),
    ),
    first_event_at: values.first_event_at,
    last_event_at: timeOf(last),
    last_event: { id: last.slice(last.lastIndexOf('|') + 1), topic: last_topic, created: timeOf(last) },
    event_count: values.event_count,
    meta: values.meta,
    fold: { version: FOLD_VERSION, keys },
  };
}

/** Nothing becomes new again: `new` yields to every other status, whenever it was sent. */
function currentStep(keys: Keys): Step | null {
  const others = STEPS.filter((step) => step !== 'new' && keys[`carried_${step}`] !== undefined);
  if (others.length === 0) return keys.carried_new === undefined ? null : 'new';
  return others.reduce((a, b) => (isAfter(keys[`carried_${b}`], keys[`carried_${a}`]) ? b : a));
}

/** What announced the status, if nothing has carried another one since; else what carried it last. */
function statusKey(keys: Keys, step: Step): Key | undefined {
  const meant = step === 'other' ? undefined : keys[`meant_${step}`];
  const others = STEPS.filter((other) => other !== step && other !== 'new').map((other) => keys[`carried_${other}`]);
  return isAfter(meant, greatest(...others)) ? meant : keys[`carried_${step}`];
}

export function keyOf(at: Instant, step: Step, id: string): Key {
  return `${at}|${STEPS.indexOf(step)}|${id}` as Key;
}

/** No status ranks like one that Heron has added. */
export function stepOf(status: string | null): Step {
  return STATUSES.find((known) => known === status) ?? 'other';
}

function timeOf(key: Key): Instant;
function timeOf(key: Key | undefined): Instant | null;
function timeOf(key: Key | undefined): Instant | null {
  return key === undefined ? null : (key.slice(0, key.indexOf('|')) as Instant);
}

function greatest(...keys: readonly (Key | undefined)[]): Key | undefined {
  return keys.reduce((a, b) => (isAfter(b, a) ? b : a), undefined);
}

/** Whether there is a key, and it is greater than the other, if there is one. */
function isAfter(key: Key | undefined, than: Key | undefined): key is Key {
  return key !== undefined && (than === undefined || key > than);
}
