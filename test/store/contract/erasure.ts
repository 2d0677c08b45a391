import { beforeEach, describe, expect, it } from 'vitest';
import { instantOf } from '../../../functions/heron/instant.ts';
import { MAX_INLINE_BYTES, type Store } from '../../../functions/store/store.ts';
import { hashOf } from '../../../functions/store/tombstone.ts';
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

    const tombstone = { at: instantOf(NOW), by: 'me', events: 0, end_user_ids: [] as string[] };
    const large = () => sized(MAX_INLINE_BYTES + 1, { heron_id: 'eus_a' });

    it('is unknown from then on, and nothing of it is taken any more', async () => {
      await store.append([event({ heron_id: 'eus_a', end_user_id: 'x' }), event({ heron_id: 'eus_a', n: 2 })]);
      expect(await upkeep.forget('eus_a', 'me')).toEqual({
        tombstone: { ...tombstone, end_user_ids: [hashOf('x')] },
        was: 'state',
      });
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
        left = !erased.isOver;
        expect(await upkeep.tombstone('eus_a')).toEqual({ ...tombstone, events });
      }
      expect({ events, bodies }).toEqual({ events: 122, bodies: 1 });
      expect(await store.events('eus_a', 10, null)).toEqual({ events: [], next: null });
      for (const each of [...given, large()]) expect(await store.event(each.event_id)).toBeNull();
      for (const each of kept) expect(same(await store.body(each.event_id), each.body)).toBe(true);
    });

    /** About another resource, which has the place of a heron_id: only the customer's id tells whose it is. */
    const ofId = (end_user_id: string, more: object = {}) =>
      event({ topic: 'pdf.processed', heron_id: 'pdf_1', end_user_id, ...more });
    const eraseAll = async (heronId: string) => {
      for (;;) {
        const erased = await upkeep.erase(heronId);
        if (erased.isOver) return erased;
      }
    };

    it('takes with it what names only its customer’s ids, and nothing of the kind is taken any more', async () => {
      await store.append([event({ heron_id: 'eus_a', end_user_id: 'first', created: '2026-01-01T00:00:00' })]);
      await store.append([event({ heron_id: 'eus_a', end_user_id: 'second', created: '2026-01-02T00:00:00' })]);
      const gone = [ofId('first'), ofId('first', { n: 2 }), ofId('second', { padding: 'x'.repeat(1_000_000) })];
      const kept = [ofId('third'), event({ topic: 'pdf.processed', heron_id: 'eus_b', end_user_id: 'first2' })];
      for (const each of [...gone, ...kept]) expect(await store.append([each])).toEqual(['appended']);
      await upkeep.forget('eus_a', 'me');
      expect(await eraseAll('eus_a')).toEqual({ events: 0, bodies: 0, isOver: true, shared: [] });
      for (const each of gone) {
        expect(await store.event(each.event_id)).toBeNull();
        expect(await other.append([each])).toEqual(['forgotten']);
        expect(await store.event(each.event_id)).toBeNull();
      }
      for (const each of kept) expect(same(await store.body(each.event_id), each.body)).toBe(true);
      const left = await upkeep.tombstone('eus_a');
      expect({ ...left, end_user_ids: left?.end_user_ids.toSorted() }).toEqual({
        ...tombstone,
        events: 5,
        end_user_ids: ['first', 'second'].map(hashOf).sort(),
      });
      expect(await store.append([ofId('third', { n: 2 })])).toEqual(['appended']);
      await upkeep.lift('eus_a');
      expect(await store.append([ofId('first')])).toEqual(['appended']);
    });

    it('leaves what names an id that another end user has, and says what that is, each time', async () => {
      await store.append([event({ heron_id: 'eus_a', end_user_id: 'shared' })]);
      await store.append([event({ heron_id: 'eus_b', end_user_id: 'shared' })]);
      const stays = ofId('shared');
      await store.append([stays]);
      await upkeep.forget('eus_a', 'me');
      const shared = [{ end_user_id: 'shared', heron_ids: ['eus_b'], event_ids: [stays.event_id] }];
      for (let run = 0; run < 2; run++) expect(await eraseAll('eus_a')).toMatchObject({ isOver: true, shared });
      const more = ofId('shared', { n: 2 });
      expect(await store.append([more])).toEqual(['appended']);
      expect((await eraseAll('eus_a')).shared[0]?.event_ids.toSorted()).toEqual([stays.event_id, more.event_id].sort());
      await upkeep.forget('eus_b', 'me');
      expect(await eraseAll('eus_b')).toMatchObject({ shared: [] });
      expect(await eraseAll('eus_a')).toMatchObject({ shared: [] });
      expect(await store.event(stays.event_id)).toBeNull();
      expect(await store.append([stays])).toEqual(['forgotten']);
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
