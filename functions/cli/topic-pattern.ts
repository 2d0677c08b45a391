import { HERON_TOPICS } from '../heron/topics.ts';
import { inLine } from './output.ts';

/** Whether a topic is what a pattern says, in which `*` stands for any text. */
export function matches(pattern: string, topic: string): boolean {
  const parts = pattern.split('*').map((part) => part.replaceAll(/[^A-Za-z0-9_-]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`).test(topic);
}

const WIDTH = Math.max(...HERON_TOPICS.map(({ length }) => length));

/** As wide as any of Heron's, so that what follows stands one below the other. */
export function topicColumn(topic: string | null | undefined): string {
  return inLine(topic).padEnd(WIDTH);
}
