import { PubSub, v1 } from '@google-cloud/pubsub';
import type { BusConfig } from '../config.ts';
import { within } from '../deadline.ts';
import type { Message } from '../events/message.ts';
import { CODE, codeOf } from '../grpc.ts';
import { type Publisher, REFUSALS, Refused } from './bus.ts';

/** What may succeed a moment later. */
const TRANSIENT: ReadonlySet<number> = new Set([
  CODE.CANCELLED,
  CODE.UNKNOWN,
  CODE.DEADLINE_EXCEEDED,
  CODE.RESOURCE_EXHAUSTED,
  CODE.ABORTED,
  CODE.INTERNAL,
  CODE.UNAVAILABLE,
]);

/** After this the connection is taken for half-open: it is replaced, and the rest of the time goes to the new one. */
const FIRST_TRY_MS = 2_000;
const PAUSE_MS = 100;

const CHANNEL_OPTIONS = {
  // A pool of its own for each client, or gRPC hands the new one the old one's connection.
  'grpc.use_local_subchannel_pool': 1,
  // gRPC's own back-off grows to two minutes: Pub/Sub may be back long before.
  'grpc.initial_reconnect_backoff_ms': 200,
  'grpc.max_reconnect_backoff_ms': 2_000,
};

type Client = InstanceType<typeof v1.PublisherClient>;

/**
 * Publishes each message in a request of its own, with its own deadline in the client library: webhooks are few and
 * urgent, a batch would share one deadline and one refusal, and Pub/Sub bills a message and a small batch alike.
 */
export class GooglePublisher implements Publisher {
  readonly #config: BusConfig;
  #client: Promise<Client>;

  constructor(config: BusConfig) {
    this.#config = config;
    this.#client = this.#connect();
    this.#client.catch(() => {}); // told to whoever publishes
  }

  async publish(topic: string, message: Message, timeoutMs: number): Promise<string> {
    const { projectId, topicPrefix } = this.#config;
    const name = `projects/${projectId}/topics/${topicPrefix}${topic}`;
    const deadline = performance.now() + timeoutMs;
    for (let first = true; ; first = false) {
      const client = this.#client;
      const left = deadline - performance.now();
      const timeout = first ? Math.min(FIRST_TRY_MS, left) : left;
      try {
        const request = { topic: name, messages: [{ data: message.data, attributes: { ...message.attributes } }] };
        const end = performance.now() + timeout;
        const connected = await within(timeout, client, () => {
          throw new Error('no connection to Pub/Sub in time');
        });
        // No retries inside the library: they would go over the same connection.
        const [response] = await connected.publish(request, { timeout: end - performance.now(), retry: null });
        return response.messageIds?.[0] ?? '';
      } catch (error) {
        const code = codeOf(error);
        if (code !== undefined && REFUSALS.has(code)) {
          const { details } = error as { details?: unknown };
          throw new Refused(`${topicPrefix}${topic}`, code, String(details ?? ''), { cause: error });
        }
        // An error without a code is the client's own, such as credentials that it could not get and will not try again.
        if (code === undefined || (code === CODE.DEADLINE_EXCEEDED && timeout >= FIRST_TRY_MS)) this.#replace(client);
        else if (!TRANSIENT.has(code)) throw error;
        if (deadline - performance.now() <= PAUSE_MS) throw error;
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
    }
  }

  async close(): Promise<void> {
    const client = await this.#client.catch(() => null); // one that was never made needs no closing
    await client?.close();
  }

  /** Only the first of many calls that missed their deadline on a connection replaces it. */
  #replace(client: Promise<Client>): void {
    if (this.#client !== client) return;
    this.#client = this.#connect();
    this.#client.catch(() => {});
    client.then((old) => old.close()).catch(() => {});
  }

  async #connect(): Promise<Client> {
    // PubSub knows the emulator and the project; its client config is what the plain client takes.
    const config = await new PubSub({ projectId: this.#config.projectId, ...CHANNEL_OPTIONS }).getClientConfig();
    const client = new v1.PublisherClient(config as ConstructorParameters<typeof v1.PublisherClient>[0]);
    await client.initialize(); // fetches credentials, which no call's deadline covers
    return client;
  }
}
