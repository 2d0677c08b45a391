import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as heron from '../../functions/heron/status.ts';
import {
  delay,
  duration,
  type EndUser,
  exact,
  type Filter,
  type ListNews,
  linkToEvents,
  linkToList,
  listed,
  matches,
  merge,
  newer,
  parseRoute,
  readable,
  refresh,
  STATUSES,
  series,
  UNLISTED,
} from '../../functions/query/page/model.js';

const endUser = (heron_id: string, status: string | null = 'ready', event_count = 1) => ({
  heron_id,
  end_user_id: null,
  status,
  status_at: null,
  processed_at: null,
  failed_at: null,
  reviewed_at: null,
  review_required: false,
  failing: false,
  first_event_at: '2026-01-01T00:00:00Z',
  last_event_at: '2026-01-01T00:00:00Z',
  last_event: { id: '', topic: null, created: '2026-01-01T00:00:00Z' },
  event_count,
  meta: null,
});
const ALL = { kind: 'all' } as const;
const ids = (rows: readonly { heron_id: string }[]) => rows.map(({ heron_id }) => heron_id).join(' ');

it('knows the statuses that Heron documents', () => {
  expect(STATUSES.toSorted()).toEqual(heron.STATUSES.toSorted());
});

describe('rows', () => {
  const rows = [endUser('eus_c'), endUser('eus_b'), endUser('eus_a')];

  it('that change come first, the last change before the others', () => {
    expect(ids(merge(rows, [endUser('eus_new'), endUser('eus_a')], ALL))).toBe('eus_new eus_a eus_c eus_b');
    expect(ids(merge([], [endUser('eus_new')], ALL))).toBe('eus_new');
  });

  it('leave a filter that they no longer fit, and enter one that they do', () => {
    const ready = { kind: 'status', status: 'ready' } as const;
    expect(ids(merge(rows, [endUser('eus_b', 'failed')], ready))).toBe('eus_c eus_a');
    expect(ids(merge(rows, [endUser('eus_x')], ready))).toBe('eus_x eus_c eus_b eus_a');
    const other = { kind: 'status', status: 'other' } as const;
    expect(ids(merge([], [endUser('eus_x', 'verified'), endUser('eus_y', null), endUser('eus_z')], other))).toBe(
      'eus_x eus_y',
    );
    expect(ids(merge([], [{ ...endUser('eus_x'), failing: true }, endUser('eus_y')], { kind: 'failing' }))).toBe(
      'eus_x',
    );
  });

  it('that are held keep their place and show what is known', () => {
    const held = refresh(rows, [endUser('eus_new'), endUser('eus_a', 'failed')]);
    expect(ids(held)).toBe('eus_c eus_b eus_a');
    expect(held[2]?.status).toBe('failed');
    expect(held[0]).toBe(rows[0]);
  });

  it('that were read are not newer than a change that arrived meanwhile, but for one that they have already', () => {
    const read = [endUser('eus_a', 'ready', 1), endUser('eus_b', 'processed', 3)];
    const changed = [endUser('eus_a', 'processed', 2), endUser('eus_b', 'ready', 2), endUser('eus_c', 'new', 1)];
    expect(ids(newer(read, changed))).toBe('eus_a eus_c');
  });
});

describe('a list', () => {
  const READY = { kind: 'status', status: 'ready' } as const;
  const listAfter = (filter: Filter, most: number, ...news: readonly ListNews[]) =>
    news.reduce((before, each) => listed(before, each, filter, most), UNLISTED);
  const read = (...rows: EndUser[]): ListNews => ({ kind: 'read', read: rows, more: false });
  const changed = (...rows: EndUser[]): ListNews => ({ kind: 'changed', changed: rows });
  const BEGUN = { kind: 'begun' } as const;
  const HELD = { kind: 'held', isHeld: true } as const;
  const FREE = { kind: 'held', isHeld: false } as const;

  it('takes no more rows than it may, those that changed last, and says that there are more', () => {
    const { rows, more } = listAfter(
      ALL,
      2,
      BEGUN,
      read(endUser('eus_a'), endUser('eus_b')),
      changed(endUser('eus_d'), endUser('eus_c')),
    );
    expect(ids(rows ?? [])).toBe('eus_d eus_c');
    expect(more).toBe(true);
  });

  it('is the same whether a change arrives before the first reading ends, or after', () => {
    const late = listAfter(
      ALL,
      9,
      BEGUN,
      changed(endUser('eus_a', 'processed', 2)),
      read(endUser('eus_a', 'ready', 1)),
    );
    expect(late.shown?.[0]?.status).toBe('processed');
    expect(late.shown).toEqual(
      listAfter(ALL, 9, BEGUN, read(endUser('eus_a', 'ready', 1)), changed(endUser('eus_a', 'processed', 2))).shown,
    );
  });

  it('is not set back by a change that was told or arrived late', () => {
    const list = listAfter(
      ALL,
      9,
      BEGUN,
      read(endUser('eus_a', 'processed', 2)),
      changed(endUser('eus_a', 'ready', 1)),
    );
    expect(list.shown?.[0]?.status).toBe('processed');
    const early = listAfter(
      ALL,
      9,
      BEGUN,
      changed(endUser('eus_a', 'ready', 1)),
      read(endUser('eus_a', 'processed', 2)),
    );
    expect(early.shown?.[0]?.status).toBe('processed');
  });

  it('keeps its rows, as objects, where they are read again and say the same', () => {
    const [a, b] = [endUser('eus_a'), endUser('eus_b')];
    const again = [endUser('eus_a'), endUser('eus_b', 'failed', 2)] as const;
    const { shown } = listAfter(ALL, 9, BEGUN, read(a, b), BEGUN, read(...again));
    expect(shown?.[0]).toBe(a);
    expect(shown?.[1]).toBe(again[1]);
  });

  it('that is held moves nothing, whatever is read or changes, and is right as soon as it is let go', () => {
    const held = listAfter(
      READY,
      9,
      BEGUN,
      read(endUser('eus_a'), endUser('eus_b')),
      HELD,
      changed(endUser('eus_b', 'failed', 2), endUser('eus_c')),
      BEGUN,
      read(endUser('eus_d'), endUser('eus_c'), endUser('eus_a')),
    );
    expect(ids(held.shown ?? [])).toBe('eus_a eus_b');
    expect(held.shown?.[1]?.status).toBe('failed');
    expect(held.waiting.toSorted()).toEqual(['eus_b', 'eus_c', 'eus_d']);
    const free = listed(held, FREE, READY, 9);
    expect(ids(free.shown ?? [])).toBe('eus_d eus_c eus_a');
    expect(free.waiting).toEqual([]);
  });

  it('comes to what the server has, however readings and changes overtake each other', () => {
    const statuses = ['ready', 'failed'];
    // What happens in turn: an end user changes, the oldest change not yet told of is, a reading begins, or its answer,
    // which is as old as its beginning, arrives.
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ id: fc.nat(4), status: fc.constantFrom(...statuses) }) },
      { weight: 3, arbitrary: fc.constant('tell' as const) },
      fc.constant('read' as const),
      fc.constantFrom(HELD, FREE),
    );
    fc.assert(
      fc.property(
        fc.array(step),
        fc.constantFrom<Filter>(ALL, READY),
        fc.integer({ min: 1, max: 6 }),
        (steps, filter, most) => {
          let server: readonly EndUser[] = [];
          const untold: EndUser[] = [];
          let answer: ListNews | null = null;
          let list = UNLISTED;
          const hear = (news: ListNews) => {
            list = listed(list, news, filter, most);
          };
          const take = (each: (typeof steps)[number] | 'end') => {
            if (each === 'tell') {
              const told = untold.shift();
              if (told !== undefined) hear(changed(told));
            } else if (each === 'read' || each === 'end') {
              if (answer !== null) hear(answer);
              answer = null;
              if (each === 'end') return;
              hear(BEGUN);
              const found = server.filter((one) => matches(one, filter));
              answer = { kind: 'read', read: found.slice(0, most), more: found.length > most };
            } else if ('kind' in each) hear(each);
            else {
              const id = `eus_${each.id}`;
              const count = server.find(({ heron_id }) => heron_id === id)?.event_count ?? 0;
              const now = endUser(id, each.status, count + 1);
              server = merge(server, [now], ALL);
              untold.push(now);
            }
          };
          take('read'); // as the page opens
          for (const each of steps) take(each);
          take('end');
          while (untold.length > 0) take('tell');
          hear(FREE);
          const right = server.filter((one) => matches(one, filter)).slice(0, most);
          // Only at its end may some be missing, in the place of those that left.
          expect(list.shown).toEqual(list.more ? right.slice(0, list.shown?.length) : right);
          if (filter === ALL) expect(list.shown).toEqual(right);
        },
      ),
    );
  });
});

it('routes are read from the address, and written so that they are', () => {
  expect(parseRoute('')).toEqual({ view: 'overview' });
  expect(parseRoute('#/end-users/a%2Fb')).toEqual({ view: 'one', id: 'a/b' });
  expect(parseRoute('#/events/a%2Fb')).toEqual({ view: 'event', id: 'a/b' });
  expect(parseRoute('#/find?id=a%26b')).toEqual({ view: 'find', id: 'a&b' });
  expect(parseRoute('#/events')).toEqual({ view: 'events', filter: null });
  for (const hash of ['#/other', '#/end-users/%', '#/end-users/a/b']) expect(parseRoute(hash).view).toBe('nowhere');
  for (const filter of [ALL, { kind: 'status', status: 'a&b' }, { kind: 'review' }, { kind: 'failing' }] as const)
    expect(parseRoute(linkToList(filter))).toEqual({ view: 'list', filter });
  for (const filter of [{ kind: 'unrouted' }, { kind: 'topic', topic: 'a.b&c' }] as const)
    expect(parseRoute(linkToEvents(filter))).toEqual({ view: 'events', filter });
});

it('numbers are shown as they were written', () => {
  const body = '{"a":12345678901234567890,"b":9007199254740993,"c":1.10,"d":1e400,"e":-0,"f":[1,2.5]}';
  expect(JSON.stringify(exact(body))).toBe(body);
  expect(readable('{"a":1.10,"a":1e400}')).toBe('{\n  "a": 1e400\n}');
  expect(readable('not JSON')).toBe('not JSON');
});

it('delays are told in a unit that fits', () => {
  expect(delay('2026-01-01T00:00:00.999999Z', '2026-01-01T00:00:02Z')).toBeCloseTo(1_000.001);
  expect(delay(null, '2026-01-01T00:00:02Z')).toBeNull();
  expect([0, 999, 1_000, 1_500, 90_000, 7_200_000, 172_800_000, -1_500].map(duration)).toEqual([
    '0 ms',
    '999 ms',
    '1 s',
    '1.5 s',
    '1.5 min',
    '2 h',
    '2 d',
    '−1.5 s',
  ]);
});

describe('the plot', () => {
  const count = (topic: string, total = 2) => ({ topic, total, by_hour: [total / 2, total / 2] });

  it('has what failed, then the topics with most, and the rest as one', () => {
    const shown = series([...Array.from({ length: 8 }, (_, i) => count(`t${i}`)), count('end_user.failed', 4)]);
    expect(shown.map(({ name }) => name)).toEqual(['end_user.failed', 't0', 't1', 't2', 't3', 't4', '3 more topics']);
    expect(shown.at(-1)).toMatchObject({ total: 6, by_hour: [3, 3] });
    expect(series(Array.from({ length: 7 }, (_, i) => count(`t${i}`)))).toHaveLength(7);
  });

  it('gives a status its colour, and another topic its own whatever its rank', () => {
    const colours = (topics: string[]) =>
      Object.fromEntries(series(topics.map((topic) => count(topic))).map(({ name, colour }) => [name, colour]));
    const topics = ['end_user.processed', 'transactions.updated', 'end_user.failed', 'pdf.failed'];
    expect(colours(topics)).toEqual(colours(topics.toReversed()));
    expect(colours(topics)).toMatchObject({ 'end_user.processed': 'processed', 'end_user.failed': 'failed' });
    expect(new Set(Object.values(colours(topics))).size).toBe(4);
  });
});
