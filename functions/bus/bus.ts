import type { Message } from '../events/message.ts';
import { CODE } from '../grpc.ts';
import type { Instant } from '../heron/instant.ts';

/** The port to Pub/Sub for who publishes. */
export interface Publisher {
  /**
   * Resolves with the message's id once Pub/Sub has made it durable. May be durable also where it rejects: the answer
   * was lost, or came too late. After `timeoutMs` nothing more is sent.
   * @param topic by its Heron name: the publisher adds the prefix.
   * @throws Refused, or an error that says why Pub/Sub could not be reached or refused.
   */
  publish(topic: string, message: Message, timeoutMs: number): Promise<string>;
  close(): Promise<void>;
}

/** A message that was pulled, and is handed out again once its ack deadline is over. */
export type Pulled = {
  readonly ackId: string;
  readonly messageId: string;
  readonly publishTime: Instant;
  readonly message: Message;
};

/** The port to Pub/Sub for who pulls. Subscriptions go by their name without prefix. */
export interface Subscriber {
  /** Some of the messages that wait now, at most `max`; none does not mean that none waits. */
  pull(subscription: string, max: number): Promise<readonly Pulled[]>;
  acknowledge(subscription: string, ackIds: readonly string[]): Promise<void>;
  /** Gives messages back, to be handed out again at once. */
  release(subscription: string, ackIds: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

/** How a topic refuses a message for good: the same would be refused again, and another topic may take it. */
export const REFUSALS: ReadonlySet<number> = new Set([
  CODE.INVALID_ARGUMENT, // by the topic's schema, or a limit
  CODE.NOT_FOUND,
  CODE.PERMISSION_DENIED,
  CODE.FAILED_PRECONDITION, // by its policy, such as the regions that may keep it
]);

/** A topic refuses a message for good. */
export class Refused extends Error {
  override readonly name = 'Refused';
  /** One of {@link REFUSALS}. */
  readonly code: number;
  /** Of Pub/Sub; quotes nothing of the message. */
  readonly details: string;

  /** @param topic with its prefix. */
  constructor(topic: string, code: number, details: string, options?: ErrorOptions) {
    super(
      code === CODE.NOT_FOUND
        ? `The Pub/Sub topic ${topic} does not exist.`
        : `The Pub/Sub topic ${topic} refuses the message (code ${code}).`,
      options,
    );
    this.code = code;
    this.details = details;
  }
}

/** Pub/Sub's limit for a message and for a request. Source: https://cloud.google.com/pubsub/quotas#resource_limits */
export const MAX_MESSAGE_BYTES = 10_000_000;

/** Kept free for what a request adds around a message (the topic's name, tags), and a dead letter to its attributes. */
const ENVELOPE_BYTES = 4_000;

/** How much data Pub/Sub takes beside these attributes and the request around it. */
export function maxDataBytes(attributes: Message['attributes'] = {}): number {
  let bytes = MAX_MESSAGE_BYTES - ENVELOPE_BYTES;
  for (const key in attributes) bytes -= Buffer.byteLength(key) + Buffer.byteLength(attributes[key] ?? '');
  return bytes;
}

/** Whether Pub/Sub can take the message, attributes and the request around it included. */
export function fitsPubSub({ data, attributes }: Message): boolean {
  return data.byteLength <= maxDataBytes(attributes);
}
