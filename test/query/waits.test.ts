import { request } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { clock, stopwatch } from '../../functions/clock.ts';
import { Waits } from '../../functions/query/waits.ts';
import { MemoryStore } from '../../functions/store/memory.ts';
import { event } from '../store/given.ts';
import { until } from '../until.ts';
import { ask, expectProblem, serve, stopServing } from './serving.ts';

const T1 = '2026-08-01T00:00:00Z';
const T2 = '2026-08-02T00:00:00Z';
const T3 = '2026-08-03T00:00:00Z';

let store: MemoryStore;
let base: string;
let stopping: AbortController;
/** How many watches the store has now, and has had. */
let watches: { now: number; ever: number };

beforeEach(async () => {
  store = new MemoryStore(clock);
  watches = { now: 0, ever: 0 };
  const watch = store.watch.bind(store);
  store.watch = (...args) => {
    watches.now++;
    watches.ever++;
    const stop = watch(...args);
    return () => {
      watches.now--;
      stop();
    };
  };
  stopping = new AbortController();
  base = await serve({ store, log: () => {}, clock, stopwatch, stopping: stopping.signal });
});

afterEach(() => vi.useRealTimers());
afterAll(stopServing);

/** No time is over by itself any more. */
const stopTime = () => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });

const given = (fields: Parameters<typeof event>[0]) => store.append([event(fields)]);
const wait = (id: string, parameters: string) => ask(base, `/end-users/${encodeURIComponent(id)}?${parameters}`);

describe('a request that waits', () => {
  it.each(['eus_a', 'acme/1 ü', 'eus_mine'])('for %s is answered when the end user stands there', async (id) => {
    const end_user_id = id === 'eus_a' ? null : id;
    await given({ heron_id: 'eus_a', end_user_id, status: 'new', created: T1 });
    const waiting = wait(id, 'wait_for=processed,failed&timeout=20');
    await until(() => watches.now === 1);
    await given({ heron_id: 'eus_a', end_user_id, status: 'ready', created: T1 });
    await given({ heron_id: 'eus_a', end_user_id, status: 'failed', created: T2 });
    expect(await waiting).toMatchObject({ status: 200, json: { heron_id: 'eus_a', status: 'failed' } });
    expect(watches).toEqual({ now: 0, ever: 1 });
  });

  it('is answered at once where it stands there already, unless that was said before `after`', async () => {
    await given({ heron_id: 'eus_a', created: T1 });
    expect((await wait('eus_a', 'wait_for=processed')).status).toBe(200);
    expect((await wait('eus_a', 'wait_for=processed&timeout=0&after=2026-07-31T23:59:59.999999Z')).status).toBe(200);
    expect(await wait('eus_a', `wait_for=processed&timeout=0&after=${T1}`)).toMatchObject({
      status: 202,
      json: { status: 'processed' },
    });
    const waiting = wait('eus_a', `wait_for=processed&after=${T1}&timeout=20`);
    await until(() => watches.now === 1);
    await given({ heron_id: 'eus_a', created: T2 });
    expect(await waiting).toMatchObject({ status: 200, json: { status_at: T2 } });
  });

  it.each(['eus_a', 'acme-1'])('for %s begins before the end user exists', async (id) => {
    const waiting = wait(id, 'wait_for=processed');
    await until(() => watches.now === 1);
    await given({ heron_id: 'eus_a', end_user_id: 'acme-1', created: T1 });
    expect(await waiting).toMatchObject({ status: 200, json: { heron_id: 'eus_a' } });
  });

  it('is told after its time where the end user stands, or that nobody knows it', async () => {
    await given({ heron_id: 'eus_a', status: 'ready', created: T1 });
    const started = performance.now();
    const [known, unknown] = await Promise.all([
      wait('eus_a', 'wait_for=processed&timeout=1'),
      wait('eus_b', 'wait_for=processed&timeout=1'),
    ]);
    expect(known).toMatchObject({ status: 202, json: { status: 'ready' } });
    expectProblem(unknown, 404);
    expect(performance.now() - started).toBeGreaterThan(990);
    expect(watches.now).toBe(0);
  });

  it('is told when a second end user takes the same customer id', async () => {
    await given({ heron_id: 'eus_a', end_user_id: 'acme-1', status: 'new', topic: 'end_user.created', created: T1 });
    const waiting = wait('acme-1', 'wait_for=processed&timeout=55');
    await until(() => watches.now === 1);
    // It is not what is waited for: that there are two is what ends the wait.
    await given({ heron_id: 'eus_b', end_user_id: 'acme-1', status: 'ready', topic: 'end_user.ready', created: T2 });
    const answer = await waiting;
    expectProblem(answer, 409);
    expect(answer.json.detail).toContain('eus_b, eus_a');
    expect(answer.json.end_users).toEqual([
      { heron_id: 'eus_b', status: 'ready', last_event_at: T2 },
      { heron_id: 'eus_a', status: 'new', last_event_at: T1 },
    ]);
  });

  it('shares one watch with all that wait for the same', async () => {
    const waiting = Array.from({ length: 50 }, () => wait('eus_a', 'wait_for=processed&timeout=55'));
    await until(() => watches.now === 1);
    await given({ heron_id: 'eus_a' });
    for (const each of waiting) expect((await each).status).toBe(200);
    expect(watches).toEqual({ now: 0, ever: 1 });
  });

  it('frees its watch where its client leaves', async () => {
    const alone = request(`${base}/end-users/eus_b?wait_for=processed`).on('error', () => {});
    alone.end();
    await until(() => watches.now === 1);
    alone.destroy();
    await until(() => watches.now === 0);
  });

  it('is answered with what there is where its client ends its side, as nothing tells that it has gone', async () => {
    stopTime();
    await given({ heron_id: 'eus_a', status: 'ready', topic: 'end_user.ready' });
    const client = connect({ port: Number(new URL(base).port), host: '127.0.0.1', allowHalfOpen: true });
    client.write('GET /end-users/eus_a?wait_for=processed&timeout=55 HTTP/1.1\r\nHost: x\r\n\r\n');
    await until(() => watches.now === 1);
    client.end();
    expect(await text(client)).toMatch(/^HTTP\/1\.1 202 /);
    expect(watches.now).toBe(0);
  });

  it('is answered when the process is about to end', async () => {
    await given({ heron_id: 'eus_a', status: 'ready', topic: 'end_user.ready' });
    stopTime();
    const waiting = wait('eus_a', 'wait_for=processed&timeout=55');
    const unknown = wait('eus_b', 'wait_for=processed&timeout=55');
    await until(() => watches.now === 2);
    stopping.abort();
    expect((await waiting).status).toBe(202);
    expect((await unknown).status).toBe(404);
    // Those that come while it ends are not waited for either.
    expect((await wait('eus_a', 'wait_for=processed&timeout=55')).status).toBe(202);
    expect(watches).toEqual({ now: 0, ever: 2 });
  });

  it('that joins others is told what they were told before', async () => {
    const first = wait('eus_a', 'wait_for=processed&timeout=55');
    await until(() => watches.now === 1);
    await given({ heron_id: 'eus_a', status: 'failed', topic: 'end_user.failed' });
    // Its own first reading is older than what the watch has told: only the watch can tell it.
    const { endUser } = store;
    store.endUser = async () => null;
    store.endUsersOf = async () => [];
    const late = wait('eus_a', 'wait_for=failed&timeout=55');
    expect(await late).toMatchObject({ status: 200, json: { status: 'failed' } });
    expect(watches.ever).toBe(1);
    store.endUser = endUser;
    await given({ heron_id: 'eus_a', status: 'processed', topic: 'end_user.processed', created: T2 });
    expect((await first).status).toBe(200);
  });

  it('is answered where the status has already moved on', async () => {
    await given({ heron_id: 'eus_a', topic: 'end_user.processed', created: T1 });
    const waiting = wait('eus_a', 'wait_for=failed&timeout=55');
    await until(() => watches.now === 1);
    // In one transaction: nobody ever sees it failed.
    await store.append([
      event({ heron_id: 'eus_a', topic: 'end_user.failed', status: 'failed', created: T2 }),
      event({ heron_id: 'eus_a', topic: 'end_user.reviewed', status: 'reviewed', created: T3 }),
    ]);
    expect(await waiting).toMatchObject({ status: 200, json: { status: 'reviewed', failed_at: T2 } });
    // What was before the wait began does not count, but where it is asked for by its time.
    expect((await wait('eus_a', 'wait_for=failed&timeout=0')).status).toBe(202);
    expect((await wait('eus_a', `wait_for=failed&timeout=0&after=${T1}`)).status).toBe(200);
    expect((await wait('eus_a', `wait_for=failed&timeout=0&after=${T2}`)).status).toBe(202);
  });

  it('for a status that Heron does not document says so', async () => {
    await given({ heron_id: 'eus_a', topic: 'end_user.processed', created: T1 });
    const parameters = 'wait_for=procesed,failed,verified&timeout=0';
    expect(await wait('eus_a', parameters)).toMatchObject({
      status: 202,
      json: { unknown_statuses: ['procesed', 'verified'] },
    });
    expect(await wait('eus_b', parameters)).toMatchObject({
      status: 404,
      json: { unknown_statuses: ['procesed', 'verified'] },
    });
    expect((await wait('eus_a', 'wait_for=processed')).json).not.toHaveProperty('unknown_statuses');
    expect((await ask(base, '/end-users?status=procesed')).json.unknown_statuses).toEqual(['procesed']);
  });

  it.each(['timeout=1', 'timeout=0'])('with %s has the store’s slowness in its time', async (parameters) => {
    await given({ heron_id: 'eus_a', status: 'ready', topic: 'end_user.ready' });
    const { endUser } = store;
    let answer: (() => void) | null = null;
    store.endUser = async (id) => {
      await new Promise<void>((resolve) => {
        answer = resolve;
      });
      return endUser.call(store, id);
    };
    // Silent: it is given up when its second is over, not when the store's own deadline is.
    expectProblem(await wait('eus_a', `wait_for=processed&${parameters}`), 503);
    answer = null;
    const slow = wait('eus_a', `wait_for=processed&${parameters}`);
    await until(() => answer !== null);
    (answer as unknown as () => void)();
    expect((await slow).status).toBe(202);
  });

  it('is told 503 when the watch fails, and the next begins another', async () => {
    const { watch } = store;
    store.watch = (_watched, _onStates, onFailure) => {
      setImmediate(() => onFailure(new Error('secret')));
      return () => {};
    };
    expectProblem(await wait('eus_a', 'wait_for=processed'), 503);
    store.watch = watch;
    const waiting = wait('eus_a', 'wait_for=processed');
    await until(() => watches.now === 1);
    await given({ heron_id: 'eus_a' });
    expect((await waiting).status).toBe(200);
  });

  it.each([
    'wait_for=',
    'wait_for=a,,b',
    `wait_for=${'a,'.repeat(1)}${Array.from({ length: 21 }, (_, i) => `s${i}`)}`,
    'wait_for=a&timeout=56',
    'wait_for=a&timeout=-1',
    'wait_for=a&timeout=1.5',
    'wait_for=a&timeout=',
    'wait_for=a&after=yesterday',
    'timeout=5',
    'after=2026-01-01T00:00:00Z',
  ])('with %s is 400', async (parameters) => {
    expectProblem(await wait('eus_a', parameters), 400);
  });
});

it('a watch goes on while one waits, and nothing is left of those who waited', async () => {
  const waits = new Waits(store, stopping.signal);
  const leaving = Array.from({ length: 3 }, () => new AbortController());
  const waiting = leaving.map(({ signal }) => waits.until({ heron_id: 'eus_a' }, () => false, 60_000, signal));
  expect(watches).toEqual({ now: 1, ever: 1 });
  for (const client of leaving) {
    expect([waits.size, watches.now]).toEqual([1, 1]);
    client.abort();
  }
  await Promise.all(waiting);
  expect([waits.size, watches.now]).toEqual([0, 0]);
});
