import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, vi } from 'vitest';
import type { Publisher } from '../../functions/bus/bus.ts';
import { MemoryBus } from '../../functions/bus/memory.ts';
import { DELIVERY, topology } from '../../functions/bus/topology.ts';
import { clock } from '../../functions/clock.ts';
import { NewerFold } from '../../functions/events/carry-over.ts';
import { type HeronEvent, Unprocessable } from '../../functions/events/event.ts';
import type { Message } from '../../functions/events/message.ts';
import { toMessage } from '../../functions/events/message.ts';
import { cloudLog } from '../../functions/log.ts';
import { PROJECTOR, projector } from '../../functions/projector/projector.ts';
import { MemoryStore } from '../../functions/store/memory.ts';
import type { Appended } from '../../functions/store/store.ts';
import { FakePublisher } from '../ingest/fake-publisher.ts';
import { test as base, type Line } from '../ingest/served.ts';
import { send } from '../ingest/wire.ts';
import { endUserEvent, event, foldOf, RECEIVED } from '../store/given.ts';

/** In the body of every event here, and never to be in a log. */
const PRIVATE = 'nobody-may-log-this';
const HERON_ID = 'eus_Eqio3Y4dhyNiMphrXwG58p';
const SUBSCRIPTION = 'projects/heron-test/subscriptions/projector.end_user.processed';
const outage = Object.assign(new Error('14 UNAVAILABLE: down'), { code: 14, details: 'down' });

/** The store, and what it does instead where the test says so. */
class FaultyStore extends MemoryStore {
  /** Asked before each append. */
  fault: (events: readonly HeronEvent[]) => Promise<void> = async () => {};
  appends = 0;

  constructor() {
    super(clock);
  }

  override async append(events: readonly HeronEvent[]): Promise<readonly Appended[]> {
    this.appends += 1;
    await this.fault(events);
    return super.append(events);
  }
}

type Served = {
  readonly port: number;
  readonly store: FaultyStore;
  readonly log: () => Line[];
};

const test = base.extend<{ serveProjector: (publisher: Publisher) => Promise<Served> }>({
  serveProjector: ({ serve, onTestFinished }, use) =>
    use(async (publisher) => {
      const lines: string[] = [];
      const store = new FaultyStore();
      const log = cloudLog(PROJECTOR, (line) => lines.push(line));
      onTestFinished(() => expect(lines.join('')).not.toContain(PRIVATE));
      const handler = projector({ publisher, store, log });
      return { port: await serve(handler), store, log: () => lines.map((line) => JSON.parse(line)) };
    }),
});

function given(n: number): ReturnType<typeof endUserEvent> {
  return endUserEvent({ heron_id: HERON_ID, n, status: 'processed', note: PRIVATE });
}

/** Pub/Sub's push request. */
function push({ data, attributes }: Message, messageId = '1234'): string {
  return JSON.stringify({
    message: {
      data: Buffer.from(data).toString('base64'),
      attributes,
      messageId,
      publishTime: '2026-08-14T12:24:40.5Z',
    },
    subscription: SUBSCRIPTION,
  });
}

function pushed(sent: HeronEvent, attributes: Readonly<Record<string, string>> = {}): string {
  const message = toMessage(sent);
  return push({ ...message, attributes: { ...message.attributes, ...attributes } });
}

describe('a message', () => {
  test('is answered 204 once its event is in the log and the state', async ({ serveProjector }) => {
    const { port, store, log } = await serveProjector(new FakePublisher());
    const held = Promise.withResolvers<void>();
    store.fault = () => held.promise;
    const sent = given(1);
    let answered = false;
    const reply = send(port, pushed(sent), { traceparent: '00-105445aa7843bc8bf206b12000100000-0000000000000001-01' });
    void reply.then(() => {
      answered = true;
    });
    await expect.poll(() => store.appends).toBe(1);
    await sleep(50);
    expect(answered).toBe(false);

    held.resolve();
    expect(await reply).toMatchObject({ status: 204, body: '' });
    expect(await store.event(sent.event_id)).toMatchObject({ received_at: RECEIVED, heron_id: HERON_ID });
    expect(await store.endUser(HERON_ID)).toEqual(foldOf([sent]));
    expect(log()).toEqual([
      {
        severity: 'INFO',
        message: 'recorded',
        function: 'projector',
        message_id: '1234',
        topic: 'end_user.processed',
        event_id: sent.event_id,
        heron_id: HERON_ID,
        bytes: sent.body.byteLength,
        outcome: 'recorded',
        milliseconds: expect.any(Number),
        'logging.googleapis.com/trace': 'projects/heron-test/traces/105445aa7843bc8bf206b12000100000',
        'logging.googleapis.com/spanId': '0000000000000001',
        'logging.googleapis.com/trace_sampled': true,
      },
    ]);
  });

  test('belongs to the trace of its webhook, whatever the push itself says', async ({ serveProjector }) => {
    const { port, log } = await serveProjector(new FakePublisher());
    const of = (id: string) => `00-${id.repeat(32)}-00f067aa0ba902b7-00`;
    const body = pushed(given(1), { 'ce-traceparent': of('a') });
    expect((await send(port, body, { traceparent: of('b') })).status).toBe(204);
    expect(log()).toMatchObject([{ 'logging.googleapis.com/trace': `projects/heron-test/traces/${'a'.repeat(32)}` }]);
  });

  test('that comes again is answered 204, and changes nothing', async ({ serveProjector }) => {
    const { port, store, log } = await serveProjector(new FakePublisher());
    const sent = given(1);
    for (let time = 0; time < 2; time++) expect((await send(port, pushed(sent))).status).toBe(204);
    expect(await store.endUser(HERON_ID)).toEqual(foldOf([sent]));
    expect(log()).toMatchObject([
      { outcome: 'recorded', event_id: sent.event_id },
      { severity: 'INFO', outcome: 'duplicate', event_id: sent.event_id },
    ]);
  });

  test('of a forgotten end user is answered 204, and not recorded', async ({ serveProjector }) => {
    const { port, store, log } = await serveProjector(new FakePublisher());
    await store.forget(HERON_ID, 'a test');
    const late = [given(1), event({ heron_id: HERON_ID, created: 'no time', note: PRIVATE })];
    for (const each of late) {
      expect((await send(port, pushed(each))).status).toBe(204);
      expect(await store.event(each.event_id)).toBeNull();
      expect(log().at(-1)).toMatchObject({ severity: 'INFO', outcome: 'forgotten', event_id: each.event_id });
    }
    expect(await store.endUser(HERON_ID)).toBeNull();
  });

  test('that concerns no end user is in the log', async ({ serveProjector }) => {
    const { port, store } = await serveProjector(new FakePublisher());
    const sent = event({ topic: 'something.else', note: PRIVATE });
    expect((await send(port, pushed(sent))).status).toBe(204);
    expect(await store.event(sent.event_id)).toMatchObject({ topic: 'something.else', heron_id: null });
  });

  test.for([
    [299, 'INFO', 'recorded'],
    [300, 'INFO', 'recorded'],
    [301, 'WARNING', 'recorded: created is 301 s ahead of its arrival'],
    [86_400, 'WARNING', 'recorded: created is 86400 s ahead of its arrival'],
    [86_401, 'WARNING', 'recorded: created is 86401 s ahead of its arrival, which counts in its place'],
  ] as const)(
    'whose created is %i s ahead of its arrival is recorded, with a %s',
    async ([ahead, severity, message], { serveProjector }) => {
      const { port, store, log } = await serveProjector(new FakePublisher());
      const created = new Date(Date.parse(RECEIVED) + ahead * 1000).toISOString();
      const sent = endUserEvent({ heron_id: HERON_ID, created, note: PRIVATE });
      expect((await send(port, pushed(sent))).status).toBe(204);
      expect(log()).toMatchObject([{ severity, message, outcome: 'recorded' }]);
      expect(await store.event(sent.event_id)).toMatchObject({ created: sent.created });
    },
  );

  test('of another publisher, without our attributes, was received when it was published', async ({
    serveProjector,
  }) => {
    const { port, store } = await serveProjector(new FakePublisher());
    const sent = given(1);
    expect((await send(port, push({ data: sent.body, attributes: {} }))).status).toBe(204);
    expect(await store.event(sent.event_id)).toMatchObject({ received_at: '2026-08-14T12:24:40.500000Z' });
  });
});

describe('what can never succeed', () => {
  const base64 = Buffer.from(PRIVATE).toString('base64');
  test.for<[string, string, RegExp]>([
    ['no JSON', `{"message": "${PRIVATE}`, /not an envelope/],
    ['nothing', '', /not an envelope/],
    ['no envelope', JSON.stringify({ note: PRIVATE }), /not an envelope/],
    ['data that are no base64', JSON.stringify({ message: { data: `${PRIVATE}!` } }), /not base64/],
    ['attributes that are no texts', JSON.stringify({ message: { data: base64, attributes: { note: 1 } } }), /texts/],
    ['neither ce-recordedtime nor a time', JSON.stringify({ message: { data: base64 } }), /missing/],
    ['a ce-recordedtime that is no time', pushed(given(1), { 'ce-recordedtime': PRIVATE }), /ce-recordedtime/],
    ['the ce-id of another event', pushed(given(1), { 'ce-id': '0'.repeat(64) }), /ce-id/],
  ])('(%s) is dead-lettered with the reason, and answered 204', async ([, body, reason], { serveProjector }) => {
    const publisher = new FakePublisher();
    const { port, store, log } = await serveProjector(publisher);
    expect((await send(port, body)).status).toBe(204);
    expect(publisher.published).toMatchObject([
      {
        topic: 'dead-letter.projector',
        message: {
          attributes: { dead_letter_subscriber: 'projector', dead_letter_reason: expect.stringMatching(reason) },
        },
      },
    ]);
    expect(log()).toMatchObject([
      { severity: 'ERROR', outcome: 'dead_lettered', reason: expect.stringMatching(reason) },
    ]);
    expect(store.appends).toBe(0);
  });

  test('is dead-lettered as it came, byte for byte', async ({ serveProjector }) => {
    const publisher = new FakePublisher();
    const { port } = await serveProjector(publisher);
    const own = { 'ce-id': 'broken', kept: 'é' };
    await send(port, push({ data: Buffer.from([0, 255, 128]), attributes: own }));
    await send(port, Buffer.from([1, 254, 10]));
    const [message, request] = publisher.published.map((each) => each.message);
    expect(Buffer.from(message?.data ?? [])).toEqual(Buffer.from([0, 255, 128]));
    expect(message?.attributes).toEqual({
      ...own,
      dead_letter_reason: 'the attribute ce-id is not the SHA-256 of the data',
      dead_letter_subscriber: 'projector',
      dead_letter_message_id: '1234',
      dead_letter_publish_time: '2026-08-14T12:24:40.500000Z',
      dead_letter_subscription: SUBSCRIPTION,
    });
    expect(Buffer.from(request?.data ?? [])).toEqual(Buffer.from([1, 254, 10]));
    expect(request?.attributes).toEqual({
      dead_letter_reason: expect.stringContaining('not an envelope of Pub/Sub'),
      dead_letter_subscriber: 'projector',
    });
  });

  test('an event on which the fold throws: it is dead-lettered, and others of its end user go on', async ({
    serveProjector,
  }) => {
    const publisher = new FakePublisher();
    const { port, store, log } = await serveProjector(publisher);
    const events = Array.from({ length: 20 }, (_, n) => given(n));
    const [poisoned, ...good] = events as [HeronEvent, ...HeronEvent[]];
    store.fault = async (appended) => {
      await sleep(5);
      if (appended.some(({ event_id }) => event_id === poisoned.event_id))
        throw new Unprocessable('the event cannot be folded', { cause: new TypeError(PRIVATE) });
    };
    const replies = await Promise.all(events.map((each) => send(port, pushed(each))));
    expect(replies.map(({ status }) => status)).toEqual(events.map(() => 204));
    expect(await store.endUser(HERON_ID)).toEqual(foldOf(good));
    expect(publisher.published.map(({ message }) => message.attributes['ce-id'])).toEqual([poisoned.event_id]);
    expect(log().filter(({ outcome }) => outcome !== 'recorded')).toMatchObject([
      {
        outcome: 'dead_lettered',
        reason: 'the event cannot be folded',
        error: expect.stringMatching(/^TypeError at /),
        event_id: poisoned.event_id,
        heron_id: HERON_ID,
        topic: 'end_user.processed',
      },
    ]);
  });

  test('is dead-lettered also with as many attributes as a message may have', async ({ serveProjector }) => {
    const bus = new MemoryBus();
    bus.provision({
      topics: ['dead-letter.projector'],
      subscriptions: [{ name: 'dead-letter.projector', topic: 'dead-letter.projector' }],
    });
    const { port } = await serveProjector(bus);
    const attributes = Object.fromEntries(Array.from({ length: 99 }, (_, n) => [`key-${n}`, 'x']));
    const reply = await send(port, push({ data: Buffer.from('x'), attributes: { 'ce-id': 'broken', ...attributes } }));
    expect(reply.status).toBe(204);
    const [letter] = await bus.pull('dead-letter.projector', 10);
    expect(letter?.message.attributes).toMatchObject({ dead_letter_reason: expect.any(String), 'key-0': 'x' });
  });

  test('is refused where it cannot be dead-lettered, so that it comes again', async ({ serveProjector }) => {
    const publisher = new FakePublisher();
    publisher.failure = outage;
    const { port, log } = await serveProjector(publisher);
    expect(await send(port, 'nonsense')).toMatchObject({
      status: 503,
      headers: { 'content-type': 'application/problem+json' },
    });
    expect(log()).toMatchObject([{ severity: 'ERROR', outcome: 'not_dead_lettered', error: '14 down' }]);
  });
});

describe('what may succeed later', () => {
  test('is refused while the store is down, and not dead-lettered', async ({ serveProjector }) => {
    const publisher = new FakePublisher();
    const { port, store, log } = await serveProjector(publisher);
    store.fault = () => Promise.reject(outage);
    const sent = given(1);
    const reply = await send(port, pushed(sent));
    expect(reply).toMatchObject({ status: 503, headers: { 'content-type': 'application/problem+json' } });
    expect(JSON.parse(reply.body)).toMatchObject({ status: 503, title: 'Service Unavailable' });
    expect(publisher.published).toEqual([]);
    expect(log()).toMatchObject([
      { severity: 'WARNING', outcome: 'retry_after', error: '14 down', event_id: sent.event_id, heron_id: HERON_ID },
    ]);

    store.fault = async () => {};
    expect((await send(port, pushed(sent))).status).toBe(204);
    expect(await store.endUser(HERON_ID)).toEqual(foldOf([sent]));
  });

  test.for([
    ['an end user', given(1)],
    ['none', event({ topic: 'something.else', note: PRIVATE })],
  ] as const)(
    'is refused within 25 s by a store that hangs, for an event of %s',
    async ([, sent], { serveProjector, onTestFinished }) => {
      const publisher = new FakePublisher();
      const { port, store } = await serveProjector(publisher);
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
      onTestFinished(() => void vi.useRealTimers());
      const asked = Promise.withResolvers<void>();
      store.fault = () => {
        asked.resolve();
        return new Promise(() => {});
      };
      const reply = send(port, pushed(sent));
      await asked.promise;
      await vi.advanceTimersByTimeAsync(25_000);
      expect((await reply).status).toBe(503);
      expect(publisher.published).toEqual([]);
    },
  );

  test('is refused where the state is of a newer version of this program, and taken when it comes again', async ({
    serveProjector,
  }) => {
    const publisher = new FakePublisher();
    const { port, store, log } = await serveProjector(publisher);
    store.fault = () => Promise.reject(new NewerFold(9));
    expect((await send(port, pushed(given(1)))).status).toBe(503);
    expect(publisher.published).toEqual([]);
    expect(log()).toMatchObject([
      { severity: 'WARNING', outcome: 'retry_after', reason: expect.stringContaining('fold 9') },
    ]);
    store.fault = async () => {};
    expect((await send(port, pushed(given(1)))).status).toBe(204);
    expect(await store.endUser(HERON_ID)).toMatchObject({ event_count: 1 });
  });

  test.for([8, 10])(
    'holds up no other end user where one is refused with code %i',
    async (code, { serveProjector }) => {
      const { port, store, log } = await serveProjector(new FakePublisher());
      store.fault = async ([first]) => {
        if (first?.heron_id === HERON_ID) throw Object.assign(new Error('busy'), { code, details: 'busy' });
      };
      const other = endUserEvent({ heron_id: 'eus_other', note: PRIVATE });
      const replies = await Promise.all([given(1), other, given(2)].map((each) => send(port, pushed(each))));
      expect(replies.map(({ status }) => status)).toEqual([503, 204, 503]);
      expect(log().filter(({ outcome }) => outcome === 'retry_after')).toMatchObject(
        Array(2).fill({ error: `${code} busy` }),
      );
    },
  );

  test('is not appended once its time is over, although its turn comes later', async ({
    serveProjector,
    onTestFinished,
  }) => {
    const { port, store } = await serveProjector(new FakePublisher());
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const turns: { ids: string[]; go: () => void }[] = [];
    store.fault = (events) =>
      new Promise((resolve) => turns.push({ ids: events.map(({ event_id }) => event_id), go: resolve }));
    // One, then 50 together, and one that waits for its turn behind them.
    const events = Array.from({ length: 52 }, (_, n) => given(n));
    const replies = [send(port, pushed(events[0] as HeronEvent))];
    await vi.waitFor(() => expect(turns).toHaveLength(1));
    for (const each of events.slice(1)) replies.push(send(port, pushed(each)));
    await vi.waitFor(() => expect(vi.getTimerCount()).toBeGreaterThanOrEqual(events.length));
    await vi.advanceTimersByTimeAsync(15_000);
    turns[0]?.go();
    await vi.waitFor(() => expect(turns).toHaveLength(2));
    await vi.advanceTimersByTimeAsync(10_000);
    expect((await Promise.all(replies)).filter(({ status }) => status === 503)).toHaveLength(51);
    turns[1]?.go();
    await vi.waitFor(async () => expect((await store.endUser(HERON_ID))?.event_count).toBe(51));
    await sleep(20);
    expect(turns).toHaveLength(2);
    const found = await Promise.all(events.map(({ event_id }) => store.event(event_id)));
    expect(found.filter((each) => each === null)).toHaveLength(1);
  });

  test('outlives an outage of many attempts, and none of it is dead-lettered', async ({ serveProjector }) => {
    // As in production, but for the times.
    const delivery = { ...DELIVERY, minimum_backoff_seconds: 0.005, maximum_backoff_seconds: 0.02 };
    const bus = new MemoryBus({ delivery });
    const { port, store, log } = await serveProjector(bus);
    bus.provision(topology(PROJECTOR, `http://127.0.0.1:${port}/`));
    const events = Array.from({ length: 10 }, (_, n) => given(n));
    let down = true;
    store.fault = async () => {
      if (down) throw outage;
    };
    for (const each of events) await bus.publish('end_user.processed', toMessage(each));
    // Each some fifty times: with back-off up to 600 s, that is seven hours.
    await expect.poll(() => log().length).toBeGreaterThan(500);
    down = false;
    await expect.poll(() => bus.backlog('projector.end_user.processed')).toBe(0);
    expect(await store.endUser(HERON_ID)).toEqual(foldOf(events));
    expect(bus.backlog('dead-letter.projector')).toBe(0);
    await bus.close();
  });
});

describe('the projector', () => {
  test('takes nothing but POST', async ({ serveProjector }) => {
    const { port } = await serveProjector(new FakePublisher());
    expect(await send(port, '', {}, { method: 'GET' })).toMatchObject({ status: 405, headers: { allow: 'POST' } });
  });

  test('refuses a request that is larger than any message', async ({ serveProjector }) => {
    const publisher = new FakePublisher();
    const { port, log } = await serveProjector(publisher);
    expect((await send(port, Buffer.alloc(14_000_001))).status).toBe(413);
    expect(log()).toMatchObject([{ severity: 'WARNING', outcome: 'refused', http_status: 413 }]);
    expect(publisher.published).toEqual([]);
  });
});
