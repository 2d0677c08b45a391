import { setTimeout as sleep } from 'node:timers/promises';
import { test as base, describe, expect } from 'vitest';
import { GooglePublisher } from '../../../functions/bus/google.ts';
import { CODE } from '../../../functions/grpc.ts';
import { proxyTo, type TcpProxy } from '../../proxy.ts';
import { FakePubSub } from './fake-pubsub.ts';

/** What ingest gives a publish. */
const DEADLINE_MS = 6_000;

type Setting = {
  readonly pubsub: FakePubSub;
  readonly proxy: TcpProxy;
  /** How many connections were made. */
  readonly connections: () => number;
  /** Publishes, and resolves with "confirmed" or the code of the error, which is null for none. */
  publish(text: string): Promise<string | number | null>;
  /** The same for many, one every so many milliseconds. */
  publishMany(count: number, everyMs: number): Promise<(string | number | null)[]>;
};

/** A publisher with a way of its own to a Pub/Sub of its own, with a connection already there. */
const test = base.extend<{ setting: Setting }>({
  // biome-ignore lint/correctness/noEmptyPattern: a fixture of its own takes none
  setting: async ({}, use) => {
    const pubsub = await FakePubSub.start();
    let connections = 0;
    const proxy = await proxyTo(() => {
      connections += 1;
      return pubsub.host;
    });
    const publisher = new GooglePublisher(
      { projectId: 'outage', topicPrefix: '' },
      { PUBSUB_EMULATOR_HOST: proxy.host },
    );
    const publish = (text: string) =>
      publisher.publish('log', { data: Buffer.from(text), attributes: {} }, DEADLINE_MS).then(
        () => 'confirmed',
        (error: { code?: number }) => error.code ?? null,
      );
    const publishMany = async (count: number, everyMs: number) => {
      const outcomes: Promise<string | number | null>[] = [];
      for (let n = 0; n < count; n += 1) {
        outcomes.push(publish(`many ${n}`));
        await sleep(everyMs);
      }
      return Promise.all(outcomes);
    };
    expect(await publish('before')).toBe('confirmed');
    await use({ pubsub, proxy, connections: () => connections, publish, publishMany });
    pubsub.stop();
    await proxy.close();
    await publisher.close();
  },
});

/** How often each text was made durable, by how many texts. */
function copies({ durable }: FakePubSub): Record<number, number> {
  const counts = Map.groupBy(durable, (text) => text);
  return Object.fromEntries(
    [...Map.groupBy(counts.values(), ({ length }) => length)].map(([times, texts]) => [times, texts.length]),
  );
}

const CONFIRMED = (count: number) => Array(count).fill('confirmed');

describe.concurrent('the publisher', () => {
  test.for([2_100, 3_900])(
    'where Pub/Sub answers in %d ms, and pings at once, publishes each once, in time, over one connection',
    async (delay, { setting }) => {
      const { pubsub, publishMany, connections } = setting;
      pubsub.delayMs = delay;
      expect(await publishMany(120, 50)).toEqual(CONFIRMED(120));
      expect(copies(pubsub)).toEqual({ 1: 121 });
      expect(pubsub.requests.length).toBeLessThan(40);
      expect(connections()).toBe(1);
    },
  );

  test('where pings are as slow as answers (2.1 s) publishes each once, over one connection', async ({ setting }) => {
    const { pubsub, proxy, publishMany, connections } = setting;
    proxy.lengthen(1_050);
    expect(await publishMany(120, 50)).toEqual(CONFIRMED(120));
    expect(copies(pubsub)).toEqual({ 1: 121 });
    expect(connections()).toBe(1);
  });

  test('goes over a new connection when the old one is half-open, and nothing is published twice', async ({
    setting,
  }) => {
    const { pubsub, proxy, publish, publishMany, connections } = setting;
    proxy.halfOpen();
    expect(await publishMany(20, 20)).toEqual(CONFIRMED(20));
    expect(await publish('after')).toBe('confirmed');
    expect(copies(pubsub)).toEqual({ 1: 22 });
    expect(connections()).toBe(2);
  });

  test('fails in time while nothing is heard, also from new connections, and sends none of it later', async ({
    setting,
  }) => {
    const { pubsub, proxy, publish, publishMany } = setting;
    proxy.silence();
    for (const code of await publishMany(20, 1)) expect(code).not.toBe('confirmed');
    await proxy.restore();
    expect(await publish('heard again')).toBe('confirmed');
    expect(pubsub.durable).toEqual(['before', 'heard again']);
  });

  test('fails in time while connections are refused, and is back at once', async ({ setting }) => {
    const { pubsub, proxy, publish, publishMany } = setting;
    await proxy.cut();
    for (const code of await publishMany(20, 1)) expect(code).not.toBe('confirmed');
    await proxy.restore();
    expect(await publish('reconnected')).toBe('confirmed');
    expect(pubsub.durable).toEqual(['before', 'reconnected']);
  });

  test('is confirmed where a connection ends in the middle, over another one', async ({ setting }) => {
    const { pubsub, proxy, publishMany } = setting;
    pubsub.delayMs = 500;
    const publishing = publishMany(50, 20);
    await sleep(700);
    await proxy.cut();
    await proxy.restore();
    pubsub.delayMs = 0;
    expect(await publishing).toEqual(CONFIRMED(50));
    expect(new Set(pubsub.durable).size).toBe(51); // an answer that was lost may make two of one
  });

  test('asks a Pub/Sub that asks for less a handful of times, however many wait, and is back within a second', async ({
    setting,
  }) => {
    const { pubsub, publishMany, publish } = setting;
    pubsub.answer = () => CODE.RESOURCE_EXHAUSTED;
    const asked = pubsub.requests.length;
    for (const code of await publishMany(200, 1)) expect(code).toBe(CODE.RESOURCE_EXHAUSTED);
    expect(pubsub.requests.length - asked).toBeLessThan(20);
    pubsub.answer = () => null;
    expect(await publish('again')).toBe('confirmed');
    // With it may be what was given up while it was on its way.
    expect(pubsub.durable).toContain('again');
  });

  test('publishes what is beside an invalid message, once each', async ({ setting }) => {
    const { pubsub, publishMany } = setting;
    pubsub.delayMs = 50;
    pubsub.answer = (texts) => (texts.includes('many 7') ? CODE.INVALID_ARGUMENT : null);
    const outcomes = await publishMany(20, 1);
    expect(outcomes.map((outcome) => outcome === 'confirmed').indexOf(false)).toBe(7);
    expect(outcomes.filter((outcome) => outcome !== 'confirmed')).toEqual([CODE.INVALID_ARGUMENT]);
    expect(copies(pubsub)).toEqual({ 1: 20 });
  });

  test('gives up an answer that never comes, at the deadline and not before, and asks once', async ({ setting }) => {
    const { pubsub, publish } = setting;
    pubsub.mute = true;
    const start = performance.now();
    expect(await publish('unheard')).toBe(CODE.DEADLINE_EXCEEDED);
    expect(performance.now() - start).toBeGreaterThan(DEADLINE_MS - 100);
    expect(copies(pubsub)).toEqual({ 1: 2 });
  });
});
