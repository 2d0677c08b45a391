import { rebuildWith } from '../../functions/cli/rebuild.ts';
import { instantOf } from '../../functions/heron/instant.ts';
import type { Store } from '../../functions/store/store.ts';
import type { LogPlace, Stretch, Upkeep } from '../../functions/store/upkeep.ts';

/** Two instances on the same data, as two processes have them, and what operators have. */
export type Side = { readonly store: Store; readonly other: Store; readonly upkeep: Upkeep };

/** What time it is for all of them, in milliseconds. */
export const NOW = Date.UTC(2026, 7, 14, 12, 24, 40, 123);

/** All that a rebuild sees behind a place, in one. */
export async function surveyed(upkeep: Upkeep, after: LogPlace | null = null): Promise<Stretch> {
  let all: Stretch = {
    read: 0,
    counts: { events: 0, untimed: 0, damaged: 0 },
    misread: [],
    endUsers: [],
    place: after,
  };
  for await (const { read, counts, misread, endUsers, place } of upkeep.survey(after))
    all = {
      read: all.read + read,
      counts: {
        events: all.counts.events + counts.events,
        untimed: all.counts.untimed + counts.untimed,
        damaged: all.counts.damaged + counts.damaged,
      },
      misread: [...all.misread, ...misread],
      endUsers: [...all.endUsers, ...endUsers],
      place,
    };
  return all;
}

/** What `heron rebuild` does. */
export function rebuilt(upkeep: Upkeep, dryRun = false) {
  return rebuildWith(upkeep, { dryRun, concurrency: 4, restart: true }, () => instantOf(NOW));
}

/** So many seconds into 2026, as Heron writes times. */
export function at(seconds: number): string {
  return new Date(Date.UTC(2026, 0, 1, 0, 0, seconds)).toISOString();
}

/** toEqual takes seconds for megabytes, and tells a Buffer from other bytes. */
export function same(a: Uint8Array | null | undefined, b: Uint8Array): boolean {
  return a !== null && a !== undefined && Buffer.compare(a, b) === 0;
}

export function descending(a: string, b: string): number {
  return a < b ? 1 : a > b ? -1 : 0;
}
