import { beforeEach, describe, expect, it } from 'vitest';
import { instantOf } from '../../../functions/heron/instant.ts';
import type { Store } from '../../../functions/store/store.ts';
import type { Upkeep } from '../../../functions/store/upkeep.ts';
import { event, foldOf, logged, sized } from '../given.ts';
import { NOW, type Side, windows } from '../sides.ts';

/** States compared with the log, and set right. */
export function rebuildingContract(sides: () => Side): void {
  describe('rebuilding', () => {
    let store: Store;
    let upkeep: Upkeep;

    beforeEach(() => {
      ({ store, upkeep } = sides());
    });

    it('meets every end user once, whatever the size of its windows', async () => {
      const ids = ['eus_-', 'eus_0', 'eus_A', 'eus_B', 'eus__', 'eus_a', 'eus_ab'];
      for (const heron_id of ids) await store.append([event({ heron_id }), event({ heron_id, n: 2 })]);
      await store.append([event({ heron_id: 'eus_only_in_log', created: 'no time' })]);
      await store.append([logged('of nobody')]);
      await upkeep.forget('eus_B', 'me');
      for (const size of [1, 2, 7, 8, 9]) expect(await windows(upkeep, size)).toEqual([...ids, 'eus_only_in_log']);
      expect(await upkeep.countEndUsers(null)).toBe(ids.length);
      expect(await upkeep.countEndUsers('eus_A')).toBe(4);
    });

    it('finds right what is right', async () => {
      const given = [event({ heron_id: 'eus_a', meta: { a: [1] } }), sized(40_000, { heron_id: 'eus_a' })];
      await store.append(given);
      await store.append([event({ heron_id: 'eus_b', created: 'no time' })]);
      for (const apply of [true, false]) {
        expect(await upkeep.recompute('eus_a', apply)).toEqual({ outcome: 'right' });
        expect(await upkeep.recompute('eus_b', apply)).toEqual({ outcome: 'untimed' });
      }
      expect(await store.endUser('eus_a')).toEqual(foldOf(given));
    });

    it('remembers how far it has come', async () => {
      const checkpoint = {
        cursor: 'eus_a',
        started_at: instantOf(NOW),
        saved_at: instantOf(NOW),
        fold_version: 1,
        tally: { right: 3 },
      };
      expect(await upkeep.checkpoint()).toBeNull();
      await upkeep.saveCheckpoint(checkpoint);
      expect(await upkeep.checkpoint()).toEqual(checkpoint);
      await upkeep.saveCheckpoint(null);
      expect(await upkeep.checkpoint()).toBeNull();
    });
  });
}
