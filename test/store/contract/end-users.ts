import { beforeEach, describe, expect, it } from 'vitest';
import type { EndUserCursor, EndUserFilter, Store } from '../../../functions/store/store.ts';
import { event } from '../given.ts';
import { at, type Side } from '../sides.ts';

/** End users listed and counted. */
export function endUsersContract(sides: () => Side): void {
  describe('end users', () => {
    let store: Store;

    beforeEach(() => {
      ({ store } = sides());
    });

    const pages = async (filter: EndUserFilter, size: number): Promise<string[][]> => {
      const found: string[][] = [];
      let after: EndUserCursor | null = null;
      do {
        const page = await store.listEndUsers(filter, size, after);
        found.push(page.endUsers.map(({ heron_id }) => heron_id));
        after = page.next;
      } while (after !== null);
      return found;
    };

    it('come newest first, by status or for review, and no page skips or repeats one', async () => {
      for (const [i, status] of ['ready', 'failed', 'ready', 'odd', 'failed', 'ready'].entries())
        await store.append([event({ heron_id: `eus_${i}`, status, created: at(Math.floor(i / 2)) })]);
      await store.append([event({ heron_id: 'eus_1', topic: 'end_user.review_required', created: at(9) })]);
      const all = ['eus_1', 'eus_5', 'eus_4', 'eus_3', 'eus_2', 'eus_0'];
      for (const size of [1, 2, 5, 6, 7]) {
        const found = await pages({}, size);
        expect(found.flat()).toEqual(all);
        expect(found).toHaveLength(Math.ceil(all.length / size));
      }
      expect((await pages({ status: 'ready' }, 2)).flat()).toEqual(['eus_5', 'eus_2', 'eus_0']);
      expect((await pages({ status: 'nothing' }, 2)).flat()).toEqual([]);
      expect((await pages({ review_required: true }, 2)).flat()).toEqual(['eus_1']);
      expect(await store.countListed({})).toBe(6);
      expect(await store.countListed({ status: 'failed' })).toBe(2);
      expect(await store.countListed({ review_required: true })).toBe(1);
    });

    it('that change while they are paged are not shown twice, and those that do not are shown once', async () => {
      for (let i = 0; i < 6; i++) await store.append([event({ heron_id: `eus_${i}`, created: at(i) })]);
      const first = await store.listEndUsers({}, 2, null);
      expect(first.endUsers.map(({ heron_id }) => heron_id)).toEqual(['eus_5', 'eus_4']);
      // One that was shown, one that was not, and a new one: all now stand before the first page.
      for (const [i, heron_id] of ['eus_4', 'eus_1', 'eus_new'].entries())
        await store.append([event({ heron_id, created: at(10 + i) })]);
      const rest = await store.listEndUsers({}, 10, first.next);
      expect(rest.endUsers.map(({ heron_id }) => heron_id)).toEqual(['eus_3', 'eus_2', 'eus_0']);
    });
  });
}
