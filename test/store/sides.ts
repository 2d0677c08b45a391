import type { Store } from '../../functions/store/store.ts';
import type { Upkeep } from '../../functions/store/upkeep.ts';

/** Two instances on the same data, as two processes have them, and what operators have. */
export type Side = { readonly store: Store; readonly other: Store; readonly upkeep: Upkeep };

/** What time it is for all of them, in milliseconds. */
export const NOW = Date.UTC(2026, 7, 14, 12, 24, 40, 123);

/** All end users that a rebuild meets, window by window. */
export async function windows(upkeep: Upkeep, size: number): Promise<readonly string[]> {
  const met: string[] = [];
  let after: string | null = null;
  do {
    const { ids, next }: Awaited<ReturnType<Upkeep['endUsers']>> = await upkeep.endUsers(after, size);
    met.push(...ids);
    after = next;
  } while (after !== null);
  return met;
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
