import { beforeEach, describe, expect, it } from 'vitest';
import { type EndUserCursor, type EndUserFilter, OTHER, type Store } from '../../../functions/store/store.ts';
import { event } from '../given.ts';
import { at, type Side } from '../sides.ts';

/** End users listed, counted and read many at once. */
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

    it('come by when they changed, newest first, by status or flag, and no page skips or repeats one', async () => {
      for (const [i, status] of ['ready', 'failed', 'ready', 'odd', 'failed', 'ready'].entries())
        await store.append([event({ heron_id: `eus_${i}`, topic: 'end_user.x', status, created: at(10 - i) })]);
      await store.append([event({ heron_id: 'eus_1', topic: 'end_user.review_required', created: at(20) })]);
      await store.append([event({ heron_id: 'eus_even_odder', topic: 'end_user.x', status: 'Odd', created: at(1) })]);
      await store.append([event({ heron_id: 'eus_none', topic: 'pdf.processed', created: at(1) })]);
      await store.append([event({ heron_id: 'eus_3', topic: 'pdf.processed', created: at(1) })]);
      const all = ['eus_3', 'eus_none', 'eus_even_odder', 'eus_1', 'eus_5', 'eus_4', 'eus_2', 'eus_0'];
      for (const size of [1, 2, 7, 8, 9]) {
        const found = await pages({}, size);
        expect(found.flat()).toEqual(all);
        expect(found).toHaveLength(Math.ceil(all.length / size));
      }
      for (const [filter, expected] of [
        [{ status: 'ready' }, ['eus_5', 'eus_2', 'eus_0']],
        [{ status: 'nothing' }, []],
        [{ status: OTHER }, ['eus_3', 'eus_none', 'eus_even_odder']],
        [{ review_required: true }, ['eus_1']],
        [{ failing: true }, ['eus_1', 'eus_4']],
      ] as const) {
        for (const size of [1, 2, 3, 4]) expect((await pages(filter, size)).flat()).toEqual(expected);
        expect(await store.countListed(filter)).toBe(expected.length);
      }
      expect(await store.countListed({})).toBe(8);
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

    it('are read many at once, in the order that was asked for, each as often as it was', async () => {
      for (const heron_id of ['eus_a', 'eus_b']) await store.append([event({ heron_id })]);
      const ids = ['eus_b', 'eus_unknown', 'eus_a', '..', 'eus_b'];
      const found = await store.endUsersNamed(ids);
      expect(found.map((endUser) => endUser?.heron_id ?? null)).toEqual(['eus_b', null, 'eus_a', null, 'eus_b']);
      expect(found[0]).toEqual(await store.endUser('eus_b'));
      expect(await store.endUsersNamed([])).toEqual([]);
      const many = Array.from({ length: 500 }, (_, n) => `eus_${n}`);
      expect(await store.endUsersNamed(many)).toEqual(many.map(() => null));
    });
  });
}
