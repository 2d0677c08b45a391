import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from 'vitest';
import type { EndUser } from '../../../functions/events/end-user.ts';
import { CANARY_ID, CANARY_TOPIC } from '../../../functions/heron/canary.ts';
import { instantOf } from '../../../functions/heron/instant.ts';
import { OTHER, type Store } from '../../../functions/store/store.ts';
import type { Upkeep } from '../../../functions/store/upkeep.ts';
import { until } from '../../until.ts';
import { event } from '../given.ts';
import { at, NOW, type Side } from '../sides.ts';

/** Doctor's own webhook: kept like any other, and shown to nobody who does not ask for it. */
export function canaryContract(sides: () => Side): void {
  describe('the canary', () => {
    let store: Store;
    let other: Store;
    let upkeep: Upkeep;

    beforeEach(() => {
      ({ store, other, upkeep } = sides());
    });

    const canary = (n: number) => event({ topic: CANARY_TOPIC, heron_id: CANARY_ID, created: instantOf(NOW + n), n });

    it('is in the log, and its state is found by its id', async () => {
      const given = [canary(1), canary(2)];
      for (const each of given) await store.append([each]);
      expect(await store.endUser(CANARY_ID)).toMatchObject({ event_count: 2, last_event: { topic: CANARY_TOPIC } });
      const [first, second] = given.map(({ event_id }) => event_id);
      expect(await store.event(String(first))).toMatchObject({ heron_id: CANARY_ID, topic: CANARY_TOPIC });
      const { events } = await store.events(CANARY_ID, 10, null);
      expect(events.map(({ event_id }) => event_id)).toEqual([second, first]);
      expect(await upkeep.recompute(CANARY_ID, true)).toEqual({ outcome: 'right' });
    });

    it('is in no list and no count, nor among the topics or what has no place', async () => {
      await store.append([canary(1)]);
      await store.append([event({ heron_id: 'eus_a' })]);
      await store.append([canary(2)]);
      const { endUsers } = await store.listEndUsers({}, 10, null);
      expect(endUsers.map(({ heron_id }) => heron_id)).toEqual(['eus_a']);
      expect((await store.listEndUsers({ status: OTHER }, 10, null)).endUsers).toEqual([]);
      expect([await store.countListed({}), await store.countListed({ status: OTHER })]).toEqual([1, 0]);
      expect((await store.topics()).topics.map(({ topic }) => topic)).toEqual(['end_user.processed']);
      expect((await store.unroutedEvents(10, null)).events).toEqual([]);
    });

    it('is not told of as a change, but to who watches it', async () => {
      const [seen, own]: [(readonly EndUser[] | null)[], number[]] = [[], []];
      const fail = (error: unknown) => {
        throw error;
      };
      const stops = [
        store.watchChanges((changed) => seen.push(changed), fail),
        store.watch({ heron_id: CANARY_ID }, ([state]) => own.push(state?.event_count ?? 0), fail),
      ];
      await until(() => seen.length === 1 && own.length === 1);
      await other.append([canary(1)]);
      await until(() => own.length === 2);
      await sleep(100);
      await other.append([event({ heron_id: 'eus_a' })]);
      await until(() => seen.length === 2);
      expect(seen).toEqual([null, [await store.endUser('eus_a')]]);
      expect(own).toEqual([0, 1]);
      for (const stop of stops) stop();
    });

    it('about anybody else is one of a topic that Heron does not document, and changes no status', async () => {
      await store.append([event({ heron_id: 'eus_a', status: 'processed', created: at(1) })]);
      const strange = event({ topic: CANARY_TOPIC, heron_id: 'eus_a', status: 'failed', created: at(2) });
      await store.append([strange]);
      expect(await store.endUser('eus_a')).toMatchObject({ status: 'processed', failing: false, event_count: 2 });
      expect((await store.unroutedEvents(10, null)).events).toEqual([
        expect.objectContaining({ event_id: strange.event_id, reason: 'Heron does not document the topic' }),
      ]);
    });
  });
}
