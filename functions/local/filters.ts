import { randomUUID } from 'node:crypto';
import type { Publisher, Subscriber } from '../bus/bus.ts';
import type { Topology } from '../bus/topology.ts';
import type { LocalSubscriber } from './running.ts';

const TOPIC = 'filter-probe';
const [CONTROL, FILTERED] = ['filter-probe.all', 'filter-probe.others'];

/** One subscription that takes all, and one whose filter takes nothing that is published here. */
export const FILTER_PROBE: Topology = {
  topics: [TOPIC],
  subscriptions: [
    { name: CONTROL, topic: TOPIC },
    { name: FILTERED, topic: TOPIC, filter: 'attributes.probe = "others"' },
  ],
};

const PUBLISH_MS = 10_000;
/** How often a subscription is asked, of which one asking waits for some seconds. */
const PULLS = 10;

/**
 * Whether a Pub/Sub applies filters: the emulator does from some version on, and takes them without a word before.
 * Where {@link FILTER_PROBE} is provisioned, a message that a filter excludes is published. @throws where it is lost.
 */
export async function appliesFilters(publisher: Publisher, subscriber: Subscriber): Promise<boolean> {
  const probe = randomUUID();
  const comes = async (subscription: string): Promise<boolean> => {
    const pulled = await subscriber.pull(subscription, 10);
    await subscriber.acknowledge(
      subscription,
      pulled.map(({ ackId }) => ackId),
    );
    return pulled.some(({ message }) => message.attributes.probe === probe);
  };
  await publisher.publish(TOPIC, { data: Buffer.from('probe'), attributes: { probe } }, PUBLISH_MS);
  for (let i = 0; i < PULLS; i++) {
    // Once it has come where all do, it has come wherever it does.
    if (await comes(CONTROL)) return !(await comes(FILTERED));
  }
  throw new Error('What was published did not come.');
}

/** What to tell of the subscribers' filters, where there are any. @param applies null where that could not be found out. */
export function filterNotes(
  subscribers: readonly LocalSubscriber[],
  pubsub: string,
  applies: boolean | null,
): readonly string[] {
  return subscribers.flatMap(({ name, filter }) => {
    if (filter === undefined) return [];
    if (applies) return [`${name} gets what its filter takes: ${pubsub} applies filters.`];
    const why = applies === null ? `it is not known whether ${pubsub} applies filters` : `${pubsub} applies no filters`;
    return [
      `${name} may get what its filter excludes, as production would not: ${why}. Google Cloud SDK 555 and newer have an emulator that does.`,
    ];
  });
}
