import { PubSub } from '@google-cloud/pubsub';
import type { BusConfig } from '../config.ts';
import { CODE, codeOf } from '../grpc.ts';
import { DELIVERY, type PushPlan, type SubscriptionPlan, type Topology } from './topology.ts';

/**
 * Makes a topology's topics and subscriptions, for the emulator: in production Terraform does. Those that exist are
 * kept, and deliver as the topology says now; one whose topic was deleted is made anew, as it would get nothing more, and
 * so is one with another filter, as none can be changed.
 */
export async function provision(
  { projectId, topicPrefix }: BusConfig,
  { topics, subscriptions }: Topology,
  delivery: typeof DELIVERY = DELIVERY,
): Promise<void> {
  const pubsub = new PubSub({ projectId });
  const subscribe = async ({ name, topic, push, filter = '' }: SubscriptionPlan) => {
    const options = {
      ackDeadlineSeconds: delivery.ack_deadline_seconds,
      ...(push && {
        pushConfig: pushConfigOf(push),
        deadLetterPolicy: {
          deadLetterTopic: `projects/${projectId}/topics/${topicPrefix}${push.deadLetterTopic}`,
          maxDeliveryAttempts: delivery.max_delivery_attempts,
        },
        retryPolicy: {
          minimumBackoff: { seconds: delivery.minimum_backoff_seconds },
          maximumBackoff: { seconds: delivery.maximum_backoff_seconds },
        },
      }),
    };
    const source = pubsub.topic(`${topicPrefix}${topic}`);
    const subscription = pubsub.subscription(`${topicPrefix}${name}`);
    const make = () =>
      source.createSubscription(`${topicPrefix}${name}`, { ...options, expirationPolicy: { ttl: null }, filter });
    if (await unlessExists(make())) return;
    const [known] = await subscription.getMetadata();
    const isOfTopic = known.topic === `projects/${projectId}/topics/${topicPrefix}${topic}`;
    if (isOfTopic && (known.filter ?? '') === filter) await subscription.setMetadata(options);
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
