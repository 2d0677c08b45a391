import { describe, expect, it } from 'vitest';
import * as heron from '../../functions/heron/status.ts';
import {
  delay,
  duration,
  exact,
  linkToEvents,
  linkToList,
  merge,
  newer,
  parseRoute,
  readable,
  refresh,
  STATUSES,
  series,
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
