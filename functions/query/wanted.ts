import type { EndUser } from '../events/end-user.ts';
import type { Instant } from '../heron/instant.ts';
import { STATUSES } from '../heron/status.ts';

/** What a waiting request waits for: an end user that is, or has become, one of these. */
export type Wanted = { readonly statuses: ReadonlySet<string>; readonly after: Instant | null };

/** When a status was last announced, for those of which it is kept. */
export const ANNOUNCED = { processed: 'processed_at', failed: 'failed_at', reviewed: 'reviewed_at' } as const;

/**
 * Whether an end user is what is wanted, or has become it and has moved on since. With `after`, only where that was said
 * later.
 * @param before the same end user when the wait began; null where it was not known then.
 */
export function meets(state: EndUser, { statuses, after }: Wanted, before: EndUser | null): boolean {
  const isLater = (at: Instant | null) => at !== null && (after === null || at > after);
  if (state.status !== null && statuses.has(state.status) && (after === null || isLater(state.status_at))) return true;
  return Object.entries(ANNOUNCED).some(
    ([status, at]) =>
      statuses.has(status) && isLater(state[at]) && (after !== null || state[at] !== (before?.[at] ?? null)),
  );
}

/** Those that Heron does not document: misspelt, or newer than this. */
export function unknownStatuses(statuses: Iterable<string>): readonly string[] {
  const known: ReadonlySet<string> = new Set(STATUSES);
  return [...new Set(statuses)].filter((status) => !known.has(status));
}
