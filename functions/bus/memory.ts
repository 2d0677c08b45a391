import { clock } from '../clock.ts';
import type { Message } from '../events/message.ts';
import { CODE } from '../grpc.ts';
import type { Instant } from '../heron/instant.ts';
import { fitsPubSub, type Publisher, type Pulled, Refused, type Subscriber } from './bus.ts';
import { isAcknowledged, pushUnwrapped, pushWrapped } from './push.ts';
import { DELIVERY, type PushPlan, type SubscriptionPlan, type Topology } from './topology.ts';

export type MemoryBusOptions = {
  /** Sends a push request to an endpoint and tells the HTTP status of the answer; a rejection is a refusal. */
  readonly push?: (endpoint: string, body: string, signal: AbortSignal) => Promise<number>;
  readonly delivery?: typeof DELIVERY;
  /** How many of the messages that were acknowledged are delivered once more, 0 to 1. */
  readonly duplicates?: number;
  /** From 0 to 1, as Math.random. */
  readonly random?: () => number;
};

type Entry = { readonly messageId: string; readonly publishTime: Instant; readonly message: Message; attempts: number };

type Subscription = {
  readonly plan: SubscriptionPlan;
  /** To be delivered as soon as may be. */
  readonly waiting: Entry[];
  /** Handed out, by ack id, each with what gives it back. */
  readonly pulled: Map<string, { readonly entry: Entry; readonly timer: NodeJS.Timeout }>;
  pushing: number;
  /** Refused, and to be delivered again later. */
  readonly backingOff: Set<NodeJS.Timeout>;
};

const MAX_PUSHING = 100;

/**
 * The in-memory twin of Pub/Sub, for tests and for machines without the emulator: delivers at least once and in no
 * order, backs off after a refusal, and dead-letters after the last attempt. All of it is gone with the process.
 */
export class MemoryBus implements Publisher, Subscriber {
  readonly #push: NonNullable<MemoryBusOptions['push']>;
  readonly #delivery: typeof DELIVERY;
  readonly #duplicates: number;
  readonly #random: () => number;
  readonly #topics = new Map<string, Subscription[]>();
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #closing = new AbortController();
  #ids = 0;

  constructor(options: MemoryBusOptions = {}) {
    this.#push = options.push ?? pushWrapped;
    this.#delivery = options.delivery ?? DELIVERY;
    this.#duplicates = options.duplicates ?? 0.05;
    this.#random = options.random ?? Math.random;
  }

  provision({ topics, subscriptions }: Topology): void {
    for (const topic of topics) if (!this.#topics.has(topic)) this.#topics.set(topic, []);
    for (const plan of subscriptions) {
      const subscription: Subscription = { plan, waiting: [], pulled: new Map(), pushing: 0, backingOff: new Set() };
      const siblings = this.#topics.get(plan.topic);
      if (siblings === undefined) throw new Refused(plan.topic, CODE.NOT_FOUND, '');
      if (this.#subscriptions.has(plan.name)) throw new Error(`The subscription ${plan.name} exists already.`);
      siblings.push(subscription);
      this.#subscriptions.set(plan.name, subscription);
    }
  }

  async publish(topic: string, message: Message): Promise<string> {
    const subscriptions = this.#topics.get(topic);
    if (subscriptions === undefined) throw new Refused(topic, CODE.NOT_FOUND, 'Topic not found');
    const flaw = flawOf(message);
    if (flaw !== null) throw new Refused(topic, CODE.INVALID_ARGUMENT, flaw);
    const messageId = String(++this.#ids);
    const copy = { data: Uint8Array.from(message.data), attributes: { ...message.attributes } };
    for (const subscription of subscriptions) {
      subscription.waiting.push({ messageId, publishTime: clock(), message: copy, attempts: 0 });
      this.#pushWaiting(subscription);
    }
    return messageId;
  }

  async pull(subscription: string, max: number): Promise<readonly Pulled[]> {
    const { waiting, pulled } = this.#named(subscription);
    return waiting.splice(0, max).map((entry) => {
      entry.attempts++;
      const ackId = `${entry.messageId}#${entry.attempts}`;
      const timer = setTimeout(() => this.#giveBack(subscription, ackId), this.#delivery.ack_deadline_seconds * 1000);
      pulled.set(ackId, { entry, timer: timer.unref() });
      const { messageId, publishTime, message } = entry;
      return { ackId, messageId, publishTime, message };
    });
  }

  async acknowledge(subscription: string, ackIds: readonly string[]): Promise<void> {
    const { pulled } = this.#named(subscription);
    for (const ackId of ackIds) {
      clearTimeout(pulled.get(ackId)?.timer);
      pulled.delete(ackId);
    }
  }

  async release(subscription: string, ackIds: readonly string[]): Promise<void> {
    for (const ackId of ackIds) this.#giveBack(subscription, ackId);
  }

  /** What a subscription still has to deliver, or whose acknowledgement it waits for. */
  backlog(subscription: string): number {
    const { waiting, pulled, pushing, backingOff } = this.#named(subscription);
    return waiting.length + pulled.size + pushing + backingOff.size;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    for (const { pulled, backingOff } of this.#subscriptions.values()) {
      for (const { timer } of pulled.values()) clearTimeout(timer);
      for (const timer of backingOff) clearTimeout(timer);
    }
  }

  #named(name: string): Subscription {
    const subscription = this.#subscriptions.get(name);
    if (subscription === undefined) throw new Error(`The subscription ${name} does not exist.`);
    return subscription;
  }

  #giveBack(subscription: string, ackId: string): void {
    const { waiting, pulled } = this.#named(subscription);
    const held = pulled.get(ackId);
    if (held === undefined) return;
    clearTimeout(held.timer);
    pulled.delete(ackId);
    waiting.push(held.entry);
  }

  #pushWaiting(subscription: Subscription): void {
    const { plan, waiting } = subscription;
    while (plan.push !== undefined && waiting.length > 0 && subscription.pushing < MAX_PUSHING) {
      const [entry] = waiting.splice(Math.floor(this.#random() * waiting.length), 1);
      subscription.pushing++;
      // In a turn of its own: who publishes hears of it before the subscriber does, or after.
      if (entry !== undefined) setImmediate(() => void this.#pushEntry(subscription, plan.push, entry));
    }
  }

  async #pushEntry(subscription: Subscription, push: SubscriptionPlan['push'], entry: Entry): Promise<void> {
    if (push === undefined) return;
    entry.attempts++;
    const accepted = await this.#offer(push, subscription.plan.name, entry);
    subscription.pushing--;
    if (this.#closing.signal.aborted) return;
    const spent = !accepted && entry.attempts >= this.#delivery.max_delivery_attempts;
    if (accepted) {
      if (this.#random() < this.#duplicates) subscription.waiting.push(entry);
    } else if (!(spent && (await this.#deadLetter(push.deadLetterTopic, subscription, entry)))) {
      this.#backOff(subscription, entry);
    }
    this.#pushWaiting(subscription);
  }

  #backOff(subscription: Subscription, entry: Entry): void {
    const { minimum_backoff_seconds: least, maximum_backoff_seconds: most } = this.#delivery;
    const seconds = Math.min(most, least * 2 ** Math.min(entry.attempts - 1, 30));
    const timer = setTimeout(() => {
      subscription.backingOff.delete(timer);
      subscription.waiting.push(entry);
      this.#pushWaiting(subscription);
    }, 1000 * seconds).unref();
    subscription.backingOff.add(timer);
  }

  async #offer({ endpoint, unwrapped }: PushPlan, subscription: string, entry: Entry): Promise<boolean> {
    const { messageId, publishTime, message } = entry;
    const data = Buffer.from(message.data).toString('base64');
    const body = JSON.stringify({
      message: { data, attributes: message.attributes, messageId, publishTime },
      subscription,
    });
    const deadline = AbortSignal.timeout(this.#delivery.ack_deadline_seconds * 1000);
    const signal = AbortSignal.any([deadline, this.#closing.signal]);
    try {
      const pushing = unwrapped
        ? pushUnwrapped(endpoint, entry, subscription, signal)
        : this.#push(endpoint, body, signal);
      return isAcknowledged(await pushing);
    } catch {
      return false;
    }
  }

  /** With the attributes that Pub/Sub adds. Source: https://cloud.google.com/pubsub/docs/dead-letter-topics */
  async #deadLetter(
    topic: string,
    { plan }: Subscription,
    { message, publishTime, attempts }: Entry,
  ): Promise<boolean> {
    const attributes = {
      ...message.attributes,
      CloudPubSubDeadLetterSourceDeliveryCount: String(attempts),
      CloudPubSubDeadLetterSourceSubscription: plan.name,
      CloudPubSubDeadLetterSourceTopicPublishTime: publishTime,
    };
    return this.publish(topic, { data: message.data, attributes }).then(
      () => true,
      () => false, // it stays where it is, and is tried again
    );
  }
}

/** Why Pub/Sub would refuse a message, or null. Source: https://cloud.google.com/pubsub/quotas#resource_limits */
function flawOf(message: Message): string | null {
  const attributes = Object.entries(message.attributes);
  if (message.data.byteLength === 0 && attributes.length === 0) return 'The message is empty.';
  if (!fitsPubSub(message)) return 'The message is too large.';
  if (attributes.length > 100) return 'The message has too many attributes.';
  for (const [key, value] of attributes) {
    if (key === '' || Buffer.byteLength(key) > 256) return 'The length of an attribute key is not from 1 to 256 bytes.';
    if (Buffer.byteLength(value) > 1024) return 'An attribute value is over 1,024 bytes.';
    if (!key.isWellFormed() || !value.isWellFormed()) return 'An attribute is not well-formed Unicode.';
  }
  return null;
}
