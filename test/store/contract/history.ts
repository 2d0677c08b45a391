import { beforeEach, describe, expect, it } from 'vitest';
import type { EventCursor, Store } from '../../../functions/store/store.ts';
import { event } from '../given.ts';
import { descending, type Side } from '../sides.ts';

/** An end user's events, page by page. */
export function historyContract(sides: () => Side): void {
  describe('events', () => {
    let store: Store;

    beforeEach(() => {
      ({ store } = sides());
    });

    it('come newest first, those without a time last, and no page skips or repeats one', async () => {
      const times = ['2026-01-01T00:00:00.000001', '2026-01-01T00:00:00.000002', '2026-01-01T00:00:00', 'no time'];
      const given = times.flatMap((created) => [1, 2, 3].map((n) => event({ heron_id: 'eus_a', created, n })));
      for (const each of given) await store.append([each]);
      await store.append([event({ heron_id: 'eus_b' })]);
      const sorted = given
        .toSorted((a, b) => descending(a.created ?? '', b.created ?? '') || descending(a.event_id, b.event_id))
        .map(({ event_id }) => event_id);
      for (const size of [1, 2, 5, 11, 12, 13]) {
        const pages: string[][] = [];
        let after: EventCursor | null = null;
        do {
          const page = await store.events('eus_a', size, after);
          pages.push(page.events.map(({ event_id }) => event_id));
          after = page.next;
        } while (after !== null);
        expect(pages.flat()).toEqual(sorted);
        expect(pages).toHaveLength(Math.ceil(given.length / size));
      }
    });

    it('are none of an unknown end user', async () => {
      expect(await store.events('eus_unknown', 10, null)).toEqual({ events: [], next: null });
    });
  });
}
