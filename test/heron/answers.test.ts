import { describe, expect, it } from 'vitest';
import { attemptPage, BrokenAnswer, payloadOf, UnexpectedAnswer } from '../../functions/heron/answers.ts';

const row = { heron_id: 'evt_1', topic: 'end_user.processed', created: '2026-11-25T11:00:00', next_retry_at: null };
const full = Array.from({ length: 10 }, (_, n) => ({ ...row, heron_id: `evt_${n}` }));
const page = (json: unknown, limit = 10, sent: string | null = null) => attemptPage(JSON.stringify(json), limit, sent);

describe('a page of deliveries', () => {
  it.each([
    ['bare', [row]],
    ['as deliveries', { deliveries: [row], next_cursor: null }],
    ['as data with meta', { data: [row], meta: { next_cursor: null } }],
    ['as results', { results: [row], has_more: false }],
    ['as items', { items: [row] }],
  ])('%s is read', (_, json) => {
    expect(page(json)).toEqual({
      attempts: [
        {
          heron_id: 'evt_1',
          topic: 'end_user.processed',
          attempted_at: '2026-11-25T11:00:00.000000Z',
          next_retry_at: null,
        },
      ],
      next: null,
    });
  });

  it.each([
    ['next_cursor', { deliveries: full, next_cursor: 'abc' }],
    ['cursor', { deliveries: full, cursor: 'abc' }],
    ['pagination.next_cursor', { deliveries: full, pagination: { next_cursor: 'abc' } }],
    ['the address of the next page', { deliveries: full, links: { next: 'https://x/api?limit=10&cursor=abc' } }],
    ['its address without TLS', { deliveries: full, links: { next: 'http://x/api?cursor=abc' } }],
    ['its path', { deliveries: full, next: '/api?cursor=abc' }],
    ['its parameters', { deliveries: full, next: '?cursor=abc' }],
    ['a cursor, of which it says that more follow', { deliveries: full, next: 'abc', has_more: true, hasMore: true }],
    ['the first of two places that has one', { deliveries: full, meta: { next: 'abc' }, page: { next: 'x' } }],
  ])('names the next by %s', (_, json) => {
    expect(page(json).next).toBe('abc');
  });

  it.each(['x/https://y?cursor=abc', 'a/b', 'a?cursor=abc'])('may have a cursor that is no address: %s', (next) => {
    expect(page({ deliveries: full, next }).next).toBe(next);
  });

  it.each(['https://x/api?limit=10', '/api', '?cursor=', 'https://['])(
    'that names the next by an address without a cursor is not guessed: %s',
    (next) => {
      expect(() => page({ deliveries: full, next })).toThrow(
        new UnexpectedAnswer('The address of the next page of deliveries has no parameter cursor.'),
      );
    },
  );

  it.each([
    ['its cursor is null', { next_cursor: null }],
    ['its cursor is empty', { next_cursor: '' }],
    ['its cursor is null in a place of its own', { pagination: { next: null } }],
    ['no more follow, whatever its cursor', { has_more: false, cursor: 'abc' }],
    ['no more follow in another spelling', { hasMore: false, cursor: 'abc' }],
    ['no more follow in one of its places', { cursor: 'abc', meta: {}, page: { has_more: false } }],
  ])('that is full is the last where %s', (_, says) => {
    expect(page({ deliveries: full, ...says }).next).toBeNull();
  });

  it('of which more follow is not the last, whatever else it does not say', () => {
    expect(() => page({ deliveries: full, has_more: true, next: 7 })).toThrow(/names no next cursor/);
  });

  it('that names itself as the next is the last', () => {
    expect(page({ deliveries: full, cursor: 'abc' }, 10, 'abc').next).toBeNull();
  });

  it('that is full and names no cursor is not guessed to be the last: its keys are told, no value', () => {
    expect(() => page({ deliveries: full, secret_token: 'sesame' })).toThrow(
      /names no next cursor.*"deliveries", "secret_token"/,
    );
    expect(() => page({ deliveries: full, secret_token: 'sesame' })).not.toThrow(/sesame/);
    expect(() => page(full)).toThrow(UnexpectedAnswer);
    expect(() => page(full)).toThrow(/none of next_cursor, nextCursor, .*keys are those of a list/);
    expect(page(full.slice(0, 9)).next).toBeNull();
  });

  it.each([
    ['without a list', { hits: [row] }, /none of deliveries, webhook_deliveries, .*"hits"/],
    ['without anything', {}, /keys are none\.$/],
    ['with one that has no heron_id', [{ id: 'evt_1' }], /no heron_id.*"id"/],
    ['of another type', 'nothing', /keys are none, as it is not an object\.$/],
    ['that is a number', 7, /keys are none, as it is not an object\.$/],
    ['with one whose heron_id is a number', [{ heron_id: 7 }], /no heron_id.*"heron_id"/],
    ['with one that is a text', ['evt_1'], /no heron_id.*as it is not an object/],
    ['with one whose heron_id is a path', [{ heron_id: 'evt_1/x' }], /no heron_id/],
    ['with one whose heron_id begins like a path', [{ heron_id: '../evt_1' }], /no heron_id/],
    ['with one whose heron_id is too long', [{ heron_id: 'e'.repeat(101) }], /no heron_id/],
    ['with many keys', Object.fromEntries([...Array(30).keys()].map((n) => [`k${n}`, 1])), /"k18", "k19"\.$/],
    ['with a long key', { ['k'.repeat(41)]: 1 }, /keys are "k{40}"\.$/],
  ])('%s is told by its keys', (_, json, told) => {
    expect(() => page(json)).toThrow(told);
  });

  it('cut off may be asked for again', () => {
    expect(() => attemptPage('{"deliveries": [', 10, null)).toThrow(BrokenAnswer);
    expect(() => attemptPage('{"deliveries": [', 10, null)).toThrow(
      /^What Heron's API answered for the list of deliveries is not JSON, or was cut off\.$/,
    );
  });

  it.each([
    ['seconds', 1_764_068_400, '2025-11-25T11:00:00.000000Z'],
    ['milliseconds', 1_764_068_400_000, '2025-11-25T11:00:00.000000Z'],
    ['seconds with a fraction', 1_764_068_400.25, '2025-11-25T11:00:00.250000Z'],
    ['the first seconds that are taken for such', 1_000_000_000, '2001-09-09T01:46:40.000000Z'],
    ['the first milliseconds that are', 100_000_000_000, '1973-03-03T09:46:40.000000Z'],
    ['the last milliseconds that are', 99_999_999_999_999, '5138-11-16T09:46:39.999000Z'],
    ['no time', 'soon', null],
    ['a number too small for one', 999_999_999, null],
    ['a number too great for one', 100_000_000_000_000, null],
  ])('has times in %s', (_, created, instant) => {
    expect(page([{ heron_id: 'evt_1', created }]).attempts[0]?.attempted_at).toBe(instant);
  });

  it('takes the first time of an attempt that can be read, and no topic that is no text', () => {
    const odd = { heron_id: 'e'.repeat(100), topic: 7, created: 'soon', sent_at: row.created, timestamp: 0 };
    expect(page([{ ...odd, next_retry_at: '2026-11-25T12:00:00Z' }]).attempts).toEqual([
      {
        heron_id: 'e'.repeat(100),
        topic: null,
        attempted_at: '2026-11-25T11:00:00.000000Z',
        next_retry_at: '2026-11-25T12:00:00.000000Z',
      },
    ]);
  });
});

describe('a payload', () => {
  const payload = { topic: 'a.b', data: { n: 1 } };
  it.each([
    ['an object', { payload }],
    ['JSON text', { payload: JSON.stringify(payload) }],
    ['in an envelope', { delivery: { heron_id: 'evt_1', payload } }],
    ['in data', { data: { payload } }],
  ])('is read as %s', (_, json) => {
    expect(payloadOf(JSON.stringify(json))?.toString()).toBe('{"topic":"a.b","data":{"n":1}}');
  });

  it('keeps numbers as they were written', () => {
    const text = '{"payload": {"n": 12345678901234567890, "x": 1.10, "y": 1e400}}';
    expect(payloadOf(text)?.toString()).toBe('{"n":12345678901234567890,"x":1.10,"y":1e400}');
  });

  it.each([
    ['null', { heron_id: 'evt_1', payload: null }],
    ['empty', { heron_id: 'evt_1', payload: '' }],
    ['null, whatever stands beside it', { payload: null, data: { payload } }],
    ['left out', { heron_id: 'evt_1', topic: 'a.b' }],
    ['left out in an envelope', { delivery: { heron_id: 'evt_1' } }],
  ])('that is %s is none', (_, json) => {
    expect(payloadOf(JSON.stringify(json))).toBeNull();
  });

  it('somewhere else is told by the keys that are there', () => {
    expect(() => payloadOf('{"body": {"a": 1}}')).toThrow(/none of delivery, webhook_delivery, .*keys are "body"\.$/);
    expect(() => payloadOf('{"payload": 17}')).toThrow(/neither an object nor a text/);
    expect(() => payloadOf('{"heron_id": 17}')).toThrow(UnexpectedAnswer);
    expect(() => payloadOf('{"heron_id": "evt_1", "data": {}}')).toThrow(UnexpectedAnswer);
  });

  it.each([
    ['null', 'none, as it is not an object'],
    ['"evt_1"', 'none, as it is not an object'],
    ['[]', 'those of a list'],
  ])('is not guessed from %s', (text, keys) => {
    expect(() => payloadOf(text)).toThrow(`its keys are ${keys}.`);
  });

  it('cut off may be asked for again', () => {
    expect(() => payloadOf('{"payload": ')).toThrow(BrokenAnswer);
    expect(() => payloadOf('{"payload": ')).toThrow(/for a delivery is not JSON/);
    expect(() => payloadOf('{}')).toThrow(expect.objectContaining({ name: 'UnexpectedAnswer' }));
  });
});
