import { beforeEach, describe, expect, it } from 'vitest';
import { MAX_SAME_ID, type SameIdPage, type Store } from '../../../functions/store/store.ts';
import type { Upkeep } from '../../../functions/store/upkeep.ts';
import { event } from '../given.ts';
import type { Side } from '../sides.ts';

/** Ids that could be read as another document's path, or as none. */
const HOSTILE_IDS = [
  '',
  '.',
  '..',
  '/',
  '__x__',
  'eus_',
  'eus_a/events/x',
  'eus_a/../eus_b',
  `eus_${'a'.repeat(65)}`,
  'eus_a\n',
  'eus_a\0',
  'EUS_A',
  '\ud800',
  '😀',
  'ا'.repeat(140),
  'x'.repeat(20_000),

  /** Ids, whatever characters they have. */
];

export function idsContract(sides: () => Side): void {
  describe('ids', () => {
    let store: Store;
    let other: Store;
    let upkeep: Upkeep;

    beforeEach(() => {
      ({ store, other, upkeep } = sides());
    });

    it('of customers may have any characters', async () => {
      const ids = [
        `"quotes' and \`ticks\``,
        'a/b',
        '..',
        '.',
        '__x__',
        'NUL \0 inside',
        '😀👩‍👩‍👧',
        'Łódź',
        'Ło\u0301dź',
        'ا'.repeat(140),
        '漢'.repeat(140),
        'x'.repeat(1_024),
        ' spaces ',
        '%2F',
        'a\nb',
        '\ufffd',
        'null',
        '0',
      ];
      await Promise.all(ids.map((end_user_id, i) => store.append([event({ heron_id: `eus_${i}`, end_user_id })])));
      for (const [i, end_user_id] of ids.entries()) {
        const found = await other.endUsersOf(end_user_id);
        expect(found.map((each) => [each.heron_id, each.end_user_id])).toEqual([[`eus_${i}`, end_user_id]]);
      }
    });

    it('of customers may be shared, and follow the greatest event', async () => {
      await store.append([event({ heron_id: 'eus_b', end_user_id: 'shared' })]);
      await store.append([event({ heron_id: 'eus_a', end_user_id: 'shared' })]);
      expect((await store.endUsersOf('shared')).map(({ heron_id }) => heron_id)).toEqual(['eus_a', 'eus_b']);
      await store.append([event({ heron_id: 'eus_a', end_user_id: 'renamed', created: '2027-01-01T00:00:00' })]);
      expect((await store.endUsersOf('shared')).map(({ heron_id }) => heron_id)).toEqual(['eus_b']);
      expect((await store.endUsersOf('renamed')).map(({ heron_id }) => heron_id)).toEqual(['eus_a']);
    });

    it('of customers shared by very many are paged, and none is skipped or repeated', async () => {
      const ids = Array.from({ length: 7 }, (_, i) => `eus_${i}`);
      await Promise.all(ids.map((heron_id) => store.append([event({ heron_id, end_user_id: 'shared' })])));
      await store.append([event({ heron_id: 'eus_3x', end_user_id: 'other' })]);
      for (const size of [1, 3, 7, 8]) {
        const found: string[] = [];
        let after: string | null = null;
        do {
          const page: SameIdPage = await store.endUsersOfPage('shared', size, after);
          found.push(...page.endUsers.map(({ heron_id }) => heron_id));
          after = page.next;
        } while (after !== null);
        expect(found).toEqual(ids);
      }
    });

    it('of customers shared by very many are listed up to a limit', async () => {
      const ids = Array.from({ length: MAX_SAME_ID + 5 }, (_, i) => `eus_${String(i).padStart(3, '0')}`);
      await Promise.all(ids.map((heron_id) => store.append([event({ heron_id, end_user_id: 'shared' })])));
      expect((await store.endUsersOf('shared')).map(({ heron_id }) => heron_id)).toEqual(ids.slice(0, MAX_SAME_ID));
    });

    it.each(HOSTILE_IDS.map((id) => [JSON.stringify(id).slice(0, 20), id] as const))(
      'that are hostile reach nothing and break nothing: %s',
      async (_, id) => {
        const given = event({ heron_id: 'eus_a', end_user_id: 'myenduser' });
        await store.append([given]);
        const known = [await store.event(given.event_id), await store.endUser('eus_a')];

        for (const hostile of [id, `${given.event_id}/body/0`, `eus_a/${id}`]) {
          expect(await store.endUser(hostile)).toBeNull();
          expect(await store.event(hostile)).toBeNull();
          expect(await store.body(hostile)).toBeNull();
          expect(await store.endUsersOf(hostile)).toEqual([]);
          expect(await store.events(hostile, 10, null)).toEqual({ events: [], next: null });
        }
        const hostile = event({ heron_id: id, end_user_id: id, created: '2027-01-01T00:00:00' });
        expect(await store.append([hostile])).toEqual(['appended']);
        expect(await store.event(hostile.event_id)).toMatchObject({ heron_id: null });
        expect([await store.event(given.event_id), await store.endUser('eus_a')]).toEqual(known);
      },
    );

    it('that nobody has are found nowhere', async () => {
      expect(await store.endUser('eus_unknown')).toBeNull();
      expect(await store.event('0'.repeat(64))).toBeNull();
      expect(await store.body('0'.repeat(64))).toBeNull();
      expect(await upkeep.tombstone('eus_unknown')).toBeNull();
      expect(await upkeep.lift('eus_unknown')).toBeNull();
      expect(await upkeep.recompute('eus_unknown', true)).toEqual({ outcome: 'unknown' });
      expect(await store.endUser('eus_unknown')).toBeNull();
    });
  });
}
