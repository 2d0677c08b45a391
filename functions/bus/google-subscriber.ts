import { PubSub, type protos, v1 } from '@google-cloud/pubsub';
import type { BusConfig } from '../config.ts';
import { CODE, codeOf } from '../grpc.ts';
import { type Instant, instantOfEpoch } from '../heron/instant.ts';
import type { Pulled, Subscriber } from './bus.ts';

/** Pub/Sub holds a pull open until a message comes: this long, then there is none. */
const PULL_MS = 3_000;
const CALL_MS = 10_000;

type Client = InstanceType<typeof v1.SubscriberClient>;

/** Pulls on demand, for people's commands; services are pushed to. */
export class GoogleSubscriber implements Subscriber {
  readonly #config: BusConfig;
  readonly #client: Promise<Client>;

  constructor(config: BusConfig) {
    this.#config = config;
    const options = new PubSub({ projectId: config.projectId }).getClientConfig();
    this.#client = options.then(
      (config) => new v1.SubscriberClient(config as ConstructorParameters<typeof v1.SubscriberClient>[0]),
    );
  }

  async pull(subscription: string, max: number): Promise<readonly Pulled[]> {
    const client = await this.#client;
    const request = { subscription: this.#path(subscription), maxMessages: max };
    try {
      const [{ receivedMessages }] = await client.pull(request, { timeout: PULL_MS, retry: null });
      return (receivedMessages ?? []).map(toPulled);
    } catch (error) {
      if (codeOf(error) !== CODE.DEADLINE_EXCEEDED) throw error;
      // None came, or Pub/Sub is silent: only one that answers can tell.
      const [{ receivedMessages }] = await client.pull(
        { ...request, returnImmediately: true },
        { timeout: CALL_MS, retry: null },
      );
      return (receivedMessages ?? []).map(toPulled);
    }
  }

  async acknowledge(subscription: string, ackIds: readonly string[]): Promise<void> {
    if (ackIds.length === 0) return;
    const request = { subscription: this.#path(subscription), ackIds: [...ackIds] };
    await (await this.#client).acknowledge(request, { timeout: CALL_MS });
  }

  async release(subscription: string, ackIds: readonly string[]): Promise<void> {
    if (ackIds.length === 0) return;
    const request = { subscription: this.#path(subscription), ackIds: [...ackIds], ackDeadlineSeconds: 0 };
    await (await this.#client).modifyAckDeadline(request, { timeout: CALL_MS });
  }

  async close(): Promise<void> {
    await (await this.#client).close();
  }

  #path(subscription: string): string {
    return `projects/${this.#config.projectId}/subscriptions/${this.#config.topicPrefix}${subscription}`;
  }
}

function toPulled({ ackId, message }: protos.google.pubsub.v1.IReceivedMessage): Pulled {
  return {
    ackId: ackId ?? '',
    messageId: message?.messageId ?? '',
    publishTime: toInstant(message?.publishTime),
    message: { data: Buffer.from(message?.data ?? ''), attributes: { ...message?.attributes } },
  };
}

function toInstant(time: { seconds?: unknown; nanos?: unknown } | null | undefined): Instant {
  return instantOfEpoch(Number(time?.seconds ?? 0), Math.floor(Number(time?.nanos ?? 0) / 1000));
}
