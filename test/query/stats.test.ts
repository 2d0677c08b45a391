import { expect, it } from 'vitest';
import { instantOf } from '../../functions/heron/instant.ts';
import { Stats } from '../../functions/query/stats.ts';
import { MemoryStore } from '../../functions/store/memory.ts';
import { event, logged } from '../store/given.ts';

const HOUR = 3_600_000;
const START = Date.UTC(2026, 7, 14, 12, 30);

function setup() {
  const clock = { now: START };
  const store = new MemoryStore(() => instantOf(clock.now));
  const counted: string[] = [];
  const countEvents = store.countEvents.bind(store);
  store.countEvents = (topic, from, to) => {
    counted.push(`${topic} ${from.slice(11, 13)} ${(Date.parse(to) - Date.parse(from)) / HOUR}`);
    return countEvents(topic, from, to);
  };
  return { clock, store, counted, stats: new Stats(store, () => instantOf(clock.now)) };
}

it('counts end users by status, one that Heron adds later as other, and those to review', async () => {
  const { store, stats } = setup();
  for (const [i, status] of ['new', 'failed', 'failed', 'verified'].entries())
    await store.append([event({ heron_id: `eus_${i}`, status })]);
  await store.append([event({ heron_id: 'eus_none', topic: 'transactions.updated', status: undefined })]);
  await store.append([event({ heron_id: 'eus_0', topic: 'end_user.review_required', status: 'new' })]);
  expect((await stats.read()).end_users).toEqual({
    total: 5,
    review_required: 1,
    failing: 0,
    by_status: { new: 1, ready: 0, processed: 0, reviewed: 0, review_requested: 0, failed: 2, other: 2 },
  });
});

it('counts the events of this hour and the 23 before, by topic', async () => {
  const { clock, store, stats } = setup();
  for (const [age, topic] of [
    [24, 'end_user.failed'],
    [23, 'end_user.failed'],
    [1, 'end_user.processed'],
    [0, 'end_user.processed'],
    [0, 'nobody.knows'],
  ] as const) {
    clock.now = START - age * HOUR;
    await store.append([event({ topic, n: age, heron_id: 'eus_a' })]);
  }
  await store.append([logged('not JSON')]);
  const { events } = (await stats.read()) as { events: Record<string, unknown> };
  expect(events).toMatchObject({ total: 5, unrouted: 2, last_recorded_at: '2026-08-14T12:30:00Z' });
  const hours = events.hours as string[];
  expect([hours[0], hours[23]]).toEqual(['2026-08-13T13:00:00Z', '2026-08-14T12:00:00Z']);
  const zeros = (n: number) => Array.from({ length: n }, () => 0);
  expect(events.topics).toEqual([
    { topic: 'end_user.processed', total: 2, by_hour: [...zeros(22), 1, 1] },
    { topic: 'end_user.failed', total: 1, by_hour: [1, ...zeros(23)] },
    { topic: 'nobody.knows', total: 1, by_hour: [...zeros(23), 1] },
    { topic: null, total: 1, by_hour: [...zeros(23), 1] },
  ]);
});

it('is counted once for all who ask, again after 30 s, and past hours never again', async () => {
  const { clock, store, stats, counted } = setup();
  await store.append([event({ heron_id: 'eus_a' })]);
  const [a, b] = await Promise.all([stats.read(), stats.read()]);
  expect(a).toBe(b);
  expect(counted).toEqual(['end_user.processed 13 23', 'end_user.processed 12 1']);
  clock.now += 29_999;
  expect(await stats.read()).toBe(a);
  clock.now += 1;
  expect(await stats.read()).not.toBe(a);
  expect(counted.slice(2)).toEqual(['end_user.processed 12 1']);
});

it('looks for few events by halves, and counts many hour by hour', async () => {
  const { clock, store, stats, counted } = setup();
  const append = (age: number, count: number, topic: string) => {
    clock.now = START - age * HOUR;
    return Promise.all(
      Array.from({ length: count }, (_, n) => store.append([event({ topic, n, age, heron_id: 'eus_a' })])),
    );
  };
  for (const [age, count] of [
    [22, 2],
    [3, 1],
    [0, 4],
  ] as const)
    await append(age, count, 'pdf.processed');
  for (const [age, count] of [
    [20, 600],
    [5, 600],
  ] as const)
    await append(age, count, 'pdf.failed');
  clock.now = START;
  const { events } = await stats.read();
  const by = (counts: Readonly<Record<number, number>>) => Array.from({ length: 24 }, (_, i) => counts[23 - i] ?? 0);
  expect(events.topics).toEqual([
    { topic: 'pdf.failed', total: 1_200, by_hour: by({ 20: 600, 5: 600 }) },
    { topic: 'pdf.processed', total: 7, by_hour: by({ 22: 2, 3: 1, 0: 4 }) },
  ]);
  const of = (topic: string) => counted.filter((each) => each.startsWith(topic));
  expect(of('pdf.processed').length).toBeLessThan(12);
  expect(of('pdf.failed')).toHaveLength(1 + 19);
});

it('counts all that have no place, however many, also those of a known topic', async () => {
  const { clock, store, stats } = setup();
  clock.now = START - 23 * HOUR - 30 * 60_000 - 1;
  await store.append([logged('too long ago')]);
  clock.now += 1;
  for (let n = 0; n < 150; n++)
    await store.append([event({ heron_id: 'eus_a', topic: 'pdf.failed', created: 'no time', n })]);
  await store.append([event({ heron_id: 'eus_a', topic: 'pdf.failed' })]);
  await store.append([event({ topic: 'nobody.knows' })]);
  clock.now = START;
  expect((await stats.read()).events).toMatchObject({ unrouted: 151, total: 152 });
});

it('of an hour is final only when no event can be added to it any more, and forgotten a day later', async () => {
  const { clock, store, stats, counted } = setup();
  clock.now = START - (START % HOUR) + HOUR + 119_999; // two minutes after the hour, less a millisecond
  await store.append([event({ heron_id: 'eus_a' })]);
  await stats.read();
  clock.now += 30_000;
  counted.length = 0;
  await stats.read();
  expect(counted).toEqual(['end_user.processed 12 1', 'end_user.processed 13 1']);
  clock.now += 30_000;
  counted.length = 0;
  await stats.read();
  expect(counted).toEqual(['end_user.processed 13 1']);
  expect(stats.settled).toBe(23);
  clock.now += 25 * HOUR;
  await stats.read();
  expect(stats.settled).toBe(0);
});

it('that failed is tried again by the next who asks', async () => {
  const { store, stats } = setup();
  const { topics } = store;
  store.topics = () => Promise.reject(new Error('down'));
  await expect(stats.read()).rejects.toThrow('down');
  store.topics = topics.bind(store);
  expect(await stats.read()).toMatchObject({ end_users: { total: 0 } });
});
