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
  ])('names the next by %s', (_, json) => {
    expect(page(json).next).toBe('abc');
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
    expect(page(full.slice(0, 9)).next).toBeNull();
  });

  it.each([
    ['without a list', { hits: [row] }, /none of deliveries.*"hits"/],
    ['with one that has no heron_id', [{ id: 'evt_1' }], /no heron_id.*"id"/],
    ['of another type', 'nothing', /those of a string/],
  ])('%s is told by its keys', (_, json, told) => {
    expect(() => page(json)).toThrow(told);
  });

  it('cut off may be asked for again', () => {
    expect(() => attemptPage('{"deliveries": [', 10, null)).toThrow(BrokenAnswer);
  });

  it.each([
    ['seconds', 1_764_068_400, '2025-11-25T11:00:00.000000Z'],
    ['milliseconds', 1_764_068_400_000, '2025-11-25T11:00:00.000000Z'],
    ['no time', 'soon', null],
  ])('has times in %s', (_, created, instant) => {
    expect(page([{ heron_id: 'evt_1', created }]).attempts[0]?.attempted_at).toBe(instant);
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
    ['left out', { heron_id: 'evt_1', topic: 'a.b' }],
    ['left out in an envelope', { delivery: { heron_id: 'evt_1' } }],
  ])('that is %s is none', (_, json) => {
    expect(payloadOf(JSON.stringify(json))).toBeNull();
  });

  it('somewhere else is told by the keys that are there', () => {
    expect(() => payloadOf('{"body": {"a": 1}}')).toThrow(/"body"/);
    expect(() => payloadOf('{"payload": 17}')).toThrow(/neither an object nor a text/);
  });
});
