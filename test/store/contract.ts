import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Clock } from '../../functions/clock.ts';
import { type HeronEvent, Unprocessable } from '../../functions/events/event.ts';
import { instantOf, parseInstant } from '../../functions/heron/instant.ts';
import {
  type EventCursor,
  type LoggedEvent,
  MAX_INLINE_BYTES,
  MAX_SAME_ID,
  type Store,
} from '../../functions/store/store.ts';
import type { Upkeep } from '../../functions/store/upkeep.ts';
import { endUserEvent, event, foldOf, logged, persistently, RECEIVED, sized } from './given.ts';
import { readingContract } from './reading.ts';

/** Two instances on the same data, as two processes have them. */
export type Side = { readonly store: Store; readonly other: Store; readonly upkeep: Upkeep };

export const NOW = Date.UTC(2026, 7, 14, 12, 24, 40, 123);

const CHUNK = 900_000;
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
];

/** What both sides of the port hold to. */
export function storeContract(open: (now: Clock) => Side, { runs }: { readonly runs: number }): void {
  let store: Store;
  let other: Store;
  let upkeep: Upkeep;

  beforeEach(() => {
    ({ store, other, upkeep } = open(() => instantOf(NOW)));
  });

  afterEach(async () => {
    await Promise.all([store.close(), other.close(), upkeep.close()]);
  });

  describe('append', () => {
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

    it.each(['0001-01-01T00:00:00.000001', '1969-12-31T23:59:59.999999', '9999-12-31T23:59:59.999999'])(
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
      expect(JSON.stringify((await other.endUser('eus_a'))?.meta)).toBe(JSON.stringify(JSON.parse(meta)));
    });
  });

  describe('body', () => {
    it.each([
      ['that is empty', ''],
      ['with hostile keys', '{"__proto__":1,"__x__":{"":2},"a/b":3}'],
      ['2,000 levels deep', `${'[{"a":'.repeat(1_000)}1${'}]'.repeat(1_000)}`],
      ['with NUL', '{"a":"\0\\u0000"}\0'],
      ['with lone surrogates', '{"a":"\\ud800","\\udfff":"\\ud83d"}'],
      ['with numbers past 2^53', '{"a":9007199254740993,"b":1e400,"c":0.1000000000000000055511151231257827}'],
      ['with duplicate keys', '{"a":1,"a":2,"topic":"x","topic":"y"}'],
      ['that is no UTF-8', Uint8Array.from({ length: 256 }, (_, i) => i)],
      ['that begins with a byte order mark', '\ufeff{"a":1}'],
    ])('is kept to the byte: one %s', async (_, bytes) => {
      const given = logged(bytes);
      await store.append([given]);
      const recorded = await other.event(given.event_id);
      expect(recorded?.bytes).toBe(Buffer.byteLength(bytes));
      expect(same(recorded?.body, Buffer.from(bytes))).toBe(true);
      expect(same(await other.body(given.event_id), Buffer.from(bytes))).toBe(true);
    });

    it.each([
      MAX_INLINE_BYTES - 1,
      MAX_INLINE_BYTES,
      MAX_INLINE_BYTES + 1,
      CHUNK - 1,
      CHUNK,
      CHUNK + 1,
      3 * CHUNK,
      3 * CHUNK + 1,
      9_900_000,
    ])('is kept to the byte: one of %i bytes', async (bytes) => {
      const given = sized(bytes, { heron_id: 'eus_a' });
      expect(given.body.byteLength).toBe(bytes);
      expect(await store.append([given])).toEqual(['appended']);
      expect(same(await other.body(given.event_id), given.body)).toBe(true);
      const recorded = [await other.event(given.event_id), (await other.events('eus_a', 1, null)).events[0]];
      for (const each of recorded) {
        expect(each?.bytes).toBe(bytes);
        if (bytes > MAX_INLINE_BYTES) expect(each?.body).toBeNull();
        else expect(same(each?.body, given.body)).toBe(true);
      }
      expect(await store.append([given])).toEqual(['duplicate']);
      expect(await store.endUser('eus_a')).toEqual(foldOf([given]));
    });
  });

  describe('events', () => {
    it('come newest first, those without a time last, and no page skips or repeats one', async () => {
      const times = ['2026-01-01T00:00:00.000001', '2026-01-01T00:00:00.000002', '2026-01-01T00:00:00', 'no time'];
      const given = times.flatMap((created) => [1, 2, 3].map((n) => event({ heron_id: 'eus_a', created, n })));
      for (const each of given) await store.append([each]);
      await store.append([event({ heron_id: 'eus_b' })]);
      const sorted = given
        .toSorted((a, b) => descending(a.created ?? '', b.created ?? '') || descending(a.event_id, b.event_id))
        .map(({ event_id }) => event_id);
      for (const size of [1, 2, 5, 11, 12, 13]) {
        const pages: string[][] = [];
        let after: EventCursor | null = null;
        do {
          const page = await store.events('eus_a', size, after);
          pages.push(page.events.map(({ event_id }) => event_id));
          after = page.next;
        } while (after !== null);
        expect(pages.flat()).toEqual(sorted);
        expect(pages).toHaveLength(Math.ceil(given.length / size));
      }
    });

    it('are none of an unknown end user', async () => {
      expect(await store.events('eus_unknown', 10, null)).toEqual({ events: [], next: null });
    });
  });

  readingContract(() => ({ store, other, upkeep }), NOW);

  describe('ids', () => {
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

  describe('a forgotten end user', () => {
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

  describe('rebuilding', () => {
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
        expect(await upkeep.recompute('eus_b', apply)).toEqual({ outcome: 'unknown' });
      }
      expect(await store.endUser('eus_a')).toEqual(foldOf(given));
    });

    it('remembers how far it has come', async () => {
      const checkpoint = { cursor: 'eus_a', started_at: instantOf(NOW), fold_version: 1, tally: { right: 3 } };
      expect(await upkeep.checkpoint()).toBeNull();
      await upkeep.saveCheckpoint(checkpoint);
      expect(await upkeep.checkpoint()).toEqual(checkpoint);
      await upkeep.saveCheckpoint(null);
      expect(await upkeep.checkpoint()).toBeNull();
    });
  });
}

/** All end users that a rebuild meets, window by window. */
export async function windows(upkeep: Upkeep, size: number): Promise<readonly string[]> {
  const met: string[] = [];
  let after: string | null = null;
  do {
    const { ids, next }: Awaited<ReturnType<Upkeep['endUsers']>> = await upkeep.endUsers(after, size);
    met.push(...ids);
    after = next;
  } while (after !== null);
  return met;
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

/** toEqual takes seconds for megabytes, and tells a Buffer from other bytes. */
function same(a: Uint8Array | null | undefined, b: Uint8Array): boolean {
  return a !== null && a !== undefined && Buffer.compare(a, b) === 0;
}

function descending(a: string, b: string): number {
  return a < b ? 1 : a > b ? -1 : 0;
}
