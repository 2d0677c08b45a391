import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Publisher, Pulled, Subscriber } from '../../functions/bus/bus.ts';
import type { DELIVERY, Topology } from '../../functions/bus/topology.ts';
import type { Message } from '../../functions/events/message.ts';
import { CODE } from '../../functions/grpc.ts';

export type Side = {
  readonly publisher: Publisher;
  readonly subscriber: Subscriber;
  provision(topology: Topology, delivery: typeof DELIVERY): Promise<void>;
};

/** As in production, but for the times: Pub/Sub allows 5 attempts and 10 s of ack deadline at least. */
const QUICK: typeof DELIVERY = {
  ack_deadline_seconds: 10,
  max_delivery_attempts: 5,
  maximum_backoff_seconds: 0.2,
  minimum_backoff_seconds: 0.1,
};

type Pushed = {
  readonly message: Message;
  readonly messageId: string;
  readonly publishTime: string;
  readonly subscription: string;
};

function parsePush(body: Buffer): Pushed {
  const { message, ...envelope } = JSON.parse(body.toString());
  const { data = '', attributes = {}, ...ids } = message;
  return { ...envelope, ...ids, message: { data: Buffer.from(data, 'base64'), attributes } };
}

/** What both sides of the port hold to. */
export function busContract(connect: () => Side): void {
  const pushes: Pushed[] = [];
  let answer: (pushed: Pushed) => number = () => 200;
  const endpoint = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const pushed = parsePush(Buffer.concat(chunks));
    pushes.push(pushed);
    response.writeHead(answer(pushed)).end();
  });
  let side: Side;

  beforeAll(async () => {
    await new Promise<void>((resolve) => endpoint.listen(0, '127.0.0.1', resolve));
    side = connect();
    const url = `http://127.0.0.1:${(endpoint.address() as AddressInfo).port}/`;
    const push = { endpoint: url, deadLetterTopic: 'dead-letter.reader' };
    await side.provision(
      {
        topics: ['first.topic', 'second.topic', 'replay.reader', 'dead-letter.reader', 'silent.topic'],
        subscriptions: [
          { name: 'dead-letter.reader', topic: 'dead-letter.reader' },
          { name: 'reader.first.topic', topic: 'first.topic', push },
          { name: 'other.first.topic', topic: 'first.topic' },
          { name: 'reader.second.topic', topic: 'second.topic', push },
          { name: 'replay.reader', topic: 'replay.reader', push },
        ],
      },
      QUICK,
    );
  });

  afterAll(async () => {
    await Promise.all([side.publisher.close(), side.subscriber.close()]);
    endpoint.closeAllConnections();
    await new Promise((resolve) => endpoint.close(resolve));
  });

  const arrived = (text: string) => pushes.filter(({ message }) => Buffer.from(message.data).toString() === text);
  const publish = (topic: string, text: string, attributes = {}) =>
    side.publisher.publish(topic, { data: Buffer.from(text), attributes }, 5_000);
  const pullAll = async (subscription: string, until: (pulled: readonly Pulled[]) => boolean) => {
    const all: Pulled[] = [];
    for (const deadline = Date.now() + 60_000; !until(all) && Date.now() < deadline; await sleep(20))
      all.push(...(await side.subscriber.pull(subscription, 10)));
    return all;
  };

  it('delivers to each subscription of the topic, and to no other', async () => {
    await publish('first.topic', 'fan out');
    await expect.poll(() => arrived('fan out').length).toBeGreaterThan(0);
    const pulled = await pullAll('other.first.topic', (all) => all.length > 0);
    await side.subscriber.acknowledge(
      'other.first.topic',
      pulled.map(({ ackId }) => ackId),
    );

    expect(pulled.map(({ message }) => Buffer.from(message.data).toString())).toEqual(['fan out']);
    expect(arrived('fan out').every(({ subscription }) => subscription.endsWith('reader.first.topic'))).toBe(true);
  });

  it('delivers data and attributes as they were published, byte for byte', async () => {
    const data = Buffer.from(Array.from({ length: 1024 }, (_, i) => i % 256));
    const attributes = { 'ce-id': 'é"\\\u0000😀', long: 'x'.repeat(1024) };
    await side.publisher.publish('second.topic', { data, attributes }, 5_000);

    const find = () => pushes.find(({ message }) => Buffer.from(message.data).equals(data));
    await expect.poll(find).toBeDefined();
    expect(find()?.message.attributes).toEqual(attributes);
    expect(find()?.messageId).not.toBe('');
    expect(find()?.publishTime).toMatch(/^\d{4}-.*Z$/);
  });

  it('takes a message of almost 10 MB', async () => {
    const data = Buffer.alloc(9_990_000, 'x');
    await side.publisher.publish('second.topic', { data, attributes: { size: 'large' } }, 20_000);

    const find = () => pushes.find(({ message }) => message.attributes.size === 'large');
    await expect.poll(find).toBeDefined();
    expect(Buffer.from(find()?.message.data ?? '').equals(data)).toBe(true);
  });

  it('says that a topic does not exist', async () => {
    await expect(publish('no.such.topic', 'lost')).rejects.toMatchObject({ name: 'Refused', code: CODE.NOT_FOUND });
  });

  it('says that a topic refuses a message for good', async () => {
    await expect(publish('first.topic', '')).rejects.toMatchObject({ name: 'Refused', code: CODE.INVALID_ARGUMENT });
  });

  it('confirms what nobody subscribes to', async () => {
    await expect(publish('silent.topic', 'unheard')).resolves.toEqual(expect.any(String));
  });

  it('delivers again what was refused, without holding up others', async () => {
    let refusals = 2;
    answer = ({ message }) => (Buffer.from(message.data).toString() === 'refused twice' && refusals-- > 0 ? 503 : 200);
    await publish('first.topic', 'refused twice');
    await publish('first.topic', 'behind it');

    await expect.poll(() => arrived('behind it').length).toBeGreaterThan(0);
    await expect.poll(() => arrived('refused twice').length).toBeGreaterThanOrEqual(3);
  });

  it('dead-letters what was refused as often as allowed, once it is given up', async () => {
    answer = ({ message }) => (Buffer.from(message.data).toString() === 'hopeless' ? 503 : 200);
    await publish('second.topic', 'hopeless', { kept: 'yes' });

    const [dead] = await pullAll('dead-letter.reader', (all) => all.length > 0);
    expect(Buffer.from(dead?.message.data ?? '').toString()).toBe('hopeless');
    expect(dead?.message.attributes).toMatchObject({ kept: 'yes' });
    expect(arrived('hopeless').length).toBeGreaterThanOrEqual(QUICK.max_delivery_attempts);
    await side.subscriber.acknowledge('dead-letter.reader', [dead?.ackId ?? '']);
  });

  it('hands out again what was pulled and given back, and not what was acknowledged', async () => {
    await publish('dead-letter.reader', 'read twice');
    const [first] = await pullAll('dead-letter.reader', (all) => all.length > 0);
    await side.subscriber.release('dead-letter.reader', [first?.ackId ?? '']);
    const [second] = await pullAll('dead-letter.reader', (all) => all.length > 0);
    expect(second?.messageId).toBe(first?.messageId);

    await side.subscriber.acknowledge('dead-letter.reader', [second?.ackId ?? '']);
    expect(await side.subscriber.pull('dead-letter.reader', 10)).toEqual([]);
  });

  it('says nothing of a subscription that has nothing', async () => {
    expect(await side.subscriber.pull('dead-letter.reader', 10)).toEqual([]);
  });

  describe('a replay topic', () => {
    it('reaches its subscriber alone', async () => {
      await publish('replay.reader', 'again');
      await expect.poll(() => arrived('again').length).toBeGreaterThan(0);
      expect(await side.subscriber.pull('other.first.topic', 10)).not.toContainEqual(
        expect.objectContaining({ message: expect.objectContaining({ data: Buffer.from('again') }) }),
      );
    });
  });
}
