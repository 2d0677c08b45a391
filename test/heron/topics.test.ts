import { expect, test } from 'vitest';
import { HERON_TOPICS, isHeronTopic } from '../../functions/heron/topics.ts';

test('Heron documents 44 topics, each once', () => {
  expect(HERON_TOPICS).toHaveLength(44);
  expect(new Set(HERON_TOPICS).size).toBe(44);
});

// Source: https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names
test.each(['', 'staging-', 'p'.repeat(150)])(
  'every topic is a valid Pub/Sub topic name behind the prefix "%s"',
  (prefix) => {
    for (const topic of HERON_TOPICS) expect(prefix + topic).toMatch(/^(?!goog)[A-Za-z][A-Za-z0-9\-_.~+%]{2,254}$/);
  },
);

test('every topic is a resource and an event', () => {
  for (const topic of HERON_TOPICS) expect(topic).toMatch(/^[a-z_]+\.[a-z_]+$/);
});

test('a documented topic is known', () => {
  expect(HERON_TOPICS.filter(isHeronTopic)).toEqual(HERON_TOPICS);
});

test.each([
  '',
  'end_user',
  'end_user.Processed',
  'end_user.processed ',
  'submission.archived',
  '__proto__',
  'constructor',
])('the topic "%s" is not known', (topic) => {
  expect(isHeronTopic(topic)).toBe(false);
});
