import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { stopwatch } from '../../functions/clock.ts';
import { eventOf } from '../../functions/events/event.ts';
import { instantOf } from '../../functions/heron/instant.ts';
import { MemoryStore } from '../../functions/store/memory.ts';
import type { Store } from '../../functions/store/store.ts';
import { until } from '../until.ts';
import { ask, expectProblem, serve, stopServing } from './serving.ts';

const RECEIVED = Date.parse('2026-03-01T10:00:01.500Z');
const RECORDED = instantOf(Date.parse('2026-03-01T10:00:02.250Z'));

let store: Store;
let base: string;
const lines: string[] = [];
const log = (severity: string, message: string) => lines.push(`${severity} ${message}`);
const get = (path: string, init?: RequestInit) => ask(base, path, init);

beforeEach(async () => {
  store = new MemoryStore(() => RECORDED);
  base = await serve({ store, log, clock: () => RECORDED, stopwatch });
});

afterAll(stopServing);

type Fields = { topic?: string; created?: string; data?: object; meta?: unknown };

async function given(fields: Fields): Promise<string> {
  const webhook = { topic: 'end_user.processed', created: '2026-03-01T10:00:00', data: {}, meta: null, ...fields };
  return givenBody(JSON.stringify(webhook));
}

async function givenBody(body: string | Buffer): Promise<string> {
  const event = eventOf(Buffer.from(body), instantOf(RECEIVED));
  await store.append([event]);
  return event.event_id;
}

describe('an end user', () => {
  it('is found by its heron_id and by the customer’s id, with its state', async () => {
    const id = await given({
      data: { heron_id: 'eus_one', end_user_id: 'acme/1 ü', status: 'processed' },
      created: '2026-02-14T12:24:38.137886',
      meta: { tier: 'gold' },
    });
    const state = {
      heron_id: 'eus_one',
      end_user_id: 'acme/1 ü',
      status: 'processed',
      status_at: '2026-02-14T12:24:38.137886Z',
      processed_at: '2026-02-14T12:24:38.137886Z',
      failed_at: null,
      reviewed_at: null,
      review_required: false,
      failing: false,
      first_event_at: '2026-02-14T12:24:38.137886Z',
      last_event_at: '2026-02-14T12:24:38.137886Z',
      last_event: { id, topic: 'end_user.processed', created: '2026-02-14T12:24:38.137886Z' },
      event_count: 1,
      meta: { tier: 'gold' },
    };
    expect(await get('/end-users/eus_one')).toMatchObject({ status: 200, json: state });
    expect((await get(`/end-users/${encodeURIComponent('acme/1 ü')}`)).json).toEqual(state);
    expect((await get(`/end-users?end_user_id=${encodeURIComponent('acme/1 ü')}`)).json).toEqual({
      end_users: [state],
      next_page_token: null,
    });
  });

  it('is found by a customer’s id that looks like a heron_id', async () => {
    await given({ data: { heron_id: 'eus_one', end_user_id: 'eus_mine' } });
    expect((await get('/end-users/eus_mine')).json).toMatchObject({ heron_id: 'eus_one' });
  });

  it('that is unknown is 404, and nobody has its customer id', async () => {
    expectProblem(await get('/end-users/eus_nobody'), 404);
    expectProblem(await get('/end-users/nobody/events'), 404);
    expect((await get('/end-users?end_user_id=nobody')).json).toEqual({ end_users: [], next_page_token: null });
  });

  it('that shares its customer id is named beside the other, not chosen', async () => {
    await given({ data: { heron_id: 'eus_one', end_user_id: 'shared' } });
    await given({ data: { heron_id: 'eus_two', end_user_id: 'shared' } });
    const answer = await get('/end-users/shared');
    expectProblem(answer, 409);
    expect(answer.json.detail).toMatch(/eus_one, eus_two/);
    expect((await get('/end-users?end_user_id=shared')).json.end_users).toHaveLength(2);
    await given({ data: { heron_id: 'eus_two', status: 'failed' }, created: '2026-03-01T10:00:01' });
    expect((await get('/end-users/shared')).json.end_users).toEqual([
      { heron_id: 'eus_two', status: 'failed', last_event_at: '2026-03-01T10:00:01Z' },
      { heron_id: 'eus_one', status: 'processed', last_event_at: '2026-03-01T10:00:00Z' },
    ]);
  });

  it('that was given another customer id is unknown by the one that it had, which is not to say that none had it', async () => {
    await given({ data: { heron_id: 'eus_one', end_user_id: 'old name' } });
    await given({ data: { heron_id: 'eus_one', end_user_id: 'new name' }, created: '2026-03-01T10:00:01' });
    const answer = await get('/end-users/old%20name');
    expectProblem(answer, 404);
    expect(answer.json.detail).toMatch(/ now: .* a later one gave it another end_user_id/);
    expect((await get('/end-users/new%20name')).json.heron_id).toBe('eus_one');
  });

  it.each(['', '.', '..%2F..', 'a%2Fb', '%00', '%F0%9F%98%80', 'x'.repeat(2_000), '__proto__', "';--"])(
    'asked for as %j is a clear answer',
    async (id) => {
      const answer = await get(`/end-users/${id}?`);
      expect([400, 404]).toContain(answer.status);
      expectProblem(answer, answer.status);
    },
  );
});

describe('the history', () => {
  it('is newest first, with what each webhook said and when', async () => {
    const created = ['2026-03-01T10:00:00', '2026-03-01T10:00:00.000002', '2026-03-01T10:00:00.000001'];
    const ids: string[] = [];
    for (const time of created)
      ids.push(await given({ created: time, data: { heron_id: 'eus_one', status: 'ready' }, meta: { a: 1 } }));
    const { json } = await get('/end-users/eus_one/events');
    expect(json.next_page_token).toBeNull();
    expect(json.events.map(({ id }: { id: string }) => id)).toEqual([ids[1], ids[2], ids[0]]);
    expect(json.events[2]).toEqual({
      id: ids[0],
      topic: 'end_user.processed',
      created: '2026-03-01T10:00:00Z',
      received_at: '2026-03-01T10:00:01.500000Z',
      recorded_at: '2026-03-01T10:00:02.250000Z',
      heron_id: 'eus_one',
      end_user_id: null,
      status: 'ready',
      bytes: expect.any(Number),
      data: { heron_id: 'eus_one', status: 'ready' },
      meta: { a: 1 },
    });
  });

  it('comes in pages that together have each event once', async () => {
    for (let n = 0; n < 7; n++) await given({ data: { heron_id: 'eus_one', n } });
    const seen: string[] = [];
    let token: string | null = '';
    while (token !== null) {
      const answer = await get(`/end-users/eus_one/events?page_size=3${token === '' ? '' : `&page_token=${token}`}`);
      seen.push(...answer.json.events.map(({ id }: { id: string }) => id));
      token = answer.json.next_page_token as string | null;
    }
    expect(seen).toHaveLength(7);
    expect(new Set(seen).size).toBe(7);
  });

  it.each([
    'page_size=0',
    'page_size=201',
    'page_size=ten',
    'page_size=',
    'page_token=x',
    'page_token=W10',
    'page=2',
    'page_size=1&page_size=2',
  ])('asked for with %s is 400, not something else', async (parameters) => {
    await given({ data: { heron_id: 'eus_one' } });
    expectProblem(await get(`/end-users/eus_one/events?${parameters}`), 400);
  });
});

describe('an event', () => {
  it.each([
    ['a small one', Buffer.from('{"topic":"a.b","data":{"x":12345678901234567890},"data":{"__proto__":1}}')],
    ['one that is no JSON', Buffer.from([0xff, 0x00, 0xfe])],
    ['an empty one', Buffer.alloc(0)],
    ['a large one', Buffer.alloc(2_000_000, '{"a":')],
    ['a deep one', Buffer.from(`{"data":${'['.repeat(2_000)}${']'.repeat(2_000)}}`)],
  ])('has its body byte for byte: %s', async (_, body) => {
    const id = await givenBody(body);
    const response = await fetch(`${base}/events/${id}/body`);
    expect(response.headers.get('content-type')).toBe('application/octet-stream');
    expect(Buffer.from(await response.arrayBuffer()).equals(body)).toBe(true);
    expect((await get(`/events/${id}`)).json).toMatchObject({ id, bytes: body.byteLength });
  });

  it('and its end user have numbers just as they were written', async () => {
    const numbers = '{"a":12345678901234567890,"b":9007199254740993,"c":1.10,"d":1e400}';
    const ids = '"heron_id":"eus_numbers","end_user_id":12345678901234567890';
    const id = await givenBody(
      `{"topic":"end_user.processed","created":"2026-03-01T09:00:00","data":{${ids},"n":${numbers}},"meta":${numbers}}`,
    );
    const text = async (path: string) => (await fetch(`${base}${path}`)).text();
    expect(await text(`/events/${id}`)).toContain(`"n":${numbers}}`);
    expect(await text(`/events/${id}`)).toContain(`"meta":${numbers}`);
    expect(await text('/end-users/12345678901234567890')).toContain(`"meta":${numbers}`);
  });

  it('has data and meta left out where its body is over 32 KiB, or nested beyond answering', async () => {
    const large = await given({ data: { text: 'x'.repeat(32 * 1024) } });
    const deep = await givenBody(`{"data":${'['.repeat(16_000)}${']'.repeat(16_000)}}`);
    for (const id of [large, deep]) {
      const { status, json } = await get(`/events/${id}`);
      expect(status).toBe(200);
      expect(json).not.toHaveProperty('data');
    }
  });

  it('that the log does not have is 404', async () => {
    expectProblem(await get(`/events/${'0'.repeat(64)}`), 404);
    expectProblem(await get(`/events/..%2Fend_users%2Feus_one/body`), 404);
  });
});

describe('end users', () => {
  const ids = (answer: { json: { end_users: { heron_id: string }[] } }) =>
    answer.json.end_users.map(({ heron_id }) => heron_id);

  it('are listed newest change first, by status or for review, in pages that hold while others change', async () => {
    const at = (second: number) => `2026-03-01T10:00:0${second}`;
    for (const [i, status] of ['ready', 'failed', 'ready', 'processed'].entries())
      await given({ created: at(i), data: { heron_id: `eus_${i}`, status } });
    await given({ created: at(1), topic: 'end_user.review_required', data: { heron_id: 'eus_1' } });
    expect(ids(await get('/end-users'))).toEqual(['eus_1', 'eus_3', 'eus_2', 'eus_0']);
    expect(ids(await get('/end-users?status=ready'))).toEqual(['eus_2', 'eus_0']);
    expect(ids(await get('/end-users?review_required=true'))).toEqual(['eus_1']);
    const first = await get('/end-users?page_size=2');
    await given({ created: at(8), data: { heron_id: 'eus_3' } });
    await given({ created: at(9), data: { heron_id: 'eus_0' } });
    const second = await get(`/end-users?page_size=2&page_token=${first.json.next_page_token}`);
    expect([ids(first), ids(second)]).toEqual([['eus_1', 'eus_3'], ['eus_2']]);
    expect(second.json.next_page_token).toBeNull();
  });

  it.each([
    'status=',
    'status=a&status=b',
    'status=failed&review_required=true',
    'review_required=false',
    'end_user_id=',
    'end_user_id=a&failing=true',
    'failing=false',
    'page_size=201',
    'page_token=WyIyMDI2LTAxLTAxVDAwOjAwOjAwWiIsIi4uLyJd',
    `status=${'x'.repeat(1_025)}`,
  ])('asked for with %s are 400', async (parameters) => {
    expectProblem(await get(`/end-users?${parameters}`), 400);
  });

  it('are found by up to 500 ids at once, each with all that it names', async () => {
    await given({ data: { heron_id: 'eus_one', end_user_id: 'shared' } });
    await given({ data: { heron_id: 'eus_two', end_user_id: 'shared' } });
    const batch = (body: string) => get('/end-users:batchGet', { method: 'POST', body });
    const { json } = await batch(JSON.stringify({ ids: ['shared', 'nobody', 'eus_two', 'eus_two'] }));
    expect(json.results.map(({ id }: { id: string }) => id)).toEqual(['shared', 'nobody', 'eus_two', 'eus_two']);
    expect(json.results.map((result: { end_users: unknown[] }) => result.end_users.length)).toEqual([2, 0, 1, 1]);
    const many = Array.from({ length: 500 }, (_, i) => `nobody ${i}`);
    expect((await batch(JSON.stringify({ ids: many }))).json.results).toHaveLength(500);
    for (const body of ['', '[]', 'null', '{"ids":"a"}']) expectProblem(await batch(body), 400);
    for (const [bad, index] of [
      ['[1]', 0],
      ['["a",""]', 1],
      ['["a","b","\\ud800"]', 2],
    ] as const) {
      const answer = await batch(`{"ids":${bad}}`);
      expectProblem(answer, 400);
      expect(answer.json.detail).toContain(`ids[${index}]`);
    }
    expect((await batch(JSON.stringify({ ids: [...many, ...many] }))).json.results).toHaveLength(1_000);
    const tooMany = await batch(JSON.stringify({ ids: [...many, 'one more'] }));
    expectProblem(tooMany, 400);
    expect(tooMany.json.detail).toContain('501');
    expectProblem(await batch('x'.repeat(1024 * 1024 + 1)), 413);
    expectProblem(await get('/end-users:batchGet'), 405);
  });
});

it('more end users with one customer’s id than are listed at once are paged, and a batch says that there are more', async () => {
  for (let n = 0; n < 101; n++) await given({ data: { heron_id: `eus_${1_000 + n}`, end_user_id: 'shared' } });
  const first = (await get('/end-users?end_user_id=shared&page_size=100')).json;
  expect(first.end_users).toHaveLength(100);
  const rest = (await get(`/end-users?end_user_id=shared&page_token=${first.next_page_token}`)).json;
  expect(rest).toMatchObject({ end_users: [{ heron_id: 'eus_1100' }], next_page_token: null });
  const [result] = (await get('/end-users:batchGet', { method: 'POST', body: '{"ids":["shared"]}' })).json.results;
  expect(result.end_users).toHaveLength(100);
  expect((await get(`/end-users?end_user_id=shared&page_token=${result.next_page_token}`)).json.end_users).toHaveLength(
    1,
  );
});

describe('the log', () => {
  const found = async (path: string) => (await get(path)).json.events.map(({ id }: { id: string }) => id);

  it('is listed by topic, in pages', async () => {
    const ids: string[] = [];
    for (let n = 0; n < 3; n++) ids.push(await given({ topic: 'pdf.failed', data: { n } }));
    await given({ topic: 'pdf.processed' });
    const first = (await get('/events?topic=pdf.failed&page_size=2')).json;
    const rest = await found(`/events?topic=pdf.failed&page_size=2&page_token=${first.next_page_token}`);
    expect([...first.events.map(({ id }: { id: string }) => id), ...rest].sort()).toEqual(ids.sort());
  });

  it('has what has no place of its own, each with the reason', async () => {
    const unrouted = [
      await given({ topic: 'nobody.knows' }),
      await givenBody('not JSON'),
      await given({ topic: 'end_user.processed', data: {} }),
      await given({ topic: 'pdf.processed', meta: 'odd' }),
    ];
    await given({ data: { heron_id: 'eus_one' } });
    expect((await found('/events?unrouted=true')).sort()).toEqual(unrouted.sort());
    for (const event of (await get('/events?unrouted=true')).json.events) expect(event.reason).toMatch(/\w/);
    expect((await get('/stats')).json.events.unrouted).toBe(4);
  });

  it('has an end user’s events where it has no state, as their time is none', async () => {
    const id = await given({ created: 'soon', data: { heron_id: 'eus_timeless' } });
    expectProblem(await get('/end-users/eus_timeless'), 404);
    expect(await found('/end-users/eus_timeless/events')).toEqual([id]);
    expectProblem(await get('/end-users/eus_nobody/events'), 404);
  });
});

it('end users are listed that fail, or have another status', async () => {
  await given({ topic: 'end_user.failed', data: { heron_id: 'eus_failing', status: 'ready' } });
  await given({ topic: 'end_user.updated', data: { heron_id: 'eus_odd', status: 'verified' } });
  const listed = async (parameters: string) =>
    (await get(`/end-users?${parameters}`)).json.end_users.map(({ heron_id }: { heron_id: string }) => heron_id);
  expect(await listed('failing=true')).toEqual(['eus_failing']);
  expect(await listed('status=other')).toEqual(['eus_odd']);
  expect((await get('/stats')).json.end_users).toMatchObject({ failing: 1, by_status: { other: 1 } });
});

it('a batch whose answer would be over 8 MiB is refused, with how many of its ids fit', async () => {
  const meta = { padding: 'x'.repeat(30_000) };
  for (let n = 0; n < 100; n++) await given({ data: { heron_id: `eus_${n}`, end_user_id: 'shared' }, meta });
  let reads = 0;
  const endUsersOfPage = store.endUsersOfPage.bind(store);
  store.endUsersOfPage = (...asked) => {
    reads++;
    return endUsersOfPage(...asked);
  };
  const batch = (ids: string[]) => get('/end-users:batchGet', { method: 'POST', body: JSON.stringify({ ids }) });
  const answer = await batch(Array.from({ length: 150 }, () => 'shared'));
  expectProblem(answer, 413);
  expect(answer.json.type).toBe('/problems#answer-too-large');
  expect(answer.json.detail).toContain('the first 2 of the ids fit');
  expect(reads).toBe(1);
  expect((await batch(['shared', 'shared'])).json.results).toHaveLength(2);
});

/** Asks, and returns what resets the connection. One that only ends its side may still want its answer. */
function asking(start: string, body = ''): () => void {
  const client = connect(Number(new URL(base).port), '127.0.0.1').on('error', () => {});
  client.write(`${start}\r\nHost: query\r\n\r\n${body}`);
  return () => client.resetAndDestroy();
}

describe('a batch', () => {
  const batch = (ids: readonly string[]) => ({ method: 'POST', body: JSON.stringify({ ids }) });

  it('of heron_ids costs a call for a hundred, and a query only for those that nobody has', async () => {
    await given({ data: { heron_id: 'eus_7', end_user_id: 'eus_mine' } });
    const asked: (readonly string[])[] = [];
    const { endUsersNamed, endUsersOfPage } = store;
    store.endUsersNamed = (ids, signal) => {
      asked.push(ids);
      return endUsersNamed.call(store, ids, signal);
    };
    const queried: string[] = [];
    store.endUsersOfPage = (id, ...rest) => {
      queried.push(id);
      return endUsersOfPage.call(store, id, ...rest);
    };
    const ids = [...Array.from({ length: 120 }, (_, n) => `eus_${n}`), 'eus_mine', 'eus_7'];
    for (const id of ids) if (id !== 'eus_mine') await given({ data: { heron_id: id } });
    const { results } = (await get('/end-users:batchGet', batch(ids))).json;
    const named = results.map(({ end_users }: { end_users: { heron_id: string }[] }) => end_users[0]?.heron_id);
    expect(named).toEqual(ids.map((id) => (id === 'eus_mine' ? 'eus_7' : id)));
    expect(asked.map(({ length }) => length)).toEqual([100, 21]);
    expect(queried).toEqual(['eus_mine']);
  });

  it('whose client has gone reads no further, and is no failure of the store', async () => {
    let reads = 0;
    let release: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const signals = new Set<AbortSignal | undefined>();
    store.endUsersOfPage = async (_id, _size, _after, signal) => {
      reads++;
      signals.add(signal);
      await held;
      signal?.throwIfAborted(); // as the store does
      return { endUsers: [], next: null };
    };
    const before = lines.length;
    const { body } = batch(Array.from({ length: 60 }, (_, n) => `customer ${n}`));
    const leave = asking(`POST /end-users:batchGet HTTP/1.1\r\nContent-Length: ${body.length}`, body);
    await until(() => reads === 20);
    leave();
    await until(() => [...signals].every((signal) => signal?.aborted));
    release();
    await get('/end-users/eus_nobody');
    expect(reads).toBe(20);
    expect(lines.slice(before)).toEqual([]);
  });
});

it.each([
  ['/end-users/eus_one', 'endUser'],
  ['/end-users/customer', 'endUsersOf'],
  ['/end-users?end_user_id=customer', 'endUsersOfPage'],
  ['/end-users?failing=true', 'listEndUsers'],
  ['/end-users/eus_one/events', 'events'],
  ['/events?topic=a.b', 'eventsOfTopic'],
  ['/events?unrouted=true', 'unroutedEvents'],
  [`/events/${'0'.repeat(64)}`, 'event'],
  [`/events/${'0'.repeat(64)}/body`, 'body'],
] as const)('what %s reads is ended where its client goes', async (path, method) => {
  const signal = Promise.withResolvers<AbortSignal>();
  const never = (...args: unknown[]) => {
    signal.resolve(args.find((arg) => arg instanceof AbortSignal) as AbortSignal);
    return new Promise<never>(() => {});
  };
  Object.assign(store, { [method]: never });
  const leave = asking(`GET ${path} HTTP/1.1`);
  const given = await signal.promise;
  expect(given.aborted).toBe(false);
  leave();
  await until(() => given.aborted);
});

describe('whatever else is asked', () => {
  it('with another method is 405 and says which are allowed', async () => {
    for (const method of ['POST', 'DELETE', 'PUT']) {
      const answer = await get('/end-users/eus_one', { method, ...(method === 'DELETE' ? {} : { body: '{' }) });
      expectProblem(answer, 405);
      expect(answer.headers.get('allow')).toBe('GET, HEAD');
    }
  });

  it('is answered 304 where the client has it, and shared caches may keep nothing', async () => {
    const id = await given({ data: { heron_id: 'eus_one' } });
    for (const path of ['/end-users/eus_one', '/end-users', `/events/${id}`, `/events/${id}/body`, '/stats', '/']) {
      const first = await get(path);
      const etag = first.headers.get('etag') ?? '';
      expect(etag).toMatch(/^"[\w-]+"$/);
      expect(first.headers.get('cache-control')).toBe('private, no-cache');
      const again = await get(path, { headers: { 'If-None-Match': `"other", W/${etag}` } });
      expect(again).toMatchObject({ status: 304, text: '' });
      expect((await get(path, { headers: { 'If-None-Match': '"other"' } })).status).toBe(200);
    }
    const before = (await get('/end-users/eus_one')).headers.get('etag') ?? '';
    await given({ data: { heron_id: 'eus_one', status: 'ready' }, created: '2026-04-01T00:00:00' });
    expect((await get('/end-users/eus_one', { headers: { 'If-None-Match': before } })).status).toBe(200);
  });

  it('with HEAD is answered without a body', async () => {
    await given({ data: { heron_id: 'eus_one' } });
    expect(await get('/end-users/eus_one', { method: 'HEAD' })).toMatchObject({ status: 200, text: '' });
  });

  it.each([
    '/nothing',
    '/end-users/',
    '/end-users//events',
    '/stats/more',
    '/assets/',
    '/assets/../query.ts',
    '/end-users/a/b',
    '/end-users/a/events/c',
    '/%E0%A4%A',
    '/events',
    '/events?topic=a.b&unrouted=true',
    '/events?unrouted=false',
    `/events?topic=a.b&page_token=${Buffer.from(JSON.stringify(['2026-01-01T00:00:00Z', '../x'])).toString('base64url')}`,
    `/events?topic=a.b&page_token=${Buffer.from(JSON.stringify([null, '0'.repeat(64)])).toString('base64url')}`,
    `/end-users/eus_one/events?page_token=${Buffer.from(JSON.stringify([null, '..'])).toString('base64url')}`,
  ])('at %s is a problem that says where things are', async (path) => {
    const answer = await get(path);
    expect([400, 404]).toContain(answer.status);
    expectProblem(answer, answer.status);
  });

  it('while the store fails is 503, and the error is not told', async () => {
    const broken = new MemoryStore(() => RECORDED);
    broken.endUser = () => Promise.reject(new Error('secret of the store'));
    base = await serve({ store: broken, log, clock: () => RECORDED, stopwatch });
    const answer = await get('/end-users/eus_one');
    expectProblem(answer, 503);
    expect(answer.headers.get('retry-after')).toBe('5');
    expect(answer.text + lines.join()).not.toContain('secret of the store');
  });
});

describe('a file of the page', () => {
  it.each([
    ['gzip, br', 'gzip'],
    ['br;q=1, GZIP;q=0.5', 'gzip'],
    ['*', 'gzip'],
    ['gzip;q=0', null],
    ['gzip; q=0.000, *', null],
    ['*;q=0', null],
    ['identity', null],
    ['', null],
  ])('asked for with Accept-Encoding %j comes as %s', async (accepted, coding) => {
    const headers = { 'Accept-Encoding': accepted };
    const { hostname, port } = new URL(base);
    const response = await new Promise<IncomingMessage>((resolve, reject) =>
      request({ hostname, port, path: '/', headers }, resolve).once('error', reject).end(),
    );
    response.resume();
    expect(response.headers['content-encoding'] ?? null).toBe(coding);
    expect(response.headers.vary).toBe('Accept-Encoding');
  });
});

it('an address is the same however its characters are encoded', async () => {
  const batch = { method: 'POST', body: '{"ids":[]}' };
  expect(await get('/end-users%3AbatchGet', batch)).toMatchObject({ status: 200, json: { results: [] } });
  const answer = await get('/end-users%3AbatchGet');
  expectProblem(answer, 405);
  expect(answer.headers.get('allow')).toBe('POST');
});
