import { type Publisher, Refused } from '../../functions/bus/bus.ts';
import type { Message } from '../../functions/events/message.ts';

/** A publisher that remembers, and fails as it is told to. */
export class FakePublisher implements Publisher {
  readonly published: { readonly topic: string; readonly message: Message }[] = [];
  /** Topics that refuse for good, by the code with which they do. */
  readonly refusals = new Map<string, number>();
  /** The time each publish was given. */
  readonly timeouts: number[] = [];
  pending = 0;
  failure: Error | 'hang' | undefined;

  async publish(topic: string, message: Message, timeoutMs: number): Promise<string> {
    this.timeouts.push(timeoutMs);
    const refusal = this.refusals.get(topic);
    if (refusal !== undefined) throw new Refused(topic, refusal, 'refused');
    if (this.failure === 'hang') {
      this.pending += 1;
      await new Promise((resolve) => setTimeout(resolve, timeoutMs));
      this.pending -= 1;
      throw Object.assign(new Error('late'), { code: 4, details: 'Deadline exceeded' });
    }
    if (this.failure !== undefined) throw this.failure;
    this.published.push({ topic, message });
    return String(this.published.length);
  }

  async close(): Promise<void> {}
}
