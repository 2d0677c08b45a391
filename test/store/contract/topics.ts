import { beforeEach, describe, expect, it } from 'vitest';
import { type Instant, instantOf } from '../../../functions/heron/instant.ts';
import type { Store } from '../../../functions/store/store.ts';
import { event, logged } from '../given.ts';
import { NOW, type Side } from '../sides.ts';

/** The log counted by topic. */
export function topicsContract(sides: () => Side): void {
  describe('the log', () => {
    let store: Store;

    beforeEach(() => {
      ({ store } = sides());
    });

    it('tells its topics, with when each had its latest event, and counts them', async () => {
      await store.append([event({ heron_id: 'eus_a', topic: 'end_user.processed' })]);
      await store.append([event({ heron_id: 'eus_a', topic: 'end_user.processed', n: 2 })]);
      await store.append([event({ topic: 'never.heard_of' })]);
      await store.append([logged('not JSON')]);
      const recorded_at = instantOf(NOW);
      const topics = await store.topics();
      expect(topics).toHaveLength(3);
      expect(topics).toEqual(
        expect.arrayContaining([null, 'end_user.processed', 'never.heard_of'].map((topic) => ({ topic, recorded_at }))),
      );
      const later = instantOf(NOW + 1);
      const count = (topic: string | null, from: Instant, to: Instant) => store.countEvents(topic, from, to);
      expect(await count('end_user.processed', recorded_at, later)).toBe(2);
      expect(await count('end_user.processed', instantOf(0), recorded_at)).toBe(0);
      expect(await count('end_user.processed', later, instantOf(NOW + 1_000))).toBe(0);
      expect(await count(null, recorded_at, later)).toBe(1);
      expect(await count('end_user.failed', recorded_at, later)).toBe(0);
    });

    it('has no topics while it is empty', async () => {
      expect(await store.topics()).toEqual([]);
    });
  });
}
