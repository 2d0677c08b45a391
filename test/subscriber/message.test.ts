import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { eventOf } from '../../functions/events/event.ts';
import { toMessage } from '../../functions/events/message.ts';
import { instantOf } from '../../functions/heron/instant.ts';
import { type Delivery, readMessage, readPush, subscriberOf } from '../../functions/subscriber/message.ts';
import { contextOf } from '../../functions/subscriber/subscriber.ts';
import { type Pull, type Push, pulls, pushes } from './vectors.ts';

const NOTHING = { attempt: undefined, messageId: undefined, publishTime: undefined, subscription: undefined };

function push({ headers, body_base64 }: Push): Promise<Delivery> {
  return readPush((name) => headers[name], Object.keys(headers), Buffer.from(body_base64, 'base64'));
}

function pull({ attributes, data_base64, delivery_attempt }: Pull): Promise<Delivery> {
  const attempt = delivery_attempt ?? undefined;
  return readMessage(Buffer.from(data_base64, 'base64'), attributes, { ...NOTHING, attempt });
}

describe.each([
  ...pushes.map((vector) => ({ vector, body: vector.body_base64, read: () => push(vector) })),
  ...pulls.map((vector) => ({ vector, body: vector.data_base64, read: () => pull(vector) })),
])('$vector.name', ({ vector, body, read }) => {
  it(vector.error === undefined ? 'is the event it says' : `is refused: ${vector.error}`, async () => {
    if (vector.event === undefined) {
      const error = await read().then(String, (error: Error) => error);
      expect(error).toMatchObject({ name: 'NotAnEvent', message: expect.stringContaining(String(vector.error)) });
      return;
    }
    const { attempt, replay, ...event } = vector.event;
    const delivery = await read();
    const { body: bytes, data = null, ...received } = delivery.received;
    expect({ ...received, data }).toEqual(event);
    expect(delivery.undocumented).toBe(vector.undocumented ?? null);
    expect(contextOf(delivery, new AbortController().signal)).toMatchObject({ attempt, replay });
    if (vector.kind !== 'wrapped') expect(Buffer.from(bytes).toString('base64')).toBe(body);
    else
      expect(Buffer.from(bytes).toString('base64')).toBe(
        JSON.parse(Buffer.from(body, 'base64').toString()).message.data,
      );
  });
});

describe('a message as ingest publishes it', () => {
  const bodies = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.json().map((json) => Buffer.from(json)),
    fc
      .record({
        topic: fc.oneof(fc.constantFrom('end_user.processed', 'a.b'), fc.string({ unit: 'binary' })),
        created: fc.oneof(fc.constant('2026-08-14T12:24:38.137886'), fc.string()),
        data: fc.oneof(fc.record({ heron_id: fc.constant('eus_1'), status: fc.string() }), fc.jsonValue()),
        meta: fc.oneof(fc.constant(null), fc.object()),
      })
      .map((webhook) => Buffer.from(JSON.stringify(webhook))),
  );
  const published = (body: Uint8Array) => toMessage(eventOf(body, instantOf(0)));

  it('is read to the same body, id and topic, pulled, wrapped or not', async () => {
    await fc.assert(
      fc.asyncProperty(bodies, async (body) => {
        const { data, attributes } = published(body);
        const headers = Object.fromEntries(
          Object.entries(attributes).map(([name, value]) => [name.toLowerCase(), value]),
        );
        const envelope = { message: { data: Buffer.from(data).toString('base64'), attributes }, subscription: 's' };
        const pulled = await readMessage(data, attributes, NOTHING);
        const unwrapped = await readPush((name) => headers[name], Object.keys(headers), data);
        const wrapped = await readPush(() => undefined, [], Buffer.from(JSON.stringify(envelope)));
        expect({ ...pulled.received, body: Buffer.from(pulled.received.body) }).toMatchObject({
          id: attributes['ce-id'],
          body: Buffer.from(body),
        });
        for (const { received, undocumented } of [unwrapped, wrapped]) {
          expect({ ...received, body: Buffer.from(received.body) }).toEqual({
            ...pulled.received,
            body: Buffer.from(body),
          });
          expect(undocumented).toBe(pulled.undocumented);
        }
        if (attributes['ce-type'] !== undefined) expect(pulled.received.topic).toBe(attributes['ce-type']);
      }),
    );
  });

  it('with any one byte changed is not an event', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 50 }), fc.nat(), async (body, at) => {
        const { data, attributes } = published(body);
        const changed = Uint8Array.from(data);
        changed[at % changed.length]! ^= 1;
        await expect(readMessage(changed, attributes, NOTHING)).rejects.toThrow('ce-id is not the SHA-256');
      }),
    );
  });
});

describe('the name of a subscriber', () => {
  it.each([
    ['projects/p/subscriptions/underwriting.end_user.processed', '', 'underwriting'],
    ['projects/p/subscriptions/underwriting.unrouted', '', 'underwriting'],
    ['projects/p/subscriptions/replay.underwriting', '', 'underwriting'],
    ['projects/p/subscriptions/staging-underwriting.end_user.processed', 'staging-', 'underwriting'],
    ['projects/p/subscriptions/staging-replay.underwriting', 'staging-', 'underwriting'],
    ['projects/p/subscriptions/staging-replay.underwriting', '', 'staging-underwriting'],
    ['projects/p/subscriptions/staging-underwriting.end_user.processed', '', 'staging-underwriting'],
    ['projects/p/subscriptions/my-replay.end_user.processed', '', 'my-replay'],
    ['projects/p/subscriptions/my-replay.unrouted', '', 'my-replay'],
    ['projects/p/subscriptions/underwriting.end_user.processed', 'staging-', undefined],
    ['projects/p/subscriptions/by-hand', '', undefined],
    [undefined, '', undefined],
  ])('%s, prefix "%s", is of %s', (subscription, prefix, name) => {
    expect(subscriberOf(subscription, prefix)).toBe(name);
  });
});
