import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { type HeronEvent, Unprocessable } from '../../../functions/events/event.ts';
import { instantOf, parseInstant } from '../../../functions/heron/instant.ts';
import type { LoggedEvent, Store } from '../../../functions/store/store.ts';
import { endUserEvent, event, foldOf, logged, persistently, RECEIVED } from '../given.ts';
import { NOW, type Side, same } from '../sides.ts';

/** What is written when events are appended, once each. */
export function appendingContract(sides: () => Side, { runs }: { readonly runs: number }): void {
  describe('append', () => {
    let store: Store;
    let other: Store;

    beforeEach(() => {
      ({ store, other } = sides());
    });

    it('writes an event to the log and to the state of its end user', async () => {
      const given = endUserEvent({ heron_id: 'eus_a', end_user_id: 'myenduser', meta: { plan: 'gold' } });
      expect(await store.append([given])).toEqual(['appended']);
      const { body, ...recorded } = (await other.event(given.event_id)) ?? { body: null };
      expect(same(body, given.body)).toBe(true);
      expect(recorded).toEqual({
        event_id: given.event_id,
        topic: 'end_user.processed',
        created: parseInstant('2026-08-14T12:24:38.137886'),
        received_at: RECEIVED,
        recorded_at: instantOf(NOW),
        heron_id: 'eus_a',
        end_user_id: 'myenduser',
        status: 'processed',
        bytes: given.body.byteLength,
      } satisfies Omit<LoggedEvent, 'body'>);
      expect(await other.endUser('eus_a')).toEqual(foldOf([given]));
    });

    it('changes neither log nor state when an event arrives again', async () => {
      const [given, later] = [event({ heron_id: 'eus_a' }), event({ heron_id: 'eus_a', status: 'ready' })];
      await store.append([given]);
      const before = [await store.event(given.event_id), await store.endUser('eus_a')];
      expect(await other.append([{ ...given, received_at: instantOf(NOW + 60_000) }])).toEqual(['duplicate']);
      expect([await store.event(given.event_id), await store.endUser('eus_a')]).toEqual(before);
      expect(await store.append([given, later])).toEqual(['duplicate', 'appended']);
      expect(await store.append([later, given])).toEqual(['duplicate', 'duplicate']);
      expect(await store.endUser('eus_a')).toEqual(foldOf([given, later]));
    });

    it('counts an event once that two writers bring at the same time', async () => {
      const given = event({ heron_id: 'eus_a' });
      const outcomes = await Promise.all([store, other].map((each) => persistently(() => each.append([given]))));
      expect(outcomes.flat().sort()).toEqual(['appended', 'duplicate']);
      expect(await store.endUser('eus_a')).toMatchObject({ event_count: 1 });
    });

    it('keeps what concerns no end user in the log only', async () => {
      const given = [
        event({ heron_id: 'eus_a', created: 'yesterday' }),
        event({ heron_id: 'usr_a' }),
        logged('not JSON'),
        logged('{"topic":"end_user.processed"}'),
      ];
      for (const each of given) {
        expect(await store.append([each])).toEqual(['appended']);
        expect(await store.append([each])).toEqual(['duplicate']);
        expect(same(await store.body(each.event_id), each.body)).toBe(true);
      }
      expect(await store.endUser('eus_a')).toBeNull();
      expect((await store.events('eus_a', 10, null)).events.map(({ event_id }) => event_id)).toEqual([
        given[0]?.event_id,
      ]);
    });

    it('writes all of a batch or nothing', async () => {
      const good = event({ heron_id: 'eus_a', status: 'ready' });
      const poisoned = { ...event({ heron_id: 'eus_a' }), topic: 5 as never };
      await expect(store.append([good, poisoned])).rejects.toThrow(Unprocessable);
      expect(await store.event(good.event_id)).toBeNull();
      expect(await store.endUser('eus_a')).toBeNull();
      expect(await store.append([good])).toEqual(['appended']);
    });

    it('refuses a batch of several end users, and a heron_id that is no name for a document', async () => {
      const [a, b, none] = [event({ heron_id: 'eus_a' }), event({ heron_id: 'eus_b' }), logged('none')];
      for (const batch of [[a, b], [a, none], [none, logged('other')], [{ ...a, heron_id: 'eus_b/events/x' }]])
        await expect(store.append(batch)).rejects.toThrow(TypeError);
      expect(await store.event(a.event_id)).toBeNull();
      expect(await store.append([])).toEqual([]);
    });

    it('gives the same state for any order, any duplicates and two writers at once', async () => {
      await fc.assert(
        fc.asyncProperty(histories, async ({ facts, order, sizes }) => {
          const heron_id = `eus_${randomUUID()}`;
          const arrivals = order.map((i) => event({ heron_id, ...facts[i % facts.length] }));
          const outcomes = await Promise.all(
            [store, other].map(async (writer, i) => {
              const mine = arrivals.filter((_, n) => n % 2 === i);
              const all: string[] = [];
              for (const batch of batches(mine, sizes)) {
                all.push(...(await persistently(() => writer.append(batch))));
              }
              return all;
            }),
          );
          const distinct = new Set(arrivals.map(({ event_id }) => event_id));
          expect(await store.endUser(heron_id)).toEqual(foldOf(arrivals));
          const { events } = await other.events(heron_id, 100, null);
          expect(new Set(events.map(({ event_id }) => event_id))).toEqual(distinct);
          expect(outcomes.flat().filter((outcome) => outcome === 'appended')).toHaveLength(distinct.size);
        }),
        { numRuns: runs },
      );
    });

    it.each(['0001-01-01T00:00:00.000001', '1969-12-31T23:59:59.999999', '2026-08-15T12:24:38.999999'])(
      'keeps the microseconds of %s',
      async (created) => {
        const given = event({ heron_id: 'eus_a', created, end_user_id: 'x' });
        await store.append([given]);
        const instant = parseInstant(created);
        expect(await store.event(given.event_id)).toMatchObject({ created: instant });
        expect(await store.endUser('eus_a')).toMatchObject({
          status_at: instant,
          first_event_at: instant,
          last_event_at: instant,
          last_event: { created: instant },
        });
        expect((await store.events('eus_a', 1, null)).events).toMatchObject([{ created: instant }]);
      },
    );

    it('orders events by the microsecond', async () => {
      const [early, late] = ['.137886', '.137887'].map((fraction, i) =>
        event({ heron_id: 'eus_a', created: `2026-08-14T12:24:38${fraction}`, status: ['early', 'late'][i] }),
      ) as [HeronEvent, HeronEvent];
      await store.append([late]);
      await store.append([early]);
      expect(await store.endUser('eus_a')).toMatchObject({ status: 'late' });
    });

    it.each([
      ['hostile keys', '{"__proto__":{"a":1},"__x__":2,"":3,"a.b/c`\\\\":4,"constructor":{"prototype":5},"\\u0000":6}'],
      ['depth', `${'{"a":'.repeat(90)}1${'}'.repeat(90)}`],
      ['values', '{"a":[[1,[2]],null,true,-0.5,1e21,"\\ud800 \\u0000"]}'],
      ['nothing', '{}'],
    ])('keeps meta: %s', async (_, meta) => {
      const given = logged(
        `{"topic":"end_user.processed","created":"2026-01-01T00:00:00","data":{"heron_id":"eus_a"},"meta":${meta}}`,
      );
      expect(given.meta).not.toBeNull();
      await store.append([given]);
      await store.append([event({ heron_id: 'eus_a' })]);
      expect((await other.endUser('eus_a'))?.meta).toBe(meta);
    });
  });
}

/** Few values each, so that ties and duplicates are frequent. */
const histories = fc.record({
  facts: fc.array(
    fc.record(
      {
        topic: fc.constantFrom(
          'end_user.created',
          'end_user.processed',
          'end_user.failed',
          'end_user.review_required',
          'end_user.reviewed',
          'transactions.updated',
        ),
        created: fc.constantFrom(
          '2026-08-14T12:24:38.137886',
          '2026-08-14T12:24:38.137887',
          '2026-08-14T14:24:38.137886+02:00',
          'no time',
        ),
        status: fc.constantFrom('new', 'ready', 'processed', 'invented'),
        end_user_id: fc.constantFrom('a', 'b'),
        meta: fc.constantFrom({}, { a: [1] }, null),
        n: fc.nat(2),
      },
      { requiredKeys: ['topic', 'created'] },
    ),
    { minLength: 1, maxLength: 6 },
  ),
  order: fc.array(fc.nat(5), { minLength: 1, maxLength: 8 }),
  sizes: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 }),
});

/** Cuts arrivals into what may be appended together: each event once, those of no end user by themselves. */
function batches(arrivals: readonly HeronEvent[], sizes: readonly number[]): readonly HeronEvent[][] {
  const all: HeronEvent[][] = [];
  for (const arrival of arrivals) {
    const open = all.at(-1);
    const size = sizes[(all.length - 1) % sizes.length] ?? 1;
    const fits =
      open !== undefined &&
      open.length < size &&
      open.every(({ event_id, created }) => event_id !== arrival.event_id && created !== null) &&
      arrival.created !== null;
    if (fits) open.push(arrival);
    else all.push([arrival]);
  }
  return all;
}
