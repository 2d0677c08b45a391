import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { clock, stopwatch } from '../../functions/clock.ts';
import type { EndUser } from '../../functions/events/end-user.ts';
import { Feed } from '../../functions/query/feed.ts';
import { MemoryStore } from '../../functions/store/memory.ts';
import { event, foldOf } from '../store/given.ts';
import { until } from '../until.ts';
import { ask, expectProblem, serve, stopServing } from './serving.ts';

let store: MemoryStore;
let base: string;
let stopping: AbortController;
let watches: number;
let tell: (changed: readonly EndUser[] | null) => void;
let fail: (error: unknown) => void;
let goBlind: () => void;

beforeEach(async () => {
  store = new MemoryStore(clock);
  watches = 0;
  const watchChanges = store.watchChanges.bind(store);
  store.watchChanges = (onChanges, onFailure, onBlind = () => {}) => {
    watches++;
    [tell, fail, goBlind] = [onChanges, onFailure, onBlind];
    const stop = watchChanges(onChanges, onFailure);
    return () => {
      watches--;
      stop();
    };
  };
  stopping = new AbortController();
  base = await serve({ store, log: () => {}, clock, stopwatch, stopping: stopping.signal });
});

afterAll(stopServing);

type Listener = { readonly response: IncomingMessage; text: string; ended: boolean; leave(): void };

async function listen(): Promise<Listener> {
  const client = get(`${base}/stream`);
  const response = await new Promise<IncomingMessage>((resolve) => client.once('response', resolve));
  const listener = { response, text: '', ended: false, leave: () => client.destroy() };
  response.setEncoding('utf8').on('data', (chunk) => {
    listener.text += chunk;
  });
  response.on('close', () => {
    listener.ended = true;
  });
  response.on('error', () => {});
  client.on('error', () => {});
  return listener;
}

const events = ({ text }: Listener) =>
  [...text.matchAll(/event: (\w+)\ndata: (.*)\n\n/g)].map(([, name, data]) => [name, JSON.parse(data ?? '')]);

describe('the stream', () => {
  it('says first that all must be read, then each state that changes', async () => {
    const listener = await listen();
    expect(listener.response.headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
    });
    await until(() => events(listener).length === 1);
    expect(events(listener)).toEqual([['refetch', {}]]);
    await store.append([event({ heron_id: 'eus_a' })]);
    await until(() => events(listener).length === 2);
    expect(events(listener)[1]).toEqual(['end_user', (await ask(base, '/end-users/eus_a')).json]);
  });

  it('has one watch for all who listen, and none when they left', async () => {
    const listeners = await Promise.all(Array.from({ length: 5 }, listen));
    await until(() => listeners.every((each) => events(each).length === 1));
    expect(watches).toBe(1);
    const late = await listen();
    await until(() => events(late).length === 1);
    expect(watches).toBe(1);
    for (const each of [...listeners, late]) each.leave();
    await until(() => watches === 0);
  });

  it('passes on that changes may have been missed', async () => {
    const listener = await listen();
    await until(() => events(listener).length === 1);
    tell(null);
    await until(() => events(listener).length === 2);
    expect(events(listener)[1]).toEqual(['refetch', {}]);
  });

  it('says when it cannot see, to late comers too, until it sees again', async () => {
    const listener = await listen();
    await until(() => events(listener).length === 1);
    goBlind();
    await until(() => events(listener).length === 2);
    const late = await listen();
    await until(() => events(late).length === 1);
    expect([events(listener)[1], events(late)[0]]).toEqual([
      ['blind', {}],
      ['blind', {}],
    ]);
    tell(null);
    await until(() => events(listener).length === 3 && events(late).length === 2);
    expect([events(listener)[2], events(late)[1]]).toEqual([
      ['refetch', {}],
      ['refetch', {}],
    ]);
  });

  it('ends at once for who comes while the process ends, and has them come back', async () => {
    stopping.abort();
    const listener = await listen();
    await until(() => listener.ended);
    expect(listener.text).toBe('retry: 2000\n\n');
    expect(watches).toBe(0);
  });

  it('ends when the process does, and when the store fails, and can be begun again', async () => {
    const first = await listen();
    await until(() => events(first).length === 1);
    fail(new Error('lost'));
    await until(() => first.ended);
    const second = await listen();
    await until(() => events(second).length === 1);
    stopping.abort();
    await until(() => second.ended);
  });

  it('takes no parameters, and has no body for HEAD', async () => {
    expectProblem(await ask(base, '/stream?since=1'), 400);
    expect(await ask(base, '/stream', { method: 'HEAD' })).toMatchObject({ status: 200, text: '' });
  });
});

describe('a feed', () => {
  /** So much is in no socket's buffers: it waits in the process for as long as the client does not read. */
  const UNREAD = Buffer.alloc(64 * 1024 * 1024, ':');
  let feed: Feed;
  let responses: ServerResponse[];
  let close: () => Promise<void>;
  /** What is sent of an end user. */
  let json: (heronId: string) => unknown;

  beforeEach(async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
    json = (heron_id) => ({ heron_id });
    feed = new Feed(
      store,
      ({ heron_id }) => json(heron_id),
      () => {},
      stopping.signal,
    );
    responses = [];
    const server = createServer((request, response) => {
      responses.push(response);
      feed.join(response, {});
      if (request.url === '/unread') response.write(UNREAD);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    close = () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
  });

  afterEach(async () => {
    vi.useRealTimers();
    await close();
    await until(() => feed.size === 0);
  });

  const endUser = (heron_id: string) => foldOf([event({ heron_id })]) as EndUser;
  const endUsers = (count: number) => Array.from({ length: count }, (_, n) => endUser(`eus_${n}`));

  /** One that has been told to read everything, and is in the pause after that. */
  async function joined() {
    const listener = await listen();
    await until(() => events(listener).length === 1);
    return listener;
  }

  /** A client that asks and then does not read. */
  async function joinedUnread() {
    const client = connect(Number(new URL(base).port), '127.0.0.1').on('error', () => {});
    client.write('GET /unread HTTP/1.1\r\nHost: test\r\n\r\n');
    await until(() => responses.length === 1);
    const [response] = responses as [ServerResponse];
    expect(response.writableNeedDrain).toBe(true);
    return { client, response };
  }

  it('tells several changes of one end user within 200 ms as one, and the last of them', async () => {
    const listener = await joined();
    let n = 0;
    json = () => ++n;
    tell([endUser('eus_a')]);
    tell([endUser('eus_a')]);
    vi.advanceTimersByTime(199);
    tell([endUser('eus_a')]);
    vi.advanceTimersByTime(1);
    await until(() => events(listener).length > 1);
    expect(events(listener).slice(1)).toEqual([['end_user', 3]]);
    // After a pause without changes the next is told at once.
    vi.advanceTimersByTime(200);
    tell([endUser('eus_a')]);
    await until(() => events(listener).length > 2);
    expect(events(listener).slice(2)).toEqual([['end_user', 4]]);
  });

  it('tells the end user last that changed last, though it had changed before', async () => {
    const listener = await joined();
    for (const id of ['eus_a', 'eus_b', 'eus_a']) tell([endUser(id)]);
    vi.advanceTimersByTime(200);
    await until(() => events(listener).length === 3);
    expect(events(listener).map(([, { heron_id }]) => heron_id)).toEqual([undefined, 'eus_b', 'eus_a']);
  });

  it('says every 15 s that it is there, where nothing changes', async () => {
    const listener = await joined();
    vi.advanceTimersByTime(14_999);
    tell([endUser('eus_a')]);
    await until(() => events(listener).length === 2);
    expect(listener.text).not.toContain('still here');
    vi.advanceTimersByTime(1);
    await until(() => listener.text.endsWith(': still here\n\n'));
    vi.advanceTimersByTime(15_000);
    await until(() => listener.text.endsWith(': still here\n\n: still here\n\n'));
  });

  it('keeps 500 end users for a client; one more, and it has to read everything again', async () => {
    const listener = await joined();
    tell(endUsers(500));
    vi.advanceTimersByTime(200);
    await until(() => events(listener).length === 501);
    expect(events(listener)[500]).toEqual(['end_user', { heron_id: 'eus_499' }]);
    tell(endUsers(501));
    vi.advanceTimersByTime(200);
    await until(() => events(listener).length > 501);
    expect(events(listener).slice(501)).toEqual([['refetch', {}]]);
  });

  it('keeps 256 KiB for a client; one byte more, and it has to read everything again', async () => {
    const listener = await joined();
    let size = 128 * 1024;
    json = () => 'x'.repeat(size - 2);
    tell(endUsers(2));
    vi.advanceTimersByTime(200);
    await until(() => events(listener).length === 3);
    expect(events(listener).map(([name]) => name)).toEqual(['refetch', 'end_user', 'end_user']);
    // A change that replaces another takes its place.
    tell(endUsers(2));
    tell(endUsers(1));
    vi.advanceTimersByTime(200);
    await until(() => events(listener).length === 5);
    tell(endUsers(1));
    size++;
    tell([endUser('eus_1')]);
    vi.advanceTimersByTime(200);
    await until(() => events(listener).length > 5);
    expect(events(listener).slice(5)).toEqual([['refetch', {}]]);
  });

  it('queues nothing for a client that does not read, harms no other, and has it read everything again', async () => {
    const { client, response } = await joinedUnread();
    const quick = await joined();
    const queued = response.writableLength;
    for (let n = 0; n < 10; n++) {
      tell(endUsers(100));
      vi.advanceTimersByTime(15_000);
    }
    tell(endUsers(501));
    expect(response.writableLength).toBe(queued);
    vi.advanceTimersByTime(200);
    await until(() => events(quick).length === 1 + 10 * 100 + 501);

    let end = '';
    client.setEncoding('latin1').on('data', (text: string) => {
      end = (end + text).slice(-1_000);
    });
    await until(() => end.includes('event: refetch\ndata: {}\n\n'));
    expect(end).not.toContain('event: end_user');
    client.destroy();
  });

  it('cuts off who does not read when the process ends, as an end would not reach it', async () => {
    const { client } = await joinedUnread();
    const quick = await joined();
    stopping.abort();
    await until(() => quick.ended && feed.size === 0);
    expect(watches).toBe(0);
    expect(responses.map(({ writableFinished }) => writableFinished)).toEqual([false, true]);
    client.destroy();
  });
});
