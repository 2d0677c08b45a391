import { get, type IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { clock, stopwatch } from '../../functions/clock.ts';
import type { EndUser } from '../../functions/events/end-user.ts';
import { MemoryStore } from '../../functions/store/memory.ts';
import { event } from '../store/given.ts';
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

  it('tells several changes of one end user as one, and the last of them', async () => {
    const listener = await listen();
    await until(() => events(listener).length === 1);
    for (let n = 1; n <= 50; n++)
      await store.append([event({ heron_id: 'eus_a', n, created: `2026-01-01T00:00:${String(n + 9)}` })]);
    await until(() => events(listener).at(-1)?.[1].event_count === 50);
    expect(events(listener).length).toBeLessThan(5);
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

  it('keeps little for a client that does not read, harms no other, and has it read all again', async () => {
    const [slow, quick] = [await listen(), await listen()];
    await until(() => events(slow).length === 1 && events(quick).length === 1);
    slow.response.pause();
    const meta = { padding: 'x'.repeat(20_000) };
    for (let n = 0; n < 600; n++) {
      await store.append([event({ heron_id: `eus_${n}`, meta })]);
      if (n % 50 === 0) await sleep(1);
    }
    await until(() => events(quick).some(([name, data]) => name === 'refetch' || data.heron_id === 'eus_599'));
    await sleep(300);
    slow.response.resume();
    await until(() => events(slow).filter(([name]) => name === 'refetch').length >= 2);
    expect(slow.text.length).toBeLessThan(600 * 20_000);
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
