import { expect, test } from 'vitest';
import { parseWebhook } from '../../functions/heron/webhook.ts';

test.each([
  ['opened', '['],
  ['objects opened', '{"a":'],
  ['opened in data', '[', '{"topic":"end_user.processed","data":{"heron_id":"eus_a","x":'],
  ['opened in end_user', '{', '{"topic":"end_user.processed","data":{"heron_id":"eus_a","end_user":{"x":'],
  ['quotes', '"'],
  ['escaped quotes in a text', '\\"', '{"a":"'],
  ['backslashes in a text', '\\', '{"a":"'],
  ['names without values', '"a" ', '{'],
  ['empty members', '"":0,', '{'],
  ['commas', ',', '{'],
  ['digits', '1', '{"data":{"end_user_id":'],
  ['spaces', ' ', '{"data":'],
  ['bytes that are no UTF-8', '\xff', '{"data":{"end_user_id":"'],
])(
  'ten megabytes of %s are read in one pass, without recursion',
  (_, unit, before = '') => {
    const body = Buffer.alloc(10_000_000, unit, 'latin1');
    body.write(before);
    // What is quadratic would not end.
    expect(parseWebhook(body)).toMatchObject({ created: null, status: null, meta: null });
  },
  60_000,
);
