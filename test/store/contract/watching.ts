import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from 'vitest';
import type { EndUser } from '../../../functions/events/end-user.ts';
import type { Store } from '../../../functions/store/store.ts';
import type { Upkeep } from '../../../functions/store/upkeep.ts';
import { until } from '../../until.ts';
import { event } from '../given.ts';
import { at, type Side } from '../sides.ts';

/** Changes, as they happen. */
export function watchingContract(sides: () => Side): void {
  describe('a watch', () => {
    let store: Store;
    let other: Store;
    let upkeep: Upkeep;

    beforeEach(() => {
      ({ store, other, upkeep } = sides());
    });

    const fail = (error: unknown) => {
      throw error;
    };

    it.each([
      ['its heron_id', { heron_id: 'eus_a' }],
      ['the customer’s id', { end_user_id: 'acme/1' }],
    ])('by %s tells what there is, before the end user exists and after each change', async (_, watched) => {
      const seen: (readonly EndUser[])[] = [];
      const stop = store.watch(watched, (endUsers) => seen.push(endUsers), fail);
      await until(() => seen.length === 1);
      expect(seen[0]).toEqual([]);
      await other.append([event({ heron_id: 'eus_a', end_user_id: 'acme/1', status: 'ready', created: at(1) })]);
      await until(() => seen.length === 2);
      await other.append([event({ heron_id: 'eus_a', end_user_id: 'acme/1', status: 'failed', created: at(2) })]);
      await until(() => seen.length === 3);
      expect(seen.map((endUsers) => endUsers.map(({ status }) => status))).toEqual([[], ['ready'], ['failed']]);
      expect(seen[2]).toEqual([await store.endUser('eus_a')]);
      stop();
      await other.append([event({ heron_id: 'eus_a', status: 'reviewed', created: at(3) })]);
      await sleep(100);
      expect(seen).toHaveLength(3);
    });

    it('for all changes tells those from then on, also of what is old, and that some are gone', async () => {
      await other.append([event({ heron_id: 'eus_old', created: at(5) })]);
      const seen: (readonly EndUser[] | null)[] = [];
      const stop = store.watchChanges((changed) => seen.push(changed), fail);
      await until(() => seen.length === 1);
      await other.append([event({ heron_id: 'eus_new', created: at(9) })]);
      await until(() => seen.length === 2);
      await other.append([event({ heron_id: 'eus_old', created: at(1) })]);
      await until(() => seen.length === 3);
      expect(seen).toEqual([null, [await store.endUser('eus_new')], [await store.endUser('eus_old')]]);
      await upkeep.forget('eus_new', 'me');
      await until(() => seen.length === 4);
      expect(seen[3]).toBeNull();
      stop();
    });
  });
}
