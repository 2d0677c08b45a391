import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { eventId, eventOf, type HeronEvent, Unprocessable } from '../../functions/events/event.ts';
import { fromMessage, toMessage } from '../../functions/events/message.ts';
import { instantOf, parseInstant } from '../../functions/heron/instant.ts';
import vectors from '../heron/vectors.json' with { type: 'json' };

const AT = instantOf(1_786_710_278_137);
const bytes = (json: unknown): Uint8Array => Buffer.from(typeof json === 'string' ? json : JSON.stringify(json));
const event = (json: unknown): HeronEvent => eventOf(bytes(json), AT);

describe('the attributes', () => {
  const ENVELOPE = {
    'ce-specversion': '1.0',
    'ce-source': 'https://app.herondata.io',
    'Content-Type': 'application/json',
    'ce-recordedtime': '2026-08-14T12:24:38.137000Z',
  };
  const FULL = {
    topic: 'end_user.processed',
    created: '2021-05-20T09:23:53+00:00',
    data: { heron_id: 'eus_Eqio3Y4dhyNiMphrXwG58p', end_user_id: 'myenduser', status: 'processed' },
    meta: { owner: 'Zoë' },
  };

  test('are all there where the body says it all', () => {
    expect(toMessage(event(FULL))).toEqual({
      data: bytes(FULL),
      attributes: {
        ...ENVELOPE,
        'ce-id': eventId(bytes(FULL)),
        'ce-type': 'end_user.processed',
        'ce-time': '2021-05-20T09:23:53Z',
        'ce-subject': 'eus_Eqio3Y4dhyNiMphrXwG58p',
        'ce-enduserid': 'myenduser',
        'ce-status': 'processed',
      },
    });
  });

  test('say which trace and which replay it belongs to, where there is one', () => {
    const traceparent = '00-105445aa7843bc8bf206b12000100000-0000000000000001-01';
    expect(toMessage(event('{}'), { traceparent, replayid: 'r1' }).attributes).toEqual({
      ...ENVELOPE,
      'ce-id': eventId(bytes('{}')),
      'ce-traceparent': traceparent,
      'ce-replayid': 'r1',
    });
    expect(toMessage(event('{}'), { traceparent: 'é' }).attributes).not.toHaveProperty('ce-traceparent');
  });

  test.each(['[]', '{}', '{"topic":null,"created":0,"data":{"heron_id":"pdf_1"}}'])(
    'that the body does not say are left out: %s',
    (body) => {
      expect(toMessage(event(body)).attributes).toEqual({ ...ENVELOPE, 'ce-id': eventId(bytes(body)) });
    },
  );

  test.each(['', 'not JSON', '{"score":NaN}'])('do not call JSON what is not: %s', (body) => {
    expect(toMessage(event(body)).attributes).toMatchObject({ 'Content-Type': 'application/octet-stream' });
  });

  test('keep the microseconds of created, in UTC', () => {
    const { attributes } = toMessage(event({ created: '2026-08-14T01:30:00.137886+02:00' }));
    expect(attributes['ce-time']).toBe('2026-08-13T23:30:00.137886Z');
  });

  const textOf = (text: string) => {
    const { attributes } = toMessage(event({ topic: text, data: { end_user_id: text, status: text } }));
    return [attributes['ce-type'], attributes['ce-enduserid'], attributes['ce-status']];
  };

  test.each([
    ['1,024 bytes', 'a'.repeat(1024)],
    ['inner spaces and signs', 'acme ltd/1 #2 (=+?&;,\'"\\~!'],
  ])('may have %s', (_, text) => {
    expect(textOf(text)).toEqual([text, text, text]);
  });

  test.each([
    ['over 1,024 bytes', 'a'.repeat(1025)],
    ['with half a surrogate pair', 'a\ud83d'],
    ['that are empty', ''],
    ['with a letter beyond ASCII', 'café'],
    ['with a line feed', 'a\nX-Injected: 1'],
    ['that end with a line feed', 'a\n'],
    ['with a tab', 'a\tb'],
    ['with DEL', 'a\u007f'],
    ['with NUL', 'a\u0000'],
    ['with a percent sign, which readers decode', '100%25'],
    ['with a leading space, which readers trim', ' a'],
    ['with a trailing space', 'a '],
    ['of a space', ' '],
  ])('%s are left out', (_, text) => {
    expect(textOf(text)).toEqual([undefined, undefined, undefined]);
  });

  const anything = fc.oneof(
    fc
      .tuple(fc.constantFrom('a', ' ', '%', 'é', '東', '😀'), fc.nat(1100))
      .map(([letter, count]) => letter.repeat(count)),
    fc
      .array(fc.constantFrom('\ud83d', '\ude00', 'a', '東', ' ', '%', '\n'), { maxLength: 5 })
      .map((units) => units.join('')),
    fc.string({ unit: 'grapheme-ascii' }),
    fc.string({ unit: 'binary' }),
    fc.jsonValue(),
  );
  const data = fc.record(
    { heron_id: fc.oneof(anything, fc.constant('eus_a')), end_user_id: anything, status: anything },
    { requiredKeys: [] },
  );
  const body = fc.oneof(
    fc.record({ topic: anything, created: anything, data }).map(bytes),
    fc.uint8Array().map((raw): Uint8Array => raw),
  );

  test('are what Pub/Sub takes, whatever the body says', () => {
    fc.assert(
      fc.property(body, (body) => {
        for (const value of Object.values(toMessage(eventOf(body, AT)).attributes)) {
          expect(value.isWellFormed()).toBe(true);
          expect(Buffer.byteLength(value)).toBeGreaterThan(0);
          expect(Buffer.byteLength(value)).toBeLessThanOrEqual(1024);
        }
      }),
      { numRuns: 500 },
    );
  });

  test('arrive as HTTP headers just as they were sent, and mean the same to who decodes them', async () => {
    const server = createServer((request, response) => response.end(JSON.stringify(request.headers)));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    try {
      await fc.assert(
        fc.asyncProperty(body, async (body) => {
          const { attributes } = toMessage(eventOf(body, AT));
          const response = await fetch(url, { method: 'POST', headers: attributes });
          const arrived = (await response.json()) as Record<string, string>;
          for (const [name, value] of Object.entries(attributes)) {
            expect(arrived[name.toLowerCase()]).toBe(value);
            expect(decodeURIComponent(value)).toBe(value);
          }
        }),
      );
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });
});

describe('an event is the same after its way through Pub/Sub', () => {
  test.each(vectors.accept)('$name', ({ body_base64 }) => {
    const sent = eventOf(Buffer.from(body_base64, 'base64'), AT);
    expect(fromMessage(toMessage(sent), null)).toEqual(sent);
  });

  test('any bytes, and any moment', () => {
    const moment = fc.integer({ min: -62_135_596_800_000, max: 253_402_300_799_999 }).map(instantOf);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), moment, (body, at) => {
        const sent = eventOf(body, at);
        const arrived = fromMessage(toMessage(sent), null);
        expect(Buffer.from(body).equals(arrived.body)).toBe(true);
        expect({ ...arrived, body }).toEqual(sent);
      }),
    );
  });

  test('any JSON', () => {
    fc.assert(
      fc.property(fc.json(), (body) => {
        const sent = event(body);
        expect(fromMessage(toMessage(sent), null)).toEqual(sent);
      }),
    );
  });

  test('9.9 MB', () => {
    const sent = eventOf(Buffer.alloc(9_900_000, '\u00ff\u0000{', 'latin1'), AT);
    const arrived = fromMessage(toMessage(sent), null);
    expect(arrived.event_id).toBe(sent.event_id);
    expect(Buffer.from(sent.body).equals(arrived.body)).toBe(true);
  });
});

describe('when an event was received', () => {
  const data = bytes('{}');
  const published = parseInstant('2026-08-14T12:24:39.749Z');

  test('is what ingest says', () => {
    expect(
      fromMessage({ data, attributes: { 'ce-recordedtime': '2026-08-14T12:24:38Z' } }, published).received_at,
    ).toBe('2026-08-14T12:24:38.000000Z');
  });

  test('is when it was published, where somebody else did', () => {
    expect(fromMessage({ data, attributes: {} }, published).received_at).toBe('2026-08-14T12:24:39.749000Z');
  });

  test('cannot be made up', () => {
    expect(() => fromMessage({ data, attributes: {} }, null)).toThrow(
      new Unprocessable('ce-recordedtime and publishTime are missing'),
    );
  });

  test.each(['', 'soon', '2026-02-30T00:00:00Z'])('must be a time where it is stated: "%s"', (received_at) => {
    expect(() => fromMessage({ data, attributes: { 'ce-recordedtime': received_at } }, published)).toThrow(
      new Unprocessable('the attribute ce-recordedtime is not a time'),
    );
  });
});

describe('an attribute that contradicts the body', () => {
  const body = {
    topic: 'end_user.created',
    created: '2021-05-20T09:23:53',
    data: { heron_id: 'eus_a', status: 'new' },
  };

  test.each(['', 'x', eventId(bytes('')), eventId(bytes(body)).toUpperCase()])('ce-id "%s" is Unprocessable', (id) => {
    const { data, attributes } = toMessage(event(body));
    expect(() => fromMessage({ data, attributes: { ...attributes, 'ce-id': id } }, AT)).toThrow(
      new Unprocessable('the attribute ce-id is not the SHA-256 of the data'),
    );
  });

  test('in anything else is not looked at: the log must give the same again', () => {
    const { data, attributes } = toMessage(event(body));
    const altered = {
      ...attributes,
      'ce-type': 'end_user.failed',
      'ce-subject': 'eus_b',
      'ce-status': 'failed',
    };
    expect(fromMessage({ data, attributes: altered }, AT)).toEqual(event(body));
  });
});
