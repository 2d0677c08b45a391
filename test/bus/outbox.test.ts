import config from '@google-cloud/pubsub-api/build/src/v1/publisher_client_config.json' with { type: 'json' };
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Outbox, type Send } from '../../functions/bus/outbox.ts';
import type { Message } from '../../functions/events/message.ts';
import { CODE } from '../../functions/grpc.ts';

const message = (text: string, bytes = 0): Message => ({ data: Buffer.from(text.padEnd(bytes, ' ')), attributes: {} });
const textOf = ({ data }: Message) => Buffer.from(data).toString().trimEnd();
const failure = (code: number) => Object.assign(new Error(`code ${code}`), { code });

/** An outbox whose requests take as long, and end as, the test says. */
function outboxOf(answer: (texts: readonly string[], nth: number) => Promise<unknown> | unknown, random = () => 1) {
  const requests: string[][] = [];
  const sizes: number[] = [];
  let most = 0;
  let inFlight = 0;
  const send: Send = async (messages) => {
    const texts = messages.map(textOf);
    requests.push(texts);
    sizes.push(messages.reduce((sum, { data }) => sum + data.byteLength, 0));
    most = Math.max(most, ++inFlight);
    try {
      await answer(texts, requests.length);
    } finally {
      inFlight -= 1;
    }
    return texts.map((text) => `id of ${text}`);
  };
  const outbox = new Outbox(send, random);
  const outcomes: Record<string, string> = {};
  const publish = (text: string, timeoutMs = 6_000, bytes = 0) =>
    outbox.publish(message(text, bytes), timeoutMs).then(
      (id) => {
        outcomes[text] = id;
      },
      (error: { code?: number }) => {
        outcomes[text] = `code ${error.code}`;
      },
    );
  return { outbox, requests, sizes, outcomes, publish, most: () => most };
}

/** An outbox whose first request was answered this moment, and which has messages that came while it was in flight. */
async function justAnswered(first: number, meanwhile: number) {
  const given = outboxOf(takes(50));
  for (let n = 0; n < first; n += 1) void given.publish(String(n));
  await vi.advanceTimersByTimeAsync(10);
  for (let n = 0; n < meanwhile; n += 1) void given.publish(String(first + n));
  await vi.advanceTimersByTimeAsync(40);
  return given;
}

const takes = (milliseconds: number) => () => new Promise((resolve) => setTimeout(resolve, milliseconds));

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

describe('messages for a topic', () => {
  test('share a request with what came in the same turn, and the next with what comes while one is in flight', async () => {
    const { requests, outcomes, publish } = outboxOf(takes(50));
    for (const text of ['a', 'b']) void publish(text);
    await vi.advanceTimersByTimeAsync(0);
    expect(requests).toEqual([['a', 'b']]);
    for (const text of ['c', 'd']) {
      void publish(text);
      await vi.advanceTimersByTimeAsync(10);
    }
    expect(requests).toEqual([['a', 'b']]);
    await vi.advanceTimersByTimeAsync(31);
    expect(requests).toEqual([
      ['a', 'b'],
      ['c', 'd'],
    ]);
    await vi.advanceTimersByTimeAsync(50);
    expect(outcomes).toEqual({ a: 'id of a', b: 'id of b', c: 'id of c', d: 'id of d' });
  });

  test('are joined by those of who was just answered, and go out once all are back', async () => {
    const { requests, publish } = await justAnswered(2, 1);
    void publish('0 again');
    await vi.advanceTimersByTimeAsync(0);
    expect(requests).toEqual([['0', '1']]);
    void publish('1 again');
    await vi.advanceTimersByTimeAsync(0);
    expect(requests).toEqual([
      ['0', '1'],
      ['2', '0 again', '1 again'],
    ]);
  });

  test('wait a millisecond for those who do not come back, and no longer', async () => {
    const { requests, publish } = await justAnswered(2, 1);
    await vi.advanceTimersByTimeAsync(0);
    expect(requests).toEqual([['0', '1']]);
    await vi.advanceTimersByTimeAsync(1);
    expect(requests).toEqual([['0', '1'], ['2']]);
    await vi.advanceTimersByTimeAsync(100);
    void publish('later');
    await vi.advanceTimersByTimeAsync(0);
    expect(requests).toEqual([['0', '1'], ['2'], ['later']]);
  });

  test.each([
    [15, [15]],
    [16, [16, 1]],
  ])('wait for nobody where over 16 senders share requests anyway: %d and one that waits', async (first, sizes) => {
    const { requests } = await justAnswered(first, 1);
    await vi.advanceTimersByTimeAsync(0);
    expect(requests.map(({ length }) => length)).toEqual(sizes);
  });

  test('of a single sender wait for nothing', async () => {
    const { requests, publish } = await justAnswered(1, 0);
    void publish('next');
    await vi.advanceTimersByTimeAsync(0);
    expect(requests).toEqual([['0'], ['next']]);
  });

  test('go out beside requests that are slow, after a quarter of a second, half, and then a second each', async () => {
    const sent: number[] = [];
    const { publish } = outboxOf(() => {
      sent.push(performance.now());
      return takes(6_000)();
    });
    for (let n = 0; n < 500; n += 1) {
      void publish(String(n));
      await vi.advanceTimersByTimeAsync(10);
    }
    expect(sent.map((time) => time - (sent[0] ?? 0))).toEqual([0, 250, 750, 1_750, 2_750, 3_750, 4_750]);
  });

  test.each([2_100, 3_900, 4_000, 4_900])(
    'are each published once within 6 s where a request takes %d ms, in few requests',
    async (delay) => {
      const { requests, outcomes, publish, most } = outboxOf(takes(delay));
      for (let n = 0; n < 1_000; n += 1) {
        void publish(String(n));
        await vi.advanceTimersByTimeAsync(10);
      }
      await vi.advanceTimersByTimeAsync(6_000);
      expect(Object.values(outcomes).filter((id) => id.startsWith('id of'))).toHaveLength(1_000);
      expect(requests.flat()).toHaveLength(1_000);
      expect(requests.length).toBeLessThan(20);
      expect(most()).toBeLessThanOrEqual(10);
    },
  );

  test('are given up where no answer comes, those that wait as well, with 10 requests in flight at most', async () => {
    const { requests, outcomes, publish, most } = outboxOf(() => new Promise(() => {}));
    for (let n = 0; n < 1_000; n += 1) {
      void publish(String(n));
      await vi.advanceTimersByTimeAsync(20);
    }
    await vi.advanceTimersByTimeAsync(6_000);
    expect(Object.values(outcomes)).toEqual(Array(1_000).fill(`code ${CODE.DEADLINE_EXCEEDED}`));
    expect([requests.length, most()]).toEqual([10, 10]);
  });

  test('stay within what a request may have', async () => {
    const { requests, sizes, publish } = outboxOf(takes(10));
    for (let n = 0; n < 3_000; n += 1) void publish(String(n));
    for (let n = 0; n < 20; n += 1) void publish(`large ${n}`, 6_000, 1_000_000);
    void publish('largest', 6_000, 9_900_000);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(requests.flat()).toHaveLength(3_021);
    expect(Math.max(...requests.map(({ length }) => length))).toBeLessThanOrEqual(1_000);
    expect(Math.max(...sizes)).toBe(9_900_000);
    expect(Math.max(...sizes.filter((size) => size < 9_900_000))).toBeLessThanOrEqual(4_000_000);
  });
});

describe('a deadline', () => {
  test("is each message's own", async () => {
    const { outcomes, publish } = outboxOf(takes(1_000));
    void publish('first', 6_000);
    await vi.advanceTimersByTimeAsync(0); // the others wait
    void publish('short', 1_200);
    void publish('long', 6_000);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(outcomes).toEqual({ first: 'id of first', short: `code ${CODE.DEADLINE_EXCEEDED}`, long: 'id of long' });
  });

  test.each([
    [999, 'id of a'],
    [1_001, `code ${CODE.DEADLINE_EXCEEDED}`],
  ])('of a second and an answer after %d ms make %s', async (delay, outcome) => {
    const { outcomes, publish } = outboxOf(takes(delay));
    void publish('a', 1_000);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(outcomes).toEqual({ a: outcome });
  });

  test('that is over means that the message is not sent again', async () => {
    const { requests, outcomes, publish } = outboxOf(async (_, nth) => {
      await takes(1_100)();
      if (nth === 1) throw failure(CODE.UNAVAILABLE);
    });
    void publish('a', 1_000);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(outcomes).toEqual({ a: `code ${CODE.DEADLINE_EXCEEDED}` });
    expect(requests).toEqual([['a']]);
  });
});

describe('a request that fails', () => {
  test('as it may not a moment later is made again, with pauses that grow, for all that wait', async () => {
    const times: number[] = [];
    const { outcomes, publish } = outboxOf((_, nth) => {
      times.push(performance.now());
      if (nth <= 6) throw failure(CODE.RESOURCE_EXHAUSTED);
    });
    for (const text of ['a', 'b', 'c']) void publish(text);
    await vi.advanceTimersByTimeAsync(6_000);
    expect(times.slice(1).map((time, i) => Math.round(time - (times[i] ?? 0)))).toEqual([
      100, 200, 400, 800, 1_000, 1_000,
    ]);
    expect(outcomes).toEqual({ a: 'id of a', b: 'id of b', c: 'id of c' });
  });

  test('is made again a handful of times in 6 s, however many messages wait, and tells why it failed', async () => {
    const { requests, outcomes, publish } = outboxOf(
      () => {
        throw failure(CODE.RESOURCE_EXHAUSTED);
      },
      () => 0, // the shortest pauses
    );
    for (let n = 0; n < 600; n += 1) {
      void publish(String(n));
      await vi.advanceTimersByTimeAsync(10);
    }
    expect(requests.length).toBeLessThan(16);
    await vi.advanceTimersByTimeAsync(6_000);
    expect(new Set(Object.values(outcomes))).toEqual(new Set([`code ${CODE.RESOURCE_EXHAUSTED}`]));
  });

  test('is made again for the codes that Google’s own client retries, and for no other', async () => {
    const { retry_codes, methods } = config.interfaces['google.pubsub.v1.Publisher'];
    const retried = retry_codes[methods.Publish.retry_codes_name as keyof typeof retry_codes] as string[];
    for (const [name, code] of Object.entries(CODE)) {
      const { outcomes, publish } = outboxOf((_, nth) => {
        if (nth === 1) throw failure(code);
      });
      void publish('a');
      await vi.advanceTimersByTimeAsync(200);
      expect([name, outcomes.a]).toEqual([name, retried.includes(name) ? 'id of a' : `code ${code}`]);
    }
  });

  test('before anything is sent, without a code, is made again', async () => {
    const { outcomes, publish } = outboxOf((_, nth) => {
      if (nth === 1) throw new Error('no connection');
    });
    void publish('a');
    await vi.advanceTimersByTimeAsync(200);
    expect(outcomes).toEqual({ a: 'id of a' });
  });

  test.each([CODE.NOT_FOUND, CODE.PERMISSION_DENIED, CODE.FAILED_PRECONDITION, CODE.UNAUTHENTICATED])(
    'for good (%d) does so for all of it, at once',
    async (code) => {
      const { requests, outcomes, publish } = outboxOf(() => {
        throw failure(code);
      });
      for (const text of ['a', 'b', 'c']) void publish(text);
      await vi.advanceTimersByTimeAsync(1);
      expect(requests).toEqual([['a', 'b', 'c']]);
      expect(outcomes).toEqual({ a: `code ${code}`, b: `code ${code}`, c: `code ${code}` });
    },
  );

  test('for a message that is invalid is made again for each by itself, and only that one fails', async () => {
    const { requests, outcomes, publish } = outboxOf((texts) => {
      if (texts.includes('poison')) throw failure(CODE.INVALID_ARGUMENT);
    });
    const texts = ['a', 'b', 'poison', 'c'];
    for (const text of texts) void publish(text);
    await vi.advanceTimersByTimeAsync(10);
    expect(requests).toEqual([['a', 'b', 'poison', 'c'], ['a'], ['b'], ['poison'], ['c']]);
    expect(outcomes).toEqual({ a: 'id of a', b: 'id of b', poison: `code ${CODE.INVALID_ARGUMENT}`, c: 'id of c' });
    void publish('later');
    await vi.advanceTimersByTimeAsync(10);
    expect(outcomes).toMatchObject({ later: 'id of later' });
  });
});

test('an outbox is drained once all is settled', async () => {
  vi.useRealTimers();
  const { promise, resolve } = Promise.withResolvers<void>();
  const { outbox, outcomes, publish } = outboxOf(() => promise);
  void publish('a');
  void publish('b');
  const drained = outbox.drained().then(() => Object.keys(outcomes));
  expect(await Promise.race([drained, new Promise((after) => setTimeout(after, 50, 'not yet'))])).toBe('not yet');
  resolve();
  expect(await drained).toEqual(['a', 'b']);
});

test('whatever fails, each message is settled once, confirmed only where it was sent, and never lost in silence', async () => {
  const codes = [null, CODE.UNAVAILABLE, CODE.INVALID_ARGUMENT, CODE.PERMISSION_DENIED, CODE.DEADLINE_EXCEEDED];
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ pause: fc.nat(400), timeout: fc.integer({ min: 1, max: 8_000 }) }), { maxLength: 40 }),
      fc.infiniteStream(fc.record({ delay: fc.nat(5_000), code: fc.constantFrom(...codes) })),
      async (arrivals, answers) => {
        const durable: string[] = [];
        const { outcomes, publish } = outboxOf(async (texts) => {
          const { delay, code } = answers.next().value as { delay: number; code: number | null };
          await takes(delay)();
          if (code !== null) throw failure(code);
          durable.push(...texts);
        });
        for (const [n, { pause, timeout }] of arrivals.entries()) {
          void publish(String(n), timeout);
          await vi.advanceTimersByTimeAsync(pause);
        }
        await vi.advanceTimersByTimeAsync(15_000);
        expect(Object.keys(outcomes)).toHaveLength(arrivals.length);
        for (const [text, outcome] of Object.entries(outcomes))
          if (outcome.startsWith('id of')) expect(durable).toContain(text);
      },
    ),
    { numRuns: 50 },
  );
});
