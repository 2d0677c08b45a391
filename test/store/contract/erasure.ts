import { beforeEach, describe, expect, it } from 'vitest';
import { instantOf } from '../../../functions/heron/instant.ts';
import { MAX_INLINE_BYTES, type Store } from '../../../functions/store/store.ts';
import type { Upkeep } from '../../../functions/store/upkeep.ts';
import { event, foldOf, logged, sized } from '../given.ts';
import { NOW, type Side, same } from '../sides.ts';

/** What is left of an end user that was forgotten. */
export function erasureContract(sides: () => Side): void {
  describe('a forgotten end user', () => {
    let store: Store;
    let other: Store;
    let upkeep: Upkeep;

    beforeEach(() => {
      ({ store, other, upkeep } = sides());
    });

    const tombstone = { at: instantOf(NOW), by: 'me', events: 0 };
    const large = () => sized(MAX_INLINE_BYTES + 1, { heron_id: 'eus_a' });

    it('is unknown from then on, and nothing of it is taken any more', async () => {
      await store.append([event({ heron_id: 'eus_a', end_user_id: 'x' }), event({ heron_id: 'eus_a', n: 2 })]);
      expect(await upkeep.forget('eus_a', 'me')).toEqual({ tombstone, was: 'state' });
      expect(await store.endUser('eus_a')).toBeNull();
      expect(await store.endUsersOf('x')).toEqual([]);
      for (const late of [
        event({ heron_id: 'eus_a', n: 3 }),
        event({ heron_id: 'eus_a', created: 'never' }),
        large(),
      ]) {
        expect(await other.append([late])).toEqual(['forgotten']);
        expect(await store.event(late.event_id)).toBeNull();
        expect(await store.body(late.event_id)).toBeNull();
      }
      const batch = [1, 2, 3].map((n) => event({ heron_id: 'eus_a', n }));
      expect(await store.append(batch)).toEqual(['forgotten', 'forgotten', 'forgotten']);
      expect(await store.append([event({ heron_id: 'eus_b' })])).toEqual(['appended']);
    });

    it('is erased bit by bit, to the last byte, and its tombstone counts the events', async () => {
      const given = [
        ...Array.from({ length: 120 }, (_, n) => event({ heron_id: 'eus_a', n })),
        event({ heron_id: 'eus_a', created: 'no time' }),
      ];
      await store.append(given);
      await store.append([large()]);
      const kept = [sized(MAX_INLINE_BYTES + 2, { heron_id: 'eus_b' }), logged('of nobody')];
      for (const each of kept) await store.append([each]);
      await upkeep.forget('eus_a', 'me');
      let [events, bodies] = [0, 0];
      for (let left = true; left; ) {
        const erased = await upkeep.erase('eus_a');
        events += erased.events;
        bodies += erased.bodies;
        left = erased.events + erased.bodies > 0;
        expect(await upkeep.tombstone('eus_a')).toEqual({ ...tombstone, events });
      }
      expect({ events, bodies }).toEqual({ events: 122, bodies: 1 });
      expect(await store.events('eus_a', 10, null)).toEqual({ events: [], next: null });
      for (const each of [...given, large()]) expect(await store.event(each.event_id)).toBeNull();
      for (const each of kept) expect(same(await store.body(each.event_id), each.body)).toBe(true);
    });

    it('keeps its first tombstone, and is not rebuilt', async () => {
      await store.append([event({ heron_id: 'eus_a' })]);
      await upkeep.forget('eus_a', 'me');
      expect(await upkeep.recompute('eus_a', true)).toEqual({ outcome: 'forgotten' });
      await upkeep.erase('eus_a');
      const kept = { ...tombstone, events: 1 };
      expect(await upkeep.forget('eus_a', 'someone else')).toEqual({ tombstone: kept, was: 'tombstone' });
      expect(await upkeep.recompute('eus_a', true)).toEqual({ outcome: 'forgotten' });
      expect(await store.endUser('eus_a')).toBeNull();
    });

    it('may have been unknown before', async () => {
      expect(await upkeep.forget('eus_a', 'me')).toEqual({ tombstone, was: null });
      expect(await store.append([event({ heron_id: 'eus_a' })])).toEqual(['forgotten']);
    });

    it('counts from zero once lifted, also where its erasure was cut off', async () => {
      const [before, after] = [event({ heron_id: 'eus_a', n: 1 }), event({ heron_id: 'eus_a', n: 2 })];
      await store.append([before]);
      await upkeep.forget('eus_a', 'me');
      expect(await upkeep.lift('eus_a')).toEqual({ ...tombstone, events: 1 });
      expect(await upkeep.tombstone('eus_a')).toBeNull();
      expect(await store.append([after])).toEqual(['appended']);
      expect(await store.endUser('eus_a')).toEqual(foldOf([after]));
      expect((await store.events('eus_a', 10, null)).events).toHaveLength(1);
      expect(await store.append([before])).toEqual(['appended']);
    });

    it('is not erased unless there is a tombstone', async () => {
      await store.append([event({ heron_id: 'eus_a' })]);
      await expect(upkeep.erase('eus_a')).rejects.toThrow('is not forgotten');
      expect(await store.endUser('eus_a')).not.toBeNull();
    });
  });
}
