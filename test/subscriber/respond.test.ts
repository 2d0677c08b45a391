import { generateKeyPairSync, sign } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { DeadLetter } from '../../functions/subscriber/dead-letter.ts';
import { type HandlerOptions, type PushRequest, responder } from '../../functions/subscriber/respond.ts';
import {
  Discard,
  type Fallback,
  type InvalidHandler,
  RetryAfter,
  subscriber,
} from '../../functions/subscriber/subscriber.ts';
import { linesOf, pushed, requestOf, type Sent, SUBSCRIPTION } from './given.ts';
import { pushes } from './vectors.ts';

function serving(fallback: Fallback, options: HandlerOptions = {}) {
  const { lines, log } = linesOf();
  return { lines, respond: responder(subscriber(fallback), { log, ...options }) };
}

describe.each(pushes)('$name', ({ headers, body_base64, event, error }) => {
  const sent = { headers, body: Buffer.from(body_base64, 'base64') };

  it(event ? 'is answered 204' : 'is answered 400, which says why, and logged', async () => {
    const got: string[] = [];
    const { lines, respond } = serving(({ id }) => got.push(id));
    const { status, body } = await respond(requestOf(sent));
    expect(status).toBe(event ? 204 : 400);
    expect(got).toEqual(event ? [event.id] : []);
    if (error === undefined) return;
    expect(JSON.parse(String(body))).toMatchObject({ status: 400, detail: expect.stringContaining(error) });
    expect(lines).toMatchObject([{ severity: 'WARNING', outcome: 'refused', reason: expect.stringContaining(error) }]);
  });
});

describe('a request', () => {
  it('that is not a POST is answered 405', async () => {
    const { respond } = serving(() => {});
    expect(await respond(requestOf(pushed('a.b'), 'GET'))).toMatchObject({ status: 405, headers: { Allow: 'POST' } });
  });

  it('that is larger than any of Pub/Sub is answered 413', async () => {
    const { respond } = serving(() => {});
    const most = { headers: {}, body: new Uint8Array(14_000_000) };
    expect((await respond(requestOf(most))).status).toBe(400);
    expect((await respond(requestOf({ ...most, body: new Uint8Array(14_000_001) }))).status).toBe(413);
  });

  it('that cannot be read is answered 500', async () => {
    const { lines, respond } = serving(() => {});
    const broken: PushRequest = { ...requestOf(pushed('a.b')), body: () => Promise.reject(new Error('cut')) };
    expect((await respond(broken)).status).toBe(500);
    expect(lines).toMatchObject([{ outcome: 'unread' }]);
  });
});

describe('the ack deadline', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  /** A handler that takes so long; tells when it has begun, and what its signal says when it ends. */
  const slow = (milliseconds: number, options: HandlerOptions = {}) => {
    const aborted: boolean[] = [];
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const serve = serving(async (_, { signal }) => {
      const time = new Promise((resolve) => setTimeout(resolve, milliseconds));
      begin();
      await time;
      aborted.push(signal.aborted);
    }, options);
    return { ...serve, aborted, begun };
  };

  /** A request whose body takes so long to come. */
  const slowly = (milliseconds: number): PushRequest => {
    const request = requestOf(pushed('a.b', {}));
    return {
      ...request,
      body: async (maxBytes, patience) => {
        await new Promise((resolve) => setTimeout(resolve, Math.min(milliseconds, patience)));
        return milliseconds < patience ? request.body(maxBytes, patience) : { kind: 'timed_out' };
      },
    };
  };

  it.each([
    ['60 s unless it is given', {}, 54_000],
    ['as given', { ackDeadlineSeconds: 10 }, 9_000],
    ['at most 600 s', { ackDeadlineSeconds: 600 }, 540_000],
    ['not used up where there is a time-out', { timeoutSeconds: 25 }, 25_000],
  ])('is %s: just before, the event counts as handled; just after, it comes again', async (_, options, usable) => {
    const inTime = slow(usable - 1, options);
    const early = inTime.respond(requestOf(pushed('a.b', {})));
    await inTime.begun;
    await vi.advanceTimersByTimeAsync(usable - 1);
    expect((await early).status).toBe(204);
    expect(inTime.aborted).toEqual([false]);

    const tooLate = slow(usable + 1, options);
    const late = tooLate.respond(requestOf(pushed('a.b', {})));
    await tooLate.begun;
    await vi.advanceTimersByTimeAsync(usable);
    expect((await late).status).toBe(503);
    expect(tooLate.lines).toMatchObject([{ severity: 'WARNING', outcome: 'late' }]);
    await vi.advanceTimersByTimeAsync(1);
    expect(tooLate.aborted).toEqual([true]);
  });

  it('tells a handler that listens, and what it then throws is no failure of its own', async () => {
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const { lines, respond } = serving((_, { signal }) => {
      begin();
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    });
    const answer = respond(requestOf(pushed('a.b', {})));
    await begun;
    await vi.advanceTimersByTimeAsync(54_000);
    expect((await answer).status).toBe(503);
    expect(lines).toMatchObject([{ outcome: 'late' }]);
  });

  it.each([
    ['in time', 23_999, 204, [false]],
    ['too late', 24_001, 503, [true]],
  ])(
    'counts from when the request came: after a slow body, 30 s of work are %s',
    async (_, bodyTakes, status, aborted) => {
      const service = slow(30_000);
      const answer = service.respond(slowly(bodyTakes));
      await vi.advanceTimersByTimeAsync(bodyTakes);
      await service.begun;
      await vi.advanceTimersByTimeAsync(30_000);
      expect((await answer).status).toBe(status);
      expect(service.aborted).toEqual(aborted);
    },
  );

  it('ends the wait for a body that does not end', async () => {
    const answer = slow(0).respond(slowly(54_001));
    await vi.advanceTimersByTimeAsync(54_000);
    expect((await answer).status).toBe(408);
  });

  it.each([0, 601, Number.NaN])('is not %s s', (ackDeadlineSeconds) => {
    expect(() => serving(() => {}, { ackDeadlineSeconds })).toThrow(RangeError);
  });

  it.each([0, 9.1, Number.NaN])('of 10 s leaves no time-out of %s s', (timeoutSeconds) => {
    expect(() => serving(() => {}, { ackDeadlineSeconds: 10, timeoutSeconds })).toThrow(RangeError);
  });

  it('bounds a dead letter as well', async () => {
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const deadLetter = () => {
      begin();
      return new Promise<void>(() => {});
    };
    const { lines, respond } = serving(
      () => {
        throw new Discard('never');
      },
      { deadLetter },
    );
    const answer = respond(requestOf(pushed('a.b', {})));
    await begun;
    await vi.advanceTimersByTimeAsync(54_000);
    expect((await answer).status).toBe(503);
    expect(lines).toMatchObject([{ outcome: 'late' }]);
  });
});

describe('what is discarded', () => {
  const discarding = (reason: string, options: HandlerOptions = {}) => {
    const letters: DeadLetter[] = [];
    const deadLetter = async (letter: DeadLetter) => void letters.push(letter);
    const serve = serving(
      () => {
        throw new Discard(reason);
      },
      { deadLetter, ...options },
    );
    return { ...serve, letters };
  };

  it('goes to the dead letters as it came, with the reason, and is acknowledged', async () => {
    const { lines, letters, respond } = discarding('a currency that we do not take');
    const sent = pushed('pdf.parsed', {});
    expect((await respond(requestOf(sent))).status).toBe(204);
    const { 'ce-id': id } = sent.headers;
    expect(letters).toMatchObject([
      {
        topic: 'dead-letter.underwriting',
        data: sent.body,
        attributes: {
          'ce-specversion': '1.0',
          'ce-id': id,
          'ce-type': 'pdf.parsed',
          'ce-source': 'https://app.herondata.io',
          'Content-Type': 'application/json',
          dead_letter_reason: 'a currency that we do not take',
          dead_letter_subscriber: 'underwriting',
          dead_letter_message_id: '12345',
          dead_letter_publish_time: '2026-09-01T10:00:05Z',
          dead_letter_subscription: SUBSCRIPTION,
        },
      },
    ]);
    expect(Object.keys(letters[0]?.attributes ?? {}).filter((name) => name.startsWith('x-goog'))).toEqual([]);
    expect(lines).toMatchObject([{ severity: 'ERROR', outcome: 'dead_lettered', event_id: id, topic: 'pdf.parsed' }]);
  });

  it('goes to the topic with the prefix of its subscription', async () => {
    const { letters, respond } = discarding('never', { topicPrefix: 'staging-' });
    const subscription = 'projects/p/subscriptions/staging-replay.underwriting';
    await respond(requestOf(pushed('a.b', {}, { 'x-goog-pubsub-subscription-name': subscription })));
    expect(letters).toMatchObject([
      { topic: 'staging-dead-letter.underwriting', attributes: { dead_letter_subscriber: 'underwriting' } },
    ]);
  });

  it('goes to the dead letters of the name that is given, whatever the subscription is called', async () => {
    const { letters, respond } = discarding('never', { name: 'ledger', topicPrefix: 'staging-' });
    const sent = pushed('a.b', {}, { 'x-goog-pubsub-subscription-name': 'projects/p/subscriptions/by-hand' });
    expect((await respond(requestOf(sent))).status).toBe(204);
    expect(letters).toMatchObject([
      { topic: 'staging-dead-letter.ledger', attributes: { dead_letter_subscriber: 'ledger' } },
    ]);
  });

  it.each([{}, { name: 'underwriting' }, { deadLetter: undefined }])(
    'under heron listen is logged and done with, and no dead letter of anybody, given %j',
    async (options) => {
      const { lines, letters, respond } = discarding('never', options as HandlerOptions);
      const subscription = 'projects/p/subscriptions/staging-listen_jane.end_user.processed';
      const sent = pushed('a.b', {}, { 'x-goog-pubsub-subscription-name': subscription });
      expect((await respond(requestOf(sent))).status).toBe(204);
      expect(letters).toEqual([]);
      expect(lines).toMatchObject([{ severity: 'WARNING', outcome: 'discarded', reason: 'never' }]);
    },
  );

  it('comes again where the dead letter is not taken', async () => {
    const { lines, respond } = discarding('never', { deadLetter: () => Promise.reject(new Error('down')) });
    expect((await respond(requestOf(pushed('a.b', {})))).status).toBe(503);
    expect(lines).toMatchObject([{ outcome: 'not_dead_lettered', reason: 'never' }]);
  });

  it('comes again where its subscription does not say whose it is', async () => {
    const { lines, letters, respond } = discarding('never');
    const sent = pushed('a.b', {}, { 'x-goog-pubsub-subscription-name': 'projects/p/subscriptions/by-hand' });
    expect((await respond(requestOf(sent))).status).toBe(503);
    expect(letters).toEqual([]);
    expect(lines).toMatchObject([{ message: expect.stringContaining('whose dead letters') }]);
  });

  it('has a reason of as many bytes as an attribute takes, cut between characters', async () => {
    const { letters, respond } = discarding('ö'.repeat(600));
    await respond(requestOf(pushed('a.b', {})));
    expect(letters[0]?.attributes.dead_letter_reason).toBe('ö'.repeat(512));
    const uneven = discarding(`x${'ö'.repeat(600)}`);
    await uneven.respond(requestOf(pushed('a.b', {})));
    expect(uneven.letters[0]?.attributes.dead_letter_reason).toBe(`x${'ö'.repeat(511)}`);
  });

  it('keeps as many attributes as Pub/Sub takes beside the reason, and not those of an earlier dead letter', async () => {
    const { letters, respond } = discarding('never');
    const { headers, body } = pushed('a.b', {});
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`a${i}`, 'x']));
    const attributes = {
      'ce-specversion': '1.0',
      'ce-id': headers['ce-id'],
      dead_letter_reason: 'old',
      CloudPubSubDeadLetterSourceDeliveryCount: '5',
      ...many,
    };
    const envelope = {
      message: { data: Buffer.from(body).toString('base64'), attributes },
      subscription: SUBSCRIPTION,
      deliveryAttempt: 4,
    };
    await respond(requestOf({ headers: {}, body: Buffer.from(JSON.stringify(envelope)) }));
    const { attributes: kept = {} } = letters[0] ?? {};
    expect(Object.keys(kept)).toHaveLength(100);
    expect(kept).toMatchObject({ 'ce-id': headers['ce-id'], dead_letter_reason: 'never', dead_letter_deliveries: '4' });
    expect(kept).not.toHaveProperty('CloudPubSubDeadLetterSourceDeliveryCount');
  });
});

describe('what is not an event', () => {
  const wrapped = (message: object): Sent => ({
    headers: {},
    body: Buffer.from(JSON.stringify({ message, subscription: SUBSCRIPTION, deliveryAttempt: 3 })),
  });
  const byOthers = wrapped({ data: 'aGVsbG8=', attributes: { from: 'others' }, messageId: '7' });
  const noMessage: Sent = { headers: {}, body: Buffer.from('hello') };

  const taking = (handler: InvalidHandler, options: HandlerOptions = {}) => {
    const letters: DeadLetter[] = [];
    const { lines, log } = linesOf();
    const service = subscriber(() => expect.unreachable()).onInvalid(handler);
    const deadLetter = async (letter: DeadLetter) => void letters.push(letter);
    return { lines, letters, respond: responder(service, { log, deadLetter, ...options }) };
  };
  const discarding = (options?: HandlerOptions) =>
    taking(({ reason }) => {
      throw new Discard(reason);
    }, options);

  it('comes to who takes it, as it came, and why it is not', async () => {
    const got: unknown[] = [];
    const { lines, respond } = taking((invalid, context) => got.push(invalid, context));
    for (const sent of [byOthers, noMessage]) expect((await respond(requestOf(sent))).status).toBe(204);
    expect(got).toMatchObject([
      { reason: expect.stringContaining('ce-id is missing'), data: Buffer.from('hello'), isMessage: true },
      { known: false, attempt: 3, message: { attributes: { from: 'others' }, messageId: '7' } },
      { reason: expect.stringContaining('not an envelope'), data: Buffer.from('hello'), isMessage: false },
      { known: false, message: { attributes: {} } },
    ]);
    expect(lines).toMatchObject([
      { severity: 'INFO', outcome: 'handled', message_id: '7', reason: expect.stringContaining('not an event') },
      { severity: 'INFO', outcome: 'handled', reason: expect.stringContaining('not an event') },
    ]);
  });

  it('goes to the dead letters where its handler discards it', async () => {
    const { letters, lines, respond } = discarding();
    expect((await respond(requestOf(byOthers))).status).toBe(204);
    expect(letters).toMatchObject([
      {
        topic: 'dead-letter.underwriting',
        data: Buffer.from('hello'),
        attributes: {
          from: 'others',
          dead_letter_message_id: '7',
          dead_letter_reason: expect.stringContaining('ce-id is missing'),
        },
      },
    ]);
    expect(lines).toMatchObject([{ severity: 'ERROR', outcome: 'dead_lettered' }]);
  });

  it('and no message either has no subscription: it goes to the dead letters where there is a name', async () => {
    expect((await discarding().respond(requestOf(noMessage))).status).toBe(503);
    const { letters, respond } = discarding({ name: 'ledger' });
    expect((await respond(requestOf(noMessage))).status).toBe(204);
    expect(letters).toMatchObject([{ topic: 'dead-letter.ledger', data: Buffer.from('hello') }]);
    expect(letters[0]?.attributes).toEqual({
      dead_letter_reason: expect.any(String),
      dead_letter_subscriber: 'ledger',
    });
  });

  it('comes again where its handler throws', async () => {
    const error = [new Error('down'), new RetryAfter(1)];
    const { respond } = taking(() => {
      throw error.shift();
    });
    const statuses = [await respond(requestOf(byOthers)), await respond(requestOf(byOthers))];
    expect(statuses.map(({ status }) => status)).toEqual([500, 503]);
  });

  it('is no event, also where its data was changed on the way', async () => {
    const got: string[] = [];
    const { respond } = taking(({ reason }) => got.push(reason));
    const { headers, body } = pushed('a.b', {});
    await respond(requestOf({ headers, body: Buffer.concat([body, Buffer.from(' ')]) }));
    expect(got).toEqual(['ce-id is not the SHA-256 of the body']);
  });
});

describe('a line of the log', () => {
  const traceparent = (digit: string) => `00-${digit.repeat(32)}-0000000000000001-01`;
  const traceOf = async (extensions: Readonly<Record<string, string>>) => {
    const { lines, respond } = serving(() => {});
    await respond(requestOf(pushed('a.b', {}, extensions)));
    return lines[0]?.trace?.['logging.googleapis.com/trace'];
  };

  it('names the span that the handler noted as its own, also where it fails', async () => {
    const { lines, log } = linesOf();
    const own = subscriber((_, { note }) => note({ traceparent: traceparent('d') })).on('pdf.failed', (_, { note }) => {
      note({ traceparent: traceparent('e') });
      throw new RetryAfter(1);
    });
    const respond = responder(own, { log });
    for (const topic of ['pdf.processed', 'pdf.failed'])
      await respond(requestOf(pushed(topic, {}, { 'ce-traceparent': traceparent('a') })));
    expect(lines.map(({ trace }) => trace?.['logging.googleapis.com/trace'])).toEqual(
      ['d', 'e'].map((digit) => `projects/acme-prod/traces/${digit.repeat(32)}`),
    );
    expect(lines[0]).not.toHaveProperty('traceparent');
  });

  it('names the trace of its event, else that of the request', async () => {
    expect(await traceOf({})).toBeUndefined();
    const ofRequest = { traceparent: traceparent('b') };
    expect(await traceOf(ofRequest)).toBe(`projects/acme-prod/traces/${'b'.repeat(32)}`);
    expect(await traceOf({ ...ofRequest, 'ce-traceparent': traceparent('a') })).toBe(
      `projects/acme-prod/traces/${'a'.repeat(32)}`,
    );
    expect(await traceOf({ 'x-cloud-trace-context': `${'c'.repeat(32)}/1` })).toBe(
      `projects/acme-prod/traces/${'c'.repeat(32)}`,
    );
  });

  it('names none where nobody says in which project', async () => {
    const extensions = { traceparent: traceparent('b'), 'x-goog-pubsub-subscription-name': 'by-hand' };
    expect(await traceOf(extensions)).toBeUndefined();
  });
});

describe('an identity token', () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const NOW = Date.parse('2026-09-01T10:00:00Z');
  const GOOD = {
    iss: 'https://accounts.google.com',
    aud: 'https://underwriting.example/',
    email: 'sub-underwriting@acme-prod.iam.gserviceaccount.com',
    email_verified: true,
    iat: NOW / 1000,
    exp: NOW / 1000 + 3600,
  };
  const base64url = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const token = (claims: object, header: object = { alg: 'RS256', kid: 'one' }, key = privateKey) => {
    const signed = `${base64url(header)}.${base64url(claims)}`;
    return `Bearer ${signed}.${sign('sha256', Buffer.from(signed), key).toString('base64url')}`;
  };

  /** A service that strangers can reach, and how often it asked Google for its keys. */
  const guarded = (answer: () => Response | Promise<Response> = () => keys('one')) => {
    let now = NOW;
    let asked = 0;
    const handled: string[] = [];
    const fetch = async () => {
      asked++;
      return answer();
    };
    const oidc = { audience: GOOD.aud, account: GOOD.email, fetch, now: () => now };
    const serve = serving(({ id }) => handled.push(id), { oidc });
    const send = async (authorization?: string) => {
      const sent = pushed('a.b', {}, authorization === undefined ? {} : { authorization });
      return (await serve.respond(requestOf(sent))).status;
    };
    return { ...serve, send, handled, asked: () => asked, pass: (milliseconds: number) => (now += milliseconds) };
  };
  const keys = (...ids: string[]) =>
    Response.json(
      {
        keys: [
          { kty: 'EC', kid: 'other' },
          ...ids.map((kid) => ({ ...publicKey.export({ format: 'jwk' }), kid, alg: 'RS256' })),
        ],
      },
      { headers: { 'Cache-Control': 'public, max-age=20000, must-revalidate' } },
    );

  it('of Pub/Sub lets its push in; the keys are asked for once', async () => {
    const { send, asked, handled } = guarded();
    expect(await send(token(GOOD))).toBe(204);
    expect(await send(token(GOOD))).toBe(204);
    expect(asked()).toBe(1);
    expect(handled).toHaveLength(2);
  });

  it.each([
    ['none', undefined],
    ['of another kind', 'Basic dXNlcjpwYXNz'],
    ['not signed', `Bearer ${base64url({ alg: 'none', kid: 'one' })}.${base64url(GOOD)}.x`],
    ['signed with a secret that anybody has', token(GOOD, { alg: 'HS256', kid: 'one' })],
    ['signed by another key under the same name', token(GOOD, { alg: 'RS256', kid: 'one' }, stranger.privateKey)],
    ['signed by a key that Google does not have', token(GOOD, { alg: 'RS256', kid: 'two' })],
    ['without the name of a key', token(GOOD, { alg: 'RS256' })],
    ['with a signature that is not base64', token(GOOD).replace(/[^.]+$/, 'abcde')],
    ['for another audience', token({ ...GOOD, aud: 'https://another.example/' })],
    ['for several audiences', token({ ...GOOD, aud: [GOOD.aud] })],
    ['of another account', token({ ...GOOD, email: 'sub-ledger@acme-prod.iam.gserviceaccount.com' })],
    ['of an address that nobody verified', token({ ...GOOD, email_verified: false })],
    ['of another issuer', token({ ...GOOD, iss: 'https://accounts.example' })],
    ['out of date', token({ ...GOOD, exp: NOW / 1000 - 60 })],
    ['without an end', token({ ...GOOD, exp: undefined })],
    ['of the future', token({ ...GOOD, iat: NOW / 1000 + 61 })],
    ['of no claims', token([])],
    ['with claims that were changed', token(GOOD).replace(/\.[^.]+\./, `.${base64url({ ...GOOD, admin: true })}.`)],
  ])('%s is answered 401, and no handler runs', async (_, authorization) => {
    const { send, handled, lines } = guarded();
    expect(await send(authorization)).toBe(401);
    expect(handled).toEqual([]);
    expect(lines).toMatchObject([{ severity: 'WARNING', outcome: 'refused', http_status: 401 }]);
  });

  it('may be 59 s out of date, as clocks differ', async () => {
    expect(await guarded().send(token({ ...GOOD, exp: NOW / 1000 - 59 }))).toBe(204);
  });

  it.each([
    ['cannot be reached', () => Promise.reject(new Error('no route'))],
    ['answers 500', () => new Response('', { status: 500 })],
    ['answers something else', () => Response.json({})],
  ])('cannot be checked where Google %s: 503, and no handler runs', async (_, answer) => {
    const { send, handled } = guarded(answer);
    expect(await send(token(GOOD))).toBe(503);
    expect(handled).toEqual([]);
  });

  it('by a new key is found out within a minute; strangers cannot make us ask more often', async () => {
    let current = ['one'];
    const { send, asked, pass } = guarded(() => keys(...current));
    expect(await send(token(GOOD))).toBe(204);
    current = ['one', 'two'];
    const renewed = token(GOOD, { alg: 'RS256', kid: 'two' });
    pass(59_999);
    expect(await send(renewed)).toBe(401);
    expect(asked()).toBe(1);
    pass(1);
    expect(await send(renewed)).toBe(204);
    expect(await send(token(GOOD, { alg: 'RS256', kid: 'three' }))).toBe(401);
    expect(asked()).toBe(2);
  });

  it('by a key that Google has taken back is refused once the keys are out of date', async () => {
    let current = ['one'];
    const { send, pass } = guarded(() => keys(...current));
    const lasting = token({ ...GOOD, exp: NOW / 1000 + 86_400 });
    expect(await send(lasting)).toBe(204);
    current = ['two'];
    pass(19_999_999);
    expect(await send(lasting)).toBe(204);
    pass(1);
    expect(await send(lasting)).toBe(401);
  });

  it('is not checked by half', () => {
    expect(() => serving(() => {}, { oidc: { audience: 'a', account: '' } })).toThrow(TypeError);
  });
});
