import { PubSub } from '@google-cloud/pubsub';
import type { BusConfig } from '../config.ts';
import { CODE, codeOf } from '../grpc.ts';
import { DELIVERY, type PushPlan, type SubscriptionPlan, type Topology } from './topology.ts';

/** How subscriptions deliver. What it does not say there is no policy for. */
type Delivery = Partial<typeof DELIVERY> & Pick<typeof DELIVERY, 'ack_deadline_seconds'>;

/**
 * How the emulator delivers under npm start: what is refused comes again each second, until it is taken. With a retry
 * policy the emulator (0.8.20) soon brings nothing again (see DECISIONS.md), and without one a hundred attempts are over
 * in two minutes, in which a service is not mended.
 */
export const UNTIRING: Delivery = { ack_deadline_seconds: DELIVERY.ack_deadline_seconds };

/**
 * Makes a topology's topics and subscriptions, for the emulator: in production Terraform does. Those that exist are
 * kept, and deliver as the topology says now; one whose topic was deleted is made anew, as it would get nothing more, and
 * so is one with another filter, as none can be changed.
 */
export async function provision(
  { projectId, topicPrefix }: BusConfig,
  { topics, subscriptions }: Topology,
  delivery: Delivery = DELIVERY,
): Promise<void> {
  const { max_delivery_attempts: attempts, minimum_backoff_seconds: least, maximum_backoff_seconds: most } = delivery;
  const pubsub = new PubSub({ projectId });
  const subscribe = async ({ name, topic, push, filter = '' }: SubscriptionPlan) => {
    const options = {
      ackDeadlineSeconds: delivery.ack_deadline_seconds,
      ...(push && {
        pushConfig: pushConfigOf(push),
        // null, and not left out: one that is there is taken away.
        deadLetterPolicy: attempts
          ? {
              deadLetterTopic: pubsub.topic(`${topicPrefix}${push.deadLetterTopic}`).name,
              maxDeliveryAttempts: attempts,
            }
          : null,
        retryPolicy: least ? { minimumBackoff: { seconds: least }, maximumBackoff: { seconds: most ?? least } } : null,
      }),
    };
    const source = pubsub.topic(`${topicPrefix}${topic}`);
    const subscription = pubsub.subscription(`${topicPrefix}${name}`);
    const make = () =>
      source.createSubscription(`${topicPrefix}${name}`, { ...options, expirationPolicy: { ttl: null }, filter });
    if (await unlessExists(make())) return;
    const [known] = await subscription.getMetadata();
    if (known.topic === source.name && (known.filter ?? '') === filter) await subscription.setMetadata(options);
    else {
      await subscription.delete();
      await make();
    }
  };
  try {
    await Promise.all(topics.map((topic) => unlessExists(pubsub.createTopic(`${topicPrefix}${topic}`))));
    await Promise.all(subscriptions.map(subscribe));
  } finally {
    await pubsub.close();
  }
}

function pushConfigOf({ endpoint, unwrapped }: PushPlan) {
  return { pushEndpoint: endpoint, ...(unwrapped && { noWrapper: { writeMetadata: true } }) };
}

/** Whether it was made just now. */
async function unlessExists(making: Promise<unknown>): Promise<boolean> {
  try {
    await making;
    return true;
  } catch (error) {
    if (codeOf(error) !== CODE.ALREADY_EXISTS) throw error;
    return false;
  }
}
