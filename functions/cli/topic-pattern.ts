/** Whether a topic is what a pattern says, in which `*` stands for any text. */
export function matches(pattern: string, topic: string): boolean {
  const parts = pattern.split('*').map((part) => part.replaceAll(/[^A-Za-z0-9_-]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`).test(topic);
}
