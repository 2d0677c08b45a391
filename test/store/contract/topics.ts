import { beforeEach, describe, expect, it } from 'vitest';
import { type Instant, instantOf } from '../../../functions/heron/instant.ts';
import {
  type LogCursor,
  type LoggedEvent,
  type LogPage,
  MAX_TOPICS,
  type Store,
} from '../../../functions/store/store.ts';
import { event, logged } from '../given.ts';
import { NOW, type Side } from '../sides.ts';

/** The log by topic: listed, counted, and what has no topic of its own. */
export function topicsContract(sides: () => Side): void {
  describe('the log', () => {
    let store: Store;

    beforeEach(() => {
      ({ store } = sides());
    });

    const all = async (read: (after: LogCursor | null) => Promise<LogPage<LoggedEvent>>) => {
      const found: LoggedEvent[] = [];
      for (let after: LogCursor | null = null; ; ) {
        const { events, next }: LogPage<LoggedEvent> = await read(after);
        found.push(...events);
        if (next === null) return found;
        after = next;
      }
    };

    it('tells its topics, with when each had its latest event, and counts them', async () => {
      await store.append([event({ heron_id: 'eus_a', topic: 'end_user.processed' })]);
      await store.append([event({ heron_id: 'eus_a', topic: 'end_user.processed', n: 2 })]);
      await store.append([event({ topic: 'never.heard_of' })]);
      await store.append([logged('not JSON')]);
      const recorded_at = instantOf(NOW);
      const { topics, isCut } = await store.topics();
      expect(isCut).toBe(false);
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
      expect(await store.topics()).toEqual({ topics: [], isCut: false });
    });

    it('says where it has more topics than it tells', async () => {
      const names = Array.from({ length: MAX_TOPICS }, (_, n) => `a.${String(n).padStart(3, '0')}`);
      await Promise.all(names.map((topic) => store.append([event({ topic })])));
      await store.append([logged('not JSON')]);
      expect(await store.topics()).toMatchObject({ isCut: false, topics: { length: MAX_TOPICS + 1 } });
      await store.append([event({ topic: 'a.one_more' })]);
      const { topics, isCut } = await store.topics();
      expect(isCut).toBe(true);
      expect(topics.map(({ topic }) => topic).toSorted()).toEqual(['a.one_more', ...names.slice(1), null].toSorted());
    }, 60_000);

    it('is listed by topic, and no page skips or repeats one', async () => {
      const given = Array.from({ length: 5 }, (_, n) => event({ topic: 'pdf.processed', n }));
      for (const each of given) await store.append([each]);
      await store.append([event({ topic: 'pdf.failed' })]);
      const expected = given
        .map(({ event_id }) => event_id)
        .sort()
        .reverse(); // all recorded at one moment
      for (const size of [1, 2, 5, 6]) {
        const found = await all((after) => store.eventsOfTopic('pdf.processed', size, after));
        expect(found.map(({ event_id }) => event_id)).toEqual(expected);
      }
      expect(await all((after) => store.eventsOfTopic('a'.repeat(20_000), 1, after))).toEqual([]);
    });

    it('lists what has no place of its own, and why: unknown topics, odd shapes, and end users that are not named', async () => {
      await store.append([event({ heron_id: 'eus_a' })]);
      await store.append([event({ topic: 'pdf.processed' })]);
      const given = [
        event({ heron_id: 'eus_a', topic: 'end_user.invented' }),
        event({ topic: 'end_user.processed', end_user_id: 'x' }),
        event({ heron_id: 'eus_a', topic: 'pdf.processed', created: 'no time' }),
        logged('not JSON'),
        logged(`{"topic":"pdf.processed","padding":"${'x'.repeat(40_000)}"}`),
      ];
      for (const each of given) await store.append([each]);
      for (const size of [1, 2, 5, 6]) {
        const found = await all((after) => store.unroutedEvents(size, after));
        expect(found.map(({ event_id }) => event_id)).toEqual(
          given
            .map(({ event_id }) => event_id)
            .sort()
            .reverse(),
        );
      }
      expect(await store.countUnrouted(instantOf(NOW))).toBe(given.length);
      expect(await store.countUnrouted(instantOf(NOW + 1))).toBe(0);
      const { events } = await store.unroutedEvents(10, null);
      const reasons = new Map(events.map(({ event_id, reason }) => [event_id, reason]));
      expect(given.map(({ event_id }) => reasons.get(event_id))).toEqual([
        'Heron does not document the topic',
        'it does not say which end user it is about',
        'created is not a time',
        'the body is not JSON',
        'created is not a time',
      ]);
    });
  });
}
