import { PubSub } from '@google-cloud/pubsub';
import { GooglePublisher } from '../../functions/bus/google.ts';
import { GoogleSubscriber } from '../../functions/bus/google-subscriber.ts';
import { provision } from '../../functions/bus/provision.ts';
import { DELIVERY, deadLetterTopic, topology } from '../../functions/bus/topology.ts';
import type { Message } from '../../functions/events/message.ts';
import { PROJECTOR } from '../../functions/projector/projector.ts';

/** Shorter than any fault, so that what hangs comes again within a run. Pub/Sub takes no less. */
const ACK_DEADLINE_S = 10;
/** For so long after an ack deadline nobody can still hold a message. */
const HELD_MS = 12_000;
const PUBLISH_MS = 6_000;

/** What the run itself does with Pub/Sub, past the proxies. */
export class Bus {
  readonly #projectId: string;
  readonly #publisher: GooglePublisher;
  readonly #subscriber: GoogleSubscriber;
  #pushed: readonly string[] = [];
  #audits: readonly string[] = [];

  constructor(projectId: string) {
    this.#projectId = projectId;
    this.#publisher = new GooglePublisher({ projectId, topicPrefix: '' });
    this.#subscriber = new GoogleSubscriber({ projectId, topicPrefix: '' });
  }

  /** The projector's subscriptions, and an audit's beside each, which tells afterwards all that was published. */
  async provision(pushEndpoint: string): Promise<void> {
    const { topics, subscriptions } = topology(PROJECTOR, pushEndpoint);
    const pushed = subscriptions.filter(({ push }) => push !== undefined);
    const audits = pushed.map(({ topic }) => ({ name: `audit.${topic}`, topic }));
    const config = { projectId: this.#projectId, topicPrefix: '' };
    // Without a retry policy, which the emulator (0.8.20) cannot keep (see functions/DECISIONS.md).
    const { max_delivery_attempts } = DELIVERY;
    const delivery = { ack_deadline_seconds: ACK_DEADLINE_S, max_delivery_attempts };
    await provision(config, { topics, subscriptions: [...subscriptions, ...audits] }, delivery);
    this.#pushed = pushed.map(({ name }) => name);
    this.#audits = audits.map(({ name }) => name);
  }

  /** Publishes until Pub/Sub has it; it may then have it more than once. */
  async publish(topic: string, message: Message): Promise<void> {
    for (;;) {
      try {
        await this.#publisher.publish(topic, message, PUBLISH_MS);
        return;
      } catch {
        // paused: it will go on
      }
    }
  }

  /** All that was published since this was last asked. */
  published(): Promise<readonly Message[]> {
    return this.#pullAll(this.#audits, 0);
  }

  /** All that has been dead-lettered since this was last asked. */
  deadLetters(): Promise<readonly Message[]> {
    return this.#pullAll([deadLetterTopic(PROJECTOR)], 0);
  }

  /** Ends the pushes, and takes what the projector had not yet acknowledged. */
  async leftOver(): Promise<readonly Message[]> {
    const pubsub = new PubSub({ projectId: this.#projectId });
    await Promise.all(this.#pushed.map((name) => pubsub.subscription(name).modifyPushConfig({})));
    await pubsub.close();
    return this.#pullAll(this.#pushed, HELD_MS);
  }

  async close(): Promise<void> {
    await Promise.all([this.#publisher.close(), this.#subscriber.close()]);
  }

  async #pullAll(subscriptions: readonly string[], patience: number): Promise<readonly Message[]> {
    const messages: Message[] = [];
    const pullFrom = async (subscription: string) => {
      const patient = performance.now() + patience;
      for (let more = true; more || performance.now() < patient; ) {
        const pulled = await this.#subscriber.pull(subscription, 50);
        const ackIds = pulled.map(({ ackId }) => ackId);
        await this.#subscriber.acknowledge(subscription, ackIds);
        messages.push(...pulled.map(({ message }) => message));
        more = pulled.length > 0;
      }
    };
    await Promise.all(subscriptions.map(pullFrom));
    return messages;
  }
}
