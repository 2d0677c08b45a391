import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { eventId, eventOf } from '../../functions/events/event.ts';
import { toMessage } from '../../functions/events/message.ts';
import { instantOf } from '../../functions/heron/instant.ts';
import {
  type Delivery,
  NotAnEvent,
  readBody,
  readMessage,
  readPush,
  subscriberOf,
} from '../../functions/subscriber/message.ts';
import { contextOf } from '../../functions/subscriber/subscriber.ts';
import { type Pull, type Push, pulls, pushes } from './vectors.ts';

const NOTHING = { attempt: undefined, messageId: undefined, publishTime: undefined, subscription: undefined };

/** Lists in lists, so many levels of them. */
const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);

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
    const { signal } = new AbortController();
    expect(contextOf(delivery, { known: true, signal, note: () => {} })).toMatchObject({ attempt, replay });
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

describe('the envelope of a wrapped push', () => {
  const bytes = (json: unknown): Uint8Array => Buffer.from(typeof json === 'string' ? json : JSON.stringify(json));
  const read = (body: unknown) => readPush(() => undefined, [], body instanceof Uint8Array ? body : bytes(body));
  /** What was no event, and yet read. */
  const foreign = async (body: unknown) => {
    const error = await read(body).catch((error) => error);
    expect(error).toBeInstanceOf(NotAnEvent);
    return (error as NotAnEvent).foreign;
  };

  it('says what Pub/Sub knows of the message', async () => {
    const body = {
      deliveryAttempt: 5,
      message: {
        attributes: { a: 'b' },
        data: 'e30=',
        messageId: '2070443601311540',
        message_id: '2070443601311540',
        publishTime: '2026-08-14T12:24:39.749Z',
        publish_time: '2026-08-14T12:24:39.749Z',
      },
      subscription: 'projects/myproject/subscriptions/projector.end_user.processed',
    };
    expect(await foreign(body)).toEqual({
      isMessage: true,
      data: bytes('{}'),
      attributes: { a: 'b' },
      messageId: '2070443601311540',
      publishTime: '2026-08-14T12:24:39.749Z',
      subscription: 'projects/myproject/subscriptions/projector.end_user.processed',
      attempt: 5,
    });
  });

  it('leaves out data that is empty, and attributes where there are none', async () => {
    expect(await foreign({ message: { messageId: '1' }, subscription: 's' })).toEqual({
      isMessage: true,
      data: bytes(''),
      attributes: {},
      messageId: '1',
      publishTime: undefined,
      subscription: 's',
      attempt: undefined,
    });
  });

  it('may say more than it needs, or of another type', async () => {
    const message = { data: '', messageId: 7, publishTime: 5, orderingKey: 'k' };
    expect(await foreign({ message, subscription: ['s'] })).toMatchObject({
      isMessage: true,
      messageId: undefined,
      publishTime: undefined,
      subscription: undefined,
    });
  });

  it.each([
    [5, 5],
    ['5', undefined],
    [1.5, undefined],
  ])('says how often it came, where Pub/Sub counts: %j', async (deliveryAttempt, attempt) => {
    expect((await foreign({ message: {}, deliveryAttempt })).attempt).toBe(attempt);
  });

  it('hands on no id that Pub/Sub would not take back', async () => {
    const body = '{"message":{"messageId":"\\ud83d"},"subscription":"\\ude00"}';
    expect(await foreign(body)).toMatchObject({ messageId: undefined, subscription: undefined });
  });

  it('with keys that every object seems to have is taken as it is', async () => {
    const { attributes } = await foreign('{"message":{"attributes":{"__proto__":"a","constructor":"b"}}}');
    expect(Object.entries(attributes)).toEqual([
      ['__proto__', 'a'],
      ['constructor', 'b'],
    ]);
  });

  it.each([
    ['nothing', ''],
    ['no JSON', 'hello'],
    ['a webhook', { topic: 'end_user.processed', created: '2021-05-20T09:23:53', data: {}, meta: null }],
    ['null', 'null'],
    ['a list', '[{"message":{}}]'],
    ['a message that is null', { message: null }],
    ['a message that is a text', { message: 'e30=' }],
    ['a message that is a list', { message: [] }],
    ['a message of the prototype', '{"__proto__":{"message":{"data":""}}}'],
    ['data of another type', { message: { data: 7 } }],
    ['data null', { message: { data: null } }],
    ['data as an object', { message: { data: {} } }],
    ['data that is not base64', { message: { data: 'e3*=' } }],
    ['data with a space', { message: { data: 'e3 0=' } }],
    ['data without its padding', { message: { data: 'e30' } }],
    ['data with too much padding', { message: { data: 'e30==' } }],
    ['data of padding alone', { message: { data: '====' } }],
    ['data in the alphabet for URLs', { message: { data: '-_-_' } }],
    ['data whose last bits mean nothing', { message: { data: 'e31=' } }],
    ['attributes null', { message: { attributes: null } }],
    ['attributes as a list', { message: { attributes: ['a'] } }],
    ['an attribute of another type', { message: { attributes: { a: 'b', c: 7 } } }],
    ['an attribute with half a surrogate pair', { message: { attributes: { a: '\ud83d' } } }],
    ["an attribute's name with half a surrogate pair", { message: { attributes: { '\ud83d': 'a' } } }],
    ['nested a hundred thousand times', '{"message":'.repeat(100_000)],
    ['nested a hundred thousand times and closed', `{"message":${'['.repeat(100_000)}${']'.repeat(100_000)}}`],
    ['bytes that are not UTF-8', Buffer.from('{"message":{"attributes":{"a":"\u00e9"}}}', 'latin1')],
  ])('is none, and the request no message: %s', async (_, body) => {
    const { data, isMessage } = await foreign(body);
    expect(isMessage).toBe(false);
    expect(Buffer.from(data)).toEqual(Buffer.from(body instanceof Uint8Array ? body : bytes(body)));
  });

  it('is none beside lists nested to 1,001 levels, which would be parsed for seconds; to 1,000 it is read', async () => {
    const beside = (levels: number) => `{"message":{"data":"e30="},"beside":${nested(levels - 1)}}`;
    expect(await foreign(beside(1_000))).toMatchObject({ isMessage: true, data: bytes('{}') });
    expect(await foreign(beside(1_001))).toMatchObject({ isMessage: false });
  });

  it('is read or said to be none, whatever it is; the reason quotes nothing', async () => {
    const anything = fc.oneof(fc.jsonValue(), fc.constantFrom('', 'e30=', '\ud83d'));
    const message = fc.record(
      { data: anything, attributes: anything, messageId: anything, publishTime: anything },
      { requiredKeys: [] },
    );
    const body = fc.oneof(
      fc.uint8Array().map((raw): Uint8Array => raw),
      fc.oneof(anything, fc.record({ message: fc.oneof(anything, message), subscription: anything })).map(bytes),
    );
    const reasons = [
      /^the request has no ce-id header/,
      /^the message has data that is not base64$/,
      /^the message has attributes that are not texts$/,
      /^ce-id is missing/,
    ];
    await fc.assert(
      fc.asyncProperty(body, async (body) => {
        const error = await read(body).catch((error) => error);
        expect(error).toBeInstanceOf(NotAnEvent);
        expect(reasons.some((reason) => reason.test(error.message))).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});

describe('the data of an event', () => {
  const body = Buffer.from(
    JSON.stringify({ topic: 'a.b', created: '2026-09-01T10:00:00Z', data: { n: [1] }, meta: {} }),
  );

  it('is there to 1,000 levels; of a body nested deeper the id and the topic are, as its attributes say', async () => {
    const read = async (levels: number) => {
      const body = Buffer.from(
        `{"topic":"a.b","created":"2026-09-01T10:00:00Z","data":{"n":${nested(levels - 2)}},"meta":{}}`,
      );
      const attributes = { 'ce-specversion': '1.0', 'ce-id': eventId(body), 'ce-type': 'a.b' };
      return readMessage(body, attributes, NOTHING);
    };
    expect((await read(1_000)).received).toMatchObject({ topic: 'a.b', data: { n: [expect.anything()] } });
    expect(await read(1_001)).toMatchObject({
      undocumented: 'the body is not JSON, or nested over 1,000 levels',
      received: { topic: 'a.b', created: null, data: undefined },
    });
  });

  it('is read again where it was let go of, and stays where somebody has looked', () => {
    let kept = true;
    vi.stubGlobal(
      'WeakRef',
      class<T> {
        readonly #value: T;
        constructor(value: T) {
          this.#value = value;
        }
        deref = () => (kept ? this.#value : undefined);
      },
    );
    const { received } = readBody('id', body);
    const { received: other } = readBody('id', body);
    vi.unstubAllGlobals();
    kept = false;
    expect(received).toMatchObject({ data: { n: [1] }, meta: {} });
    expect(received.data).toBe(received.data);
    kept = true;
    expect(other.data).toEqual({ n: [1] });
    kept = false;
    expect(other.data).toBe(other.data);
  });
});

describe('where there is no Node', () => {
  it('a message is read to the same', async () => {
    vi.stubGlobal('process', { ...process, getBuiltinModule: undefined });
    vi.resetModules();
    const web = (await import(
      '../../functions/subscriber/message.ts'
    )) as typeof import('../../functions/subscriber/message.ts');
    vi.unstubAllGlobals();
    const said = async (module: Pick<typeof web, 'readPush'>, { headers, body_base64 }: Push) => {
      const body = Buffer.from(body_base64, 'base64');
      try {
        const { received } = await module.readPush((name) => headers[name], Object.keys(headers), body);
        return { ...received, body: Buffer.from(received.body).toString('base64') };
      } catch (error) {
        return (error as Error).message;
      }
    };
    for (const push of pushes) expect(await said(web, push)).toEqual(await said({ readPush }, push));
    const trailing = Buffer.from(JSON.stringify({ message: { data: 'e31=' } })).toString('base64');
    const odd: Push = { name: '', kind: 'wrapped', headers: {}, body_base64: trailing };
    expect(await said(web, odd)).toBe('the message has data that is not base64');
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
