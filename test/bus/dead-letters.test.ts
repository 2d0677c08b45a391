import { describe, expect, it } from 'vitest';
import type { Publisher, Pulled, Subscriber } from '../../functions/bus/bus.ts';
import { type DeadLetter, deadLetterOf } from '../../functions/bus/dead-letter.ts';
import { type Tour, visitDeadLetters } from '../../functions/bus/dead-letter-tour.ts';
import { GooglePublisher } from '../../functions/bus/google.ts';
import { GoogleSubscriber } from '../../functions/bus/google-subscriber.ts';
import { MemoryBus } from '../../functions/bus/memory.ts';
import { provision } from '../../functions/bus/provision.ts';
import { discardDeadLetters, type Outcome, redriveDeadLetters } from '../../functions/bus/redrive.ts';
import type { Topology } from '../../functions/bus/topology.ts';
import { toDeadLetter } from '../../functions/events/dead-letter.ts';
import type { Message } from '../../functions/events/message.ts';
import { toMessage } from '../../functions/events/message.ts';
import { instantOf } from '../../functions/heron/instant.ts';
import { hasPubSub, newProject } from '../emulators.ts';
import { event } from '../store/given.ts';

const PUBLISHED = instantOf(Date.UTC(2026, 7, 14, 12, 24, 39));
const outage = Object.assign(new Error('14 UNAVAILABLE: down'), { code: 14 });

/** A dead letter of a message, as a subscriber makes it. */
function dead(message: Message, messageId = '7'): Message {
  const subscription = 'projects/heron/subscriptions/reader.end_user.processed';
  return toDeadLetter(message, {
    subscriber: 'reader',
    reason: 'the event cannot be folded',
    messageId,
    publishTime: PUBLISHED,
    subscription,
    deliveryAttempt: 3,
  });
}

async function listed(tour: Omit<Tour, 'chosen'>, chosen: Tour['chosen'] = 'all') {
  const letters: DeadLetter[] = [];
  const toured = await visitDeadLetters({ ...tour, chosen }, async (some) => void letters.push(...some));
  return { letters, ...toured };
}

/** Redrives, and tells what became of which. */
async function redriven(publisher: Publisher, tour: Tour) {
  const outcomes: Outcome[] = [];
  const toured = await redriveDeadLetters(publisher, tour, (outcome) => outcomes.push(outcome));
  return { outcomes, done: outcomes.filter(({ failure }) => !failure).map(({ letter }) => letter.id), ...toured };
}

type Side = {
  readonly publisher: Publisher;
  readonly subscriber: Subscriber;
  provision(topology: Topology): Promise<void>;
};

const sides: Readonly<Record<string, () => Side>> = {
  'in memory': () => {
    const bus = new MemoryBus();
    return { publisher: bus, subscriber: bus, provision: async (plan) => bus.provision(plan) };
  },
  ...(hasPubSub && {
    'in Pub/Sub': () => {
      const config = { projectId: newProject(), topicPrefix: 'staging-' };
      return {
        publisher: new GooglePublisher(config),
        subscriber: new GoogleSubscriber(config),
        provision: (plan) => provision(config, plan),
      };
    },
  }),
};

describe.each(Object.entries(sides))('dead letters %s', { concurrent: true }, (_, connect) => {
  const test = it.extend<{ side: Side & { bury(...messages: readonly Message[]): Promise<string[]> } }>({
    // biome-ignore lint/correctness/noEmptyPattern: a fixture of its own takes none
    side: async ({}, use) => {
      const side = connect();
      const pulled = ['dead-letter.reader', 'replay.reader', 'dead-letter.other', 'replay.other', 'end_user.processed'];
      await side.provision({ topics: pulled, subscriptions: pulled.map((topic) => ({ name: topic, topic })) });
      const bury = async (...messages: readonly Message[]) => {
        const ids: string[] = [];
        for (const message of messages) ids.push(await side.publisher.publish('dead-letter.reader', message, 5_000));
        return ids;
      };
      await use({ ...side, bury });
      await Promise.all([side.publisher.close(), side.subscriber.close()]);
    },
  });
  const tourOf = ({ subscriber }: Side) => ({ subscriber, name: 'reader' });

  test('are listed with what became of them, and stay', async ({ side }) => {
    const message = toMessage(event({ heron_id: 'eus_a' }));
    const ids = await side.bury(dead(message), {
      data: Buffer.from('{}'),
      attributes: {
        CloudPubSubDeadLetterSourceDeliveryCount: '100',
        CloudPubSubDeadLetterSourceSubscription: 'reader.unrouted',
        CloudPubSubDeadLetterSourceTopicPublishTime: '2026-08-14T12:24:39.123+00:00',
      },
    });
    for (let time = 0; time < 2; time++) {
      const { letters, incomplete, missing } = await listed(tourOf(side));
      expect({ incomplete, missing }).toEqual({ incomplete: false, missing: [] });
      const [first, second] = ids.map((id) => letters.find((letter) => letter.id === id));
      expect(letters).toHaveLength(2);
      expect(first).toMatchObject({
        subscriber: 'reader',
        subscription: 'reader.end_user.processed',
        reason: 'the event cannot be folded',
        deliveries: 3,
        published_at: PUBLISHED,
        topic: 'end_user.processed',
        event_id: message.attributes['ce-id'],
        bytes: message.data.byteLength,
      });
      expect(second).toMatchObject({
        subscription: 'reader.unrouted',
        reason: expect.stringContaining('every delivery'),
        deliveries: 100,
        published_at: '2026-08-14T12:24:39.123000Z',
        topic: null,
        event_id: null,
        bytes: 2,
      });
    }
  });

  test('are redriven to their subscriber alone, as it got them, and then gone', async ({ side }) => {
    const bytes = Buffer.from([0, 255, 128, 10]);
    const [chosen = ''] = await side.bury(dead({ data: bytes, attributes: { kept: 'é' } }));
    const [left = ''] = await side.bury(dead({ data: Buffer.from('left'), attributes: {} }));

    const { done, missing } = await redriven(side.publisher, { ...tourOf(side), chosen: [chosen, 'unknown'] });
    expect({ done, missing }).toEqual({ done: [chosen], missing: ['unknown'] });

    const replayed = await side.subscriber.pull('replay.reader', 10);
    expect(replayed).toHaveLength(1);
    expect(Buffer.from(replayed[0]?.message.data ?? []).equals(bytes)).toBe(true);
    expect(replayed[0]?.message.attributes).toEqual({ kept: 'é' });
    expect((await listed(tourOf(side))).letters.map(({ id }) => id)).toEqual([left]);
    const others = ['replay.other', 'dead-letter.other', 'end_user.processed'];
    expect(await Promise.all(others.map((name) => side.subscriber.pull(name, 10)))).toEqual([[], [], []]);
  });

  test('of one event are redriven together by its id', async ({ side }) => {
    const message = toMessage(event({ heron_id: 'eus_a' }));
    const ids = await side.bury(dead(message, '7'), dead(message, '8'));
    await side.bury(dead(toMessage(event({ heron_id: 'eus_b' }))));
    const { done } = await redriven(side.publisher, {
      ...tourOf(side),
      chosen: [message.attributes['ce-id'] ?? ''],
    });
    expect(done.sort()).toEqual(ids.sort());
  });

  test('that are discarded are gone, and published nowhere', async ({ side }) => {
    const [gone = '', left = ''] = await side.bury(
      dead({ data: Buffer.from('gone'), attributes: {} }),
      dead({ data: Buffer.from('left'), attributes: {} }),
    );
    const outcomes: Outcome[] = [];
    const chosen = [gone, 'unknown'];
    const toured = await discardDeadLetters({ ...tourOf(side), chosen }, (outcome) => outcomes.push(outcome));
    expect(outcomes).toMatchObject([{ letter: { id: gone } }]);
    expect(toured).toEqual({ missing: ['unknown'], incomplete: false });
    expect((await listed(tourOf(side))).letters.map(({ id }) => id)).toEqual([left]);
    expect(await side.subscriber.pull('replay.reader', 10)).toEqual([]);
  });

  test('are not lost where the redrive ends between publishing and acknowledging', async ({ side }) => {
    const [id = ''] = await side.bury(dead({ data: Buffer.from('precious'), attributes: {} }));
    const cut: Subscriber = {
      pull: (...args) => side.subscriber.pull(...args),
      release: (...args) => side.subscriber.release(...args),
      acknowledge: () => Promise.reject(outage),
      close: async () => {},
    };
    const first = await redriven(side.publisher, { ...tourOf(side), subscriber: cut, chosen: 'all' });
    expect(first).toMatchObject({
      done: [],
      incomplete: true,
      outcomes: [{ letter: { id }, failure: expect.any(Error) }],
    });

    expect((await redriven(side.publisher, { ...tourOf(side), chosen: [id] })).done).toEqual([id]);
    const replayed = await side.subscriber.pull('replay.reader', 10);
    expect(new Set(replayed.map(({ message }) => Buffer.from(message.data).toString()))).toEqual(new Set(['precious']));
    expect((await listed(tourOf(side))).letters).toEqual([]);
  });

  test('stay where they cannot be published', async ({ side }) => {
    const [id = ''] = await side.bury(dead({ data: Buffer.from('precious'), attributes: {} }));
    const down: Publisher = { publish: () => Promise.reject(outage), close: async () => {} };
    const { done, outcomes, incomplete } = await redriven(down, { ...tourOf(side), chosen: 'all' });
    expect({ done, incomplete }).toEqual({ done: [], incomplete: true });
    expect(outcomes).toMatchObject([{ letter: { id }, failure: outage }]);
    expect((await listed(tourOf(side))).letters.map((letter) => letter.id)).toEqual([id]);
  });
});

/** A subscription that hands out what the test says, and keeps account. */
function scripted(pulls: (() => readonly Pulled[])[]) {
  const acknowledged: (readonly string[])[] = [];
  const released: (readonly string[])[] = [];
  const subscriber: Subscriber = {
    pull: async () => pulls.shift()?.() ?? [],
    acknowledge: async (_, ackIds) => void acknowledged.push(ackIds),
    release: async (_, ackIds) => void released.push(ackIds),
    close: async () => {},
  };
  return { tour: { subscriber, name: 'reader' }, acknowledged, released };
}

function pulled(messageId: string, delivery = 1, message = dead({ data: Buffer.from(messageId), attributes: {} })) {
  return { messageId, ackId: `${messageId}#${delivery}`, publishTime: PUBLISHED, message };
}

const published: Publisher = { publish: async () => 'another', close: async () => {} };

describe('a visit of dead letters', () => {
  it('meets all, however few Pub/Sub gives at once', async () => {
    const { tour } = scripted([
      () => [pulled('1')],
      () => [],
      () => [],
      () => [pulled('2'), pulled('3')],
      () => [],
      () => [pulled('4')],
    ]);
    const { letters, incomplete } = await listed(tour);
    expect(letters.map(({ id }) => id)).toEqual(['1', '2', '3', '4']);
    expect(incomplete).toBe(false);
  });

  it('meets one that is handed out again once, and gives it back by its newest ack id', async () => {
    const { tour, released } = scripted([
      () => [pulled('1'), pulled('2'), pulled('2', 2)],
      () => [pulled('1', 2), pulled('3')],
    ]);
    expect((await listed(tour)).letters.map(({ id }) => id)).toEqual(['1', '2', '3']);
    expect(released.flat().sort()).toEqual(['1#2', '2#2', '3#1']);
  });

  it('acknowledges again what comes again, and redrives it once', async () => {
    const { tour, acknowledged, released } = scripted([() => [pulled('1')], () => [pulled('1', 2)]]);
    expect((await redriven(published, { ...tour, chosen: 'all' })).done).toEqual(['1']);
    expect(acknowledged.flat()).toEqual(['1#1', '1#2']);
    expect(released).toEqual([]);
  });

  it('ends where more come again than it can hold, and says that some may be missing', async () => {
    let delivery = 0;
    const { tour } = scripted(
      Array.from({ length: 100 }, () => () => [pulled('1', ++delivery), pulled('2', delivery)]),
    );
    const { letters, incomplete } = await listed(tour);
    expect({ met: letters.length, incomplete }).toEqual({ met: 2, incomplete: true });
    expect(delivery).toBeLessThan(10);
  });

  it('ends early once all that were named are met', async () => {
    const { tour, released } = scripted([() => [pulled('1'), pulled('2')], () => [pulled('3')]]);
    const { letters, incomplete } = await listed(tour, ['2']);
    expect(letters.map(({ id }) => id)).toEqual(['2']);
    expect(incomplete).toBe(false);
    expect(released).toEqual([['1#1', '2#1']]);
  });

  it('gives back what it held, at most 1,000 in a request', async () => {
    const many = Array.from({ length: 2_500 }, (_, n) => pulled(String(n)));
    const seen: number[] = [];
    const { tour, released } = scripted([() => many]);
    await listed({ ...tour, onProgress: (met) => seen.push(met) });
    expect(released.map(({ length }) => length)).toEqual([1_000, 1_000, 500]);
    expect(seen.at(-1)).toBe(2_500);
  });

  it('gives back what it held when it fails', async () => {
    const failing = scripted([
      () => [pulled('1')],
      () => {
        throw outage;
      },
    ]);
    await expect(listed(failing.tour)).rejects.toBe(outage);
    expect(failing.released).toEqual([['1#1']]);

    const { tour, released } = scripted([() => [pulled('1')]]);
    await expect(visitDeadLetters({ ...tour, chosen: 'all' }, () => Promise.reject(outage))).rejects.toBe(outage);
    expect(released).toEqual([['1#1']]);
  });

  it('gives back what it held when it is stopped, and says that some may be missing', async () => {
    const stop = new AbortController();
    const { tour, released } = scripted([() => [pulled('1')], () => [pulled('2')]]);
    const stopping = { ...tour, signal: stop.signal, onProgress: () => stop.abort() };
    expect(await listed(stopping)).toMatchObject({ letters: [{ id: '1' }], incomplete: true });
    expect(released).toEqual([['1#1']]);
  });
});

describe('a redrive', () => {
  it('acknowledges only once it is confirmed that the message is published', async () => {
    const { tour, acknowledged } = scripted([() => [pulled('1')]]);
    const { promise, resolve } = Promise.withResolvers<string>();
    const publishing = Promise.withResolvers<void>();
    const publisher: Publisher = {
      publish: () => {
        publishing.resolve();
        return promise;
      },
      close: async () => {},
    };
    const running = redriven(publisher, { ...tour, chosen: 'all' });
    await publishing.promise;
    await new Promise((after) => setImmediate(after));
    expect(acknowledged).toEqual([]);
    resolve('published');
    await running;
    expect(acknowledged).toEqual([['1#1']]);
  });

  it('does not go round with what is dead-lettered again at once', async () => {
    const bus = new MemoryBus({
      duplicates: 0,
      push: async (_, body) => {
        const { message } = JSON.parse(body);
        const again = dead({ data: Buffer.from(message.data, 'base64'), attributes: {} }, message.messageId);
        await bus.publish('dead-letter.reader', again);
        return 200;
      },
    });
    const push = { endpoint: 'reader', deadLetterTopic: 'dead-letter.reader' };
    bus.provision({
      topics: ['dead-letter.reader', 'replay.reader'],
      subscriptions: [
        { name: 'dead-letter.reader', topic: 'dead-letter.reader' },
        { name: 'replay.reader', topic: 'replay.reader', push },
      ],
    });
    for (let n = 0; n < 5; n++)
      await bus.publish('dead-letter.reader', dead({ data: Buffer.from(`${n}`), attributes: {} }));
    // As long as a real pull takes: what was redriven is back before the end.
    const slow: Subscriber = {
      pull: async (...args) => {
        await new Promise((resolve) => setTimeout(resolve, 20));
        return bus.pull(...args);
      },
      acknowledge: (...args) => bus.acknowledge(...args),
      release: (...args) => bus.release(...args),
      close: async () => {},
    };
    const { done, again, incomplete } = await redriven(bus, { subscriber: slow, name: 'reader', chosen: 'all' });
    expect({ done: done.length, again, incomplete }).toEqual({ done: 5, again: 5, incomplete: false });
    expect(bus.backlog('dead-letter.reader')).toBe(5);
  });

  it('leaves one that can never be published, and goes on with the others', async () => {
    const bus = new MemoryBus();
    bus.provision({ topics: ['replay.reader'], subscriptions: [] });
    const empty = dead({ data: Buffer.alloc(0), attributes: {} });
    const { tour, acknowledged } = scripted([() => [pulled('1', 1, empty)], () => [pulled('2')]]);
    const { done, outcomes } = await redriven(bus, { ...tour, chosen: 'all' });
    expect(done).toEqual(['2']);
    expect(outcomes).toMatchObject([{ letter: { id: '1' }, failure: { code: 3 } }, { letter: { id: '2' } }]);
    expect(acknowledged).toEqual([['2#1']]);
  });
});

describe('what was dead-lettered again after a redrive', () => {
  const again = (topic: string | undefined, more: Record<string, string> = {}) =>
    deadLetterOf('reader', {
      ackId: '',
      messageId: '9',
      publishTime: instantOf(Date.UTC(2026, 7, 20)),
      message: toDeadLetter(
        {
          data: Buffer.of(1),
          attributes: { ...(topic && { 'ce-type': topic }), 'ce-recordedtime': '2026-08-01T00:00:00Z', ...more },
        },
        {
          subscriber: 'reader',
          reason: 'still no',
          publishTime: PUBLISHED,
          subscription: 'projects/p/subscriptions/staging-replay.reader',
        },
      ),
    });
  const facts = ({ subscription, published_at }: DeadLetter) => ({ subscription, since: published_at?.slice(0, 10) });

  it('keeps where it came from, and since when it waits', () => {
    expect(facts(again('pdf.failed'))).toEqual({ subscription: 'staging-reader.pdf.failed', since: '2026-08-01' });
    expect(facts(again('new.topic'))).toEqual({ subscription: 'staging-reader.unrouted', since: '2026-08-01' });
  });

  it('is of the replay where it was replayed, or says no topic', () => {
    const replay = { subscription: 'staging-replay.reader', since: '2026-08-14' };
    expect(facts(again('pdf.failed', { 'ce-replayid': 'r' }))).toEqual(replay);
    expect(facts(again(undefined)).subscription).toBe('staging-replay.reader');
  });
});
