import { expect, test } from 'vitest';
import { CANARY_ID, CANARY_TOPIC } from '../../functions/heron/canary.ts';
import { HERON_TOPICS } from '../../functions/heron/topics.ts';
import { whyUnrouted } from '../../functions/heron/unrouted.ts';

const why = (topic: string | null, heron_id: string | null = 'eus_a', undocumented: string | null = null) =>
  whyUnrouted({ topic, heron_id, undocumented });

test('every documented topic about an end user has a place', () => {
  for (const topic of HERON_TOPICS) expect(why(topic)).toBeNull();
});

test('one that Heron does not document has none, nor has no topic', () => {
  for (const topic of ['submission.archived', 'unrouted', null])
    expect(why(topic)).toBe('Heron does not document the topic');
});

test('what is about an end user has none where it does not say which; of another resource it need not', () => {
  expect(why('end_user.processed', null)).toBe('it does not say which end user it is about');
  expect(why('pdf.processed', null)).toBeNull();
});

test('what is not of the documented shape has none, and why is told before all else', () => {
  expect(why('end_user.processed', null, 'created is not a time')).toBe('created is not a time');
  expect(why(CANARY_TOPIC, CANARY_ID, 'created is not a time')).toBe('created is not a time');
});

test('doctor’s canary has a place; anybody else’s is a topic that Heron does not document', () => {
  expect(why(CANARY_TOPIC, CANARY_ID)).toBeNull();
  for (const other of ['eus_a', null]) expect(why(CANARY_TOPIC, other)).toBe('Heron does not document the topic');
  expect(why('submission.archived', CANARY_ID)).toBe('Heron does not document the topic');
});
