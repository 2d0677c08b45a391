import type { HeronEvent } from '../events/event.ts';
import { isCanary } from '../heron/canary.ts';
import { epoch, type Instant, instantOfEpoch, microsecondsBetween } from '../heron/instant.ts';

const DAY_SECONDS = 86_400;
/** TTL deletes within a day or so, each document at its own time: no event may outlive its body. */
const BODY_GRACE_DAYS = 3;

/** How long the log keeps a canary, whatever else it keeps. */
const CANARY_DAYS = 1;

/** When Firestore's TTL may delete an event that is recorded now; null where the log keeps it for ever. */
export function expiry(
  event: HeronEvent,
  recordedAt: Instant,
  daysOfOthers: number | null,
): { readonly event: Instant | null; readonly body: Instant | null } {
  const days = isCanary(event) ? CANARY_DAYS : daysOfOthers;
  if (days === null) return { event: null, body: null };
  return { event: inDays(recordedAt, days), body: inDays(recordedAt, days + BODY_GRACE_DAYS) };
}

function inDays(instant: Instant, days: number): Instant {
  const { seconds, microseconds } = epoch(instant);
  return instantOfEpoch(seconds + days * DAY_SECONDS, microseconds);
}

/**
 * Whether an event adds to its end user's count. One that is older than the log keeps events may have been counted
 * before, when it first came: the log cannot tell.
 */
export function counts(
  { created }: { readonly created: Instant | null },
  { recorded_at, expires_at }: { readonly recorded_at: Instant; readonly expires_at: Instant | null },
): boolean {
  if (expires_at === null || created === null) return true;
  return microsecondsBetween(created, recorded_at) <= microsecondsBetween(recorded_at, expires_at);
}
