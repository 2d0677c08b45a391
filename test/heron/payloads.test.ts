import { Ajv } from 'ajv';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DOCUMENTED, payloadSchema, undocumentedData } from '../../functions/heron/payloads.ts';
import { HERON_TOPICS } from '../../functions/heron/topics.ts';
import { payloadData } from './payload-data.ts';

const endUser = { heron_id: 'eus_a', end_user_id: 'acme', status: 'new' };

test('only topics that Heron has are documented, and no key that every object has is one', () => {
  expect(Object.keys(DOCUMENTED).filter((topic) => !HERON_TOPICS.includes(topic))).toEqual([]);
  for (const topic of ['pdf.processed', 'toString', '__proto__']) {
    expect(payloadSchema(topic)).toBeNull();
    expect(undocumentedData(topic, 'anything')).toBeNull();
  }
});

test.each<[string, unknown, string | null]>([
  ['end_user.failed', endUser, null],
  ['end_user.failed', { ...endUser, status: 'archived', more: 1 }, null],
  ['end_user.failed', { ...endUser, status: 7 }, 'data.status is not a text'],
  ['end_user.failed', { status: 'new', heron_id: 'eus_a' }, 'data.end_user_id is not a text'],
  ['end_user.failed', {}, 'data.heron_id is not a text'],
  ['end_user.failed', Object.create(endUser), 'data.heron_id is not a text'],
  ['end_user.failed', null, 'data is not an object'],
  ['end_user.failed', [endUser], 'data is not an object'],
  ['transactions.deleted', { transactions: [] }, null],
  ['transactions.deleted', { transactions: [{ heron_id: 'txn_1' }, { heron_id: 'txn_2' }] }, null],
  ['transactions.deleted', {}, 'data.transactions is not a list'],
  ['transactions.deleted', { transactions: [{ heron_id: 'txn_1' }, 'x'] }, 'data.transactions[] is not an object'],
  ['transactions.deleted', { transactions: [{ id: 1 }] }, 'data.transactions[].heron_id is not a text'],
])('of %s the data %j is told: %s', (topic, data, flaw) => {
  expect(undocumentedData(topic, data)).toBe(flaw);
});

const ajv = new Ajv();
test.each(Object.entries(DOCUMENTED))('what is documented of %s is what its JSON Schema says', (topic, schema) => {
  const data = payloadData(fc.constantFrom('x', 'x', 7, null));
  const isValid = ajv.compile(schema);
  fc.assert(fc.property(data, (data) => (undocumentedData(topic, data) === null) === isValid(data)));
});
