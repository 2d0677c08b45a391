import { beforeEach, describe, expect, it } from 'vitest';
import { type Instant, parseInstant } from '../../../functions/heron/instant.ts';
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

    it('are found by whom they name, or that they name nobody, and when they were sent', async () => {
      const [moment, other] = ['2026-01-01T00:00:00.000001', '2026-01-01T00:00:00.000002'];
      const given = [
        event({ heron_id: 'eus_a', created: moment, n: 1 }),
        event({ heron_id: 'eus_a', created: moment, n: 2 }),
        event({ heron_id: 'eus_a', created: other }),
        event({ heron_id: 'eus_b', created: moment }),
        event({ heron_id: undefined, created: moment }),
      ];
      for (const each of given) await store.append([each]);
      const found = async (heronId: string | null, created: string) =>
        (await store.sentAt(heronId, parseInstant(created) as Instant)).map(({ event_id }) => event_id).sort();
      const ids = (...places: number[]) => places.map((n) => given[n]?.event_id).sort();
      expect(await found('eus_a', moment)).toEqual(ids(0, 1));
      expect(await found('eus_a', other)).toEqual(ids(2));
      expect(await found(null, moment)).toEqual(ids(4));
      expect(await found('eus_unknown', moment)).toEqual([]);
    });

    it('are none of an unknown end user', async () => {
      expect(await store.events('eus_unknown', 10, null)).toEqual({ events: [], next: null });
    });
  });
}
