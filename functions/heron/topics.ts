import topics from './topics.json' with { type: 'json' };

/** The topics Heron documents, in its order; Terraform reads the same file. The list grows: others are normal. */
export const HERON_TOPICS: readonly string[] = topics.map(({ topic }) => topic);

/** Those that Heron asks not to be subscribed to any more. */
export const DEPRECATED_TOPICS: readonly string[] = topics.flatMap((each) =>
  'deprecated' in each && each.deprecated ? [each.topic] : [],
);

const known = new Set(HERON_TOPICS);

/** Whether Heron documents the topic, and so a Pub/Sub topic of that name is expected to exist. */
export function isHeronTopic(topic: string): boolean {
  return known.has(topic);
}
