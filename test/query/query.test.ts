import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { eventOf } from '../../functions/events/event.ts';
import { instantOf } from '../../functions/heron/instant.ts';
import { takeOverRequests } from '../../functions/http.ts';
import { query } from '../../functions/query/query.ts';
import { MemoryStore } from '../../functions/store/memory.ts';
import type { Store } from '../../functions/store/store.ts';

const RECEIVED = Date.parse('2026-03-01T10:00:01.500Z');
const RECORDED = Date.parse('2026-03-01T10:00:02.250Z');

let store: Store;
let base: string;
const lines: string[] = [];
const servers: Server[] = [];

async function serve(served: Store): Promise<string> {
  takeOverRequests();
  const log = (severity: string, message: string) => lines.push(`${severity} ${message}`);
  const handler = query({ store: served, log, now: () => RECORDED, projectId: 'test' });
  const server = createServer((request, response) => void handler(request, response));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

beforeEach(async () => {
  store = new MemoryStore(() => RECORDED);
  base = await serve(store);
});

afterAll(() => {
  for (const server of servers) server.closeAllConnections();
  for (const server of servers) server.close();
});

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

async function get(path: string, init?: RequestInit) {
  const response = await fetch(`${base}${path}`, init);
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: text === '' ? null : JSON.parse(text) };
}

function expectProblem(answer: Awaited<ReturnType<typeof get>>, status: number): void {
  expect(answer.status).toBe(status);
  expect(answer.headers.get('content-type')).toBe('application/problem+json');
  expect(answer.json).toMatchObject({ status, title: expect.any(String), detail: expect.any(String) });
  expect(answer.text).not.toMatch(/\n {2}at |node_modules/);
}

describe('an end user', () => {
  it('is found by its heron_id and by the customer’s id, with its state', async () => {
    const id = await given({
      data: { heron_id: 'eus_one', end_user_id: 'acme/1 ü', status: 'processed' },
      created: '2026-08-14T12:24:38.137886',
      meta: { tier: 'gold' },
    });
    const state = {
      heron_id: 'eus_one',
      end_user_id: 'acme/1 ü',
      status: 'processed',
      status_at: '2026-08-14T12:24:38.137886Z',
      review_required: false,
      first_event_at: '2026-08-14T12:24:38.137886Z',
      last_event_at: '2026-08-14T12:24:38.137886Z',
      last_event: { id, topic: 'end_user.processed', created: '2026-08-14T12:24:38.137886Z' },
      event_count: 1,
      meta: { tier: 'gold' },
    };
    expect(await get('/end-users/eus_one')).toMatchObject({ status: 200, json: state });
    expect((await get(`/end-users/${encodeURIComponent('acme/1 ü')}`)).json).toEqual(state);
    expect((await get(`/end-users?end_user_id=${encodeURIComponent('acme/1 ü')}`)).json).toEqual({
      end_users: [state],
    });
  });

  it('is found by a customer’s id that looks like a heron_id', async () => {
    await given({ data: { heron_id: 'eus_one', end_user_id: 'eus_mine' } });
    expect((await get('/end-users/eus_mine')).json).toMatchObject({ heron_id: 'eus_one' });
  });

  it('that is unknown is 404, and nobody has its customer id', async () => {
    expectProblem(await get('/end-users/eus_nobody'), 404);
    expectProblem(await get('/end-users/nobody/events'), 404);
    expect((await get('/end-users?end_user_id=nobody')).json).toEqual({ end_users: [] });
  });

  it('that shares its customer id is named beside the other, not chosen', async () => {
    await given({ data: { heron_id: 'eus_one', end_user_id: 'shared' } });
    await given({ data: { heron_id: 'eus_two', end_user_id: 'shared' } });
    const answer = await get('/end-users/shared');
    expectProblem(answer, 409);
    expect(answer.json.detail).toMatch(/eus_one, eus_two/);
    expect((await get('/end-users?end_user_id=shared')).json.end_users).toHaveLength(2);
  });

  it.each(['', '.', '..', '%2e%2e', 'a%2Fb', '%00', '%F0%9F%98%80', 'x'.repeat(2_000), '__proto__', "';--"])(
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

describe('whatever else is asked', () => {
  it('with another method is 405 and says which are allowed', async () => {
    for (const method of ['POST', 'DELETE', 'PUT']) {
      const answer = await get('/end-users/eus_one', { method, ...(method === 'DELETE' ? {} : { body: '{' }) });
      expectProblem(answer, 405);
      expect(answer.headers.get('allow')).toBe('GET, HEAD');
    }
  });

  it('with HEAD is answered without a body', async () => {
    await given({ data: { heron_id: 'eus_one' } });
    expect(await get('/end-users/eus_one', { method: 'HEAD' })).toMatchObject({ status: 200, text: '' });
  });

  it.each([
    '/',
    '/nothing',
    '/end-users',
    '/end-users/',
    '/end-users/a/b',
    '/end-users/a/events/c',
    '/%E0%A4%A',
    '/events',
  ])('at %s is a problem that says where things are', async (path) => {
    const answer = await get(path);
    expect([400, 404]).toContain(answer.status);
    expectProblem(answer, answer.status);
  });

  it('while the store fails is 503, and the error is not told', async () => {
    const broken = new MemoryStore(() => RECORDED);
    broken.endUser = () => Promise.reject(new Error('secret of the store'));
    base = await serve(broken);
    const answer = await get('/end-users/eus_one');
    expectProblem(answer, 503);
    expect(answer.headers.get('retry-after')).toBe('5');
    expect(answer.text + lines.join()).not.toContain('secret of the store');
  });
});
