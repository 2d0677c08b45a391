import { describe, expect, it } from 'vitest';
import * as heron from '../../functions/heron/status.ts';
import { delay, duration, merge, parseRoute, STATUSES, series } from '../../functions/query/page/model.js';

const endUser = (heron_id: string, second: string, status = 'ready') => ({
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
  last_event_at: `2026-01-01T00:00:${second}Z`,
  last_event: { id: '', topic: null, created: '2026-01-01T00:00:00Z' },
  event_count: 1,
  meta: null,
});
const all = { status: null, review: false };
const ids = (rows: readonly { heron_id: string }[]) => rows.map(({ heron_id }) => heron_id).join(' ');

it('knows the statuses that Heron documents', () => {
  expect(STATUSES.toSorted()).toEqual(heron.STATUSES.toSorted());
});

describe('rows', () => {
  const rows = [endUser('eus_c', '03'), endUser('eus_b', '02.000001'), endUser('eus_a', '02')];

  it('move to where they belong, by the microsecond', () => {
    expect(ids(merge(rows, endUser('eus_a', '02.000002'), all, false))).toBe('eus_c eus_a eus_b');
    expect(ids(merge(rows, endUser('eus_new', '04'), all, false))).toBe('eus_new eus_c eus_b eus_a');
    expect(ids(merge([], endUser('eus_new', '04'), all, false))).toBe('eus_new');
  });

  it('leave a filter that they no longer fit, and enter one that they do', () => {
    const ready = { status: 'ready', review: false };
    expect(ids(merge(rows, endUser('eus_b', '05', 'failed'), ready, false))).toBe('eus_c eus_a');
    expect(ids(merge(rows, endUser('eus_x', '05', 'ready'), ready, false))).toBe('eus_x eus_c eus_b eus_a');
  });

  it('behind the last are left to the next page, where there is one', () => {
    expect(ids(merge(rows, endUser('eus_old', '01'), all, true))).toBe('eus_c eus_b eus_a');
    expect(ids(merge(rows, endUser('eus_old', '01'), all, false))).toBe('eus_c eus_b eus_a eus_old');
  });
});

it('routes are read from the address', () => {
  expect(parseRoute('')).toEqual({ view: 'overview' });
  expect(parseRoute('#/end-users?status=failed')).toEqual({ view: 'list', status: 'failed', review: false });
  expect(parseRoute('#/end-users/a%2Fb')).toEqual({ view: 'one', id: 'a/b' });
  expect(parseRoute('#/find?id=a%26b')).toEqual({ view: 'find', id: 'a&b' });
  for (const hash of ['#/other', '#/end-users/%', '#/end-users/a/b']) expect(parseRoute(hash).view).toBe('nowhere');
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

it('the plot has the topics with most, and the rest as one', () => {
  const topics = Array.from({ length: 8 }, (_, i) => ({ topic: `t${i}`, total: 2, by_hour: [1, 1] }));
  const shown = series(topics);
  expect(shown).toHaveLength(6);
  expect(shown.at(-1)).toEqual({ name: '3 more topics', total: 6, by_hour: [3, 3] });
});
