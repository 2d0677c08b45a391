import type { Publisher } from '../bus/bus.ts';

/** A publisher that is made for its first message: Pub/Sub's client costs a cold start, and dead letters are rare. */
export function lazyPublisher(make: () => Promise<Publisher>): Publisher {
  let made: Promise<Publisher> | null = null;
  return {
    async publish(topic, message, timeoutMs) {
      const begun = performance.now();
      made ??= make();
      const publisher = await made.catch((error: unknown) => {
        made = null;
        throw error;
      });
      return publisher.publish(topic, message, Math.max(0, timeoutMs - (performance.now() - begun)));
    },
    async close() {
      const publisher = await made?.catch(() => null); // one that was never made needs no closing
      await publisher?.close();
    },
  };
}
