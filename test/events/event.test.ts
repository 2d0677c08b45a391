import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  concernsEndUser,
  eventId,
  eventOf,
  isEventId,
  microsecondsAhead,
  Unprocessable,
} from '../../functions/events/event.ts';
import { type Instant, instantOf } from '../../functions/heron/instant.ts';

const bytes = (json: unknown): Uint8Array => Buffer.from(typeof json === 'string' ? json : JSON.stringify(json));
const AT = instantOf(1_786_710_278_137);

// Source: https://csrc.nist.gov/projects/cryptographic-standards-and-guidelines/example-values, SHA-256.
test.each([
  ['', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
  ['abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
])('the id of "%s" is the SHA-256 of its bytes in lower-case hex', (body, id) => {
  expect(eventId(bytes(body))).toBe(id);
  expect(eventOf(bytes(body), AT).event_id).toBe(id);
});

test('the same bytes are the same event, whenever they come; other bytes are another', () => {
  expect(eventOf(bytes({ a: 1 }), AT).event_id).toBe(eventOf(bytes({ a: 1 }), instantOf(0)).event_id);
  expect(eventOf(bytes('{"a":1}'), AT).event_id).not.toBe(eventOf(bytes('{"a": 1}'), AT).event_id);
});

test('every id has the form of one', () => {
  fc.assert(fc.property(fc.uint8Array(), (body) => isEventId(eventId(body))));
});

test.each([
  ['is empty', ''],
  ['is too short', 'a'.repeat(63)],
  ['is too long', 'a'.repeat(65)],
  ['has something before', `/${'a'.repeat(64)}`],
  ['has something behind', `${'a'.repeat(64)}/x`],
  ['has a line feed behind', `${'a'.repeat(64)}\n`],
  ['is in capitals', 'A'.repeat(64)],
  ['has letters beyond hex', 'g'.repeat(64)],
])('what %s is no id', (_, text) => {
  expect(isEventId(text)).toBe(false);
});

test.each([
  ['behind', '2026-08-14T12:24:38.136999Z', -1],
  ['at', '2026-08-14T12:24:38.137000Z', 0],
  ['ahead of', '2026-08-15T12:24:38.137001Z', 86_400_000_001],
])('a time %s the arrival of its event is so many microseconds ahead of it: %s', (_, created, ahead) => {
  expect(microsecondsAhead({ created: created as Instant, received_at: AT })).toBe(ahead);
});

test('an event without a time is not ahead of its arrival', () => {
  expect(microsecondsAhead({ created: null, received_at: AT })).toBe(0);
});

test('an event is what its body says, its body, and when it came', () => {
  const body = bytes({
    topic: 'pdf.failed',
    created: '2026-08-14T12:24:38.137886',
    data: { heron_id: 'pdf_1', end_user_heron_id: 'eus_a', end_user_id: 'acme' },
    meta: { owner: 'Zoë' },
  });
  expect(eventOf(body, AT)).toEqual({
    topic: 'pdf.failed',
    created: '2026-08-14T12:24:38.137886Z',
    heron_id: 'eus_a',
    end_user_id: 'acme',
    status: null,
    meta: '{"owner":"Zoë"}',
    json: true,
    undocumented: null,
    event_id: eventId(body),
    received_at: '2026-08-14T12:24:38.137000Z',
    body,
  });
});

test('any bytes are an event, and keep to the byte', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (body) => {
      expect(eventOf(body, AT).body).toEqual(body);
    }),
  );
});

test.each([
  [true, { created: '2026-08-14T12:24:38', data: { heron_id: 'eus_a' } }],
  [true, { topic: 'a.b', created: '2026-08-14T12:24:38', data: { end_user: { heron_id: 'eus_a' } } }],
  [false, { created: '2026-08-14T12:24:38', data: {} }],
  [false, { created: '2026-08-14T12:24:38', data: { end_user_id: 'acme' } }],
  [false, { created: 'yesterday', data: { heron_id: 'eus_a' } }],
  [false, { data: { heron_id: 'eus_a' } }],
  [false, 'not JSON'],
])('whether it concerns an end user is %s where it names one and has a time: %j', (expected, json) => {
  expect(concernsEndUser(eventOf(bytes(json), AT))).toBe(expected);
});

test('what can never be processed says why, and what caused it', () => {
  const cause = new RangeError('inner');
  const error = new Unprocessable('the reason', { cause });
  expect(error).toMatchObject({ name: 'Unprocessable', message: 'the reason', cause });
});
