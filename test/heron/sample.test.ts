import { describe, expect, test } from 'vitest';
import { undocumentedData } from '../../functions/heron/payloads.ts';
import { sampleWebhook } from '../../functions/heron/sample.ts';
import { HERON_TOPICS } from '../../functions/heron/topics.ts';
import { parseWebhook } from '../../functions/heron/webhook.ts';

const AT = Date.UTC(2026, 2, 1, 10);
const read = (webhook: object) => parseWebhook(Buffer.from(JSON.stringify(webhook)));
const dataOf = (topic: string, endUser = 'acme') => sampleWebhook(topic, endUser, AT).data as Record<string, unknown>;

test('as many samples as are wanted differ, and the later one is later', () => {
  const bodies = Array.from({ length: 3_500 }, (_, n) => JSON.stringify(sampleWebhook('pdf.processed', 'acme', AT, n)));
  expect(new Set(bodies).size).toBe(3_500);
  const times = bodies.map((body) => parseWebhook(Buffer.from(body)).created);
  expect(times).toEqual(times.toSorted());
  expect(times.at(-1)).toBe('2026-03-01T10:00:00.003499Z');
});

describe('a sample', () => {
  test.each(HERON_TOPICS)('of %s is what Heron documents, and about its end user', (topic) => {
    expect(undocumentedData(topic, dataOf(topic))).toBeNull();
    expect(read(sampleWebhook(topic, 'acme', AT))).toMatchObject({
      topic,
      created: '2026-03-01T10:00:00.000000Z',
      heron_id: dataOf('end_user.created').heron_id,
      end_user_id: 'acme',
      meta: null,
      undocumented: null,
    });
  });

  test('is about an end user of its own for each of the customer’s ids, always the same', () => {
    expect(dataOf('end_user.created').heron_id).toBe('eus_giszrYfBSKCiClunzV68qm');
    expect(dataOf('end_user.created', 'acme-5').heron_id).toBe('eus_z4C2BzARij0TTwo8SSr5nG');
  });

  test('is about the end user of a heron_id, and makes up the customer’s id', () => {
    expect(read(sampleWebhook('pdf.processed', 'eus_Eqio3Y4dhyNiMphrXwG58p', AT))).toMatchObject({
      heron_id: 'eus_Eqio3Y4dhyNiMphrXwG58p',
      end_user_id: 'customer-Eqio3Y4d',
    });
  });

  test('of another resource has an id of that, and of deleted transactions theirs', () => {
    expect(dataOf('pdf.processed').heron_id).toMatch(/^pdf_[A-Za-z0-9]{22}$/);
    expect(dataOf('submission.created').heron_id).toMatch(/^sub_[A-Za-z0-9]{22}$/);
    expect(dataOf('pdf.processed', 'acme-2').heron_id).not.toBe(dataOf('pdf.processed').heron_id);
    expect(dataOf('transactions.deleted').transactions).toEqual([
      { heron_id: expect.stringMatching(/^txn_[A-Za-z0-9]{22}$/) },
    ]);
    expect(dataOf('transactions.updated')).not.toHaveProperty('transactions');
  });

  test.each([
    ['end_user.created', 'new'],
    ['end_user.failed', 'failed'],
    ['end_user.reviewed', 'reviewed'],
    ['end_user.review_required', 'review_requested'],
    ['end_user.files_changed', 'processed'],
    ['pdf.processed', undefined],
  ])('of %s says the status %s', (topic, status) => {
    expect(dataOf(topic).status).toBe(status);
  });
});
