import type { BusConfig, Env } from '../config.ts';
import { within } from '../deadline.ts';
import type { Message } from '../events/message.ts';
import { CODE, codeOf } from '../grpc.ts';
import { type Publisher, REFUSALS, Refused } from './bus.ts';
import { type Endpoint, endpointOf } from './endpoint.ts';
import { CallFailed, GrpcConnection, type Headers } from './grpc-connection.ts';
import { Outbox } from './outbox.ts';
import { messageIds, publishRequest } from './publish-wire.ts';

/** A connection that is not there after this long, or credentials, are given up for others. */
const CONNECT_MS = 3_000;

const PUBLISH = '/google.pubsub.v1.Publisher/Publish';
const CLIENT = ['x-goog-api-client', `gl-node/${process.versions.node}`, 'user-agent', 'heron-webhooks'];

/** Publishes to Pub/Sub, or its emulator. */
export class GooglePublisher implements Publisher {
  readonly #config: BusConfig;
  readonly #endpoint: Endpoint;
  readonly #outboxes = new Map<string, Outbox>();
  #connection: GrpcConnection;

  /** @param env as the emulator is named in. */
  constructor(config: BusConfig, env: Env = process.env) {
    this.#config = config;
    this.#endpoint = endpointOf(env);
    this.#connection = new GrpcConnection(this.#endpoint.origin);
    this.#endpoint.credentials(CONNECT_MS).catch(() => {}); // so that they are there when the first message comes
  }

  async publish(topic: string, message: Message, timeoutMs: number): Promise<string> {
    const name = `${this.#config.topicPrefix}${topic}`;
    try {
      return await this.#outbox(name).publish(message, timeoutMs);
    } catch (error) {
      const code = codeOf(error);
      if (code === undefined || !REFUSALS.has(code)) throw error;
      const { details } = error as { details?: unknown };
      throw new Refused(name, code, String(details ?? ''), { cause: error });
    }
  }

  /** What is on its way is waited for: each has its own deadline. */
  async close(): Promise<void> {
    await Promise.all([...this.#outboxes.values()].map((outbox) => outbox.drained()));
    this.#connection.close();
  }

  #outbox(name: string): Outbox {
    let outbox = this.#outboxes.get(name);
    if (outbox === undefined) {
      const topic = `projects/${this.#config.projectId}/topics/${name}`;
      const headers = [...CLIENT, 'x-goog-request-params', `topic=${encodeURIComponent(topic)}`];
      outbox = new Outbox((messages, timeoutMs) => this.#send(topic, headers, messages, timeoutMs));
      this.#outboxes.set(name, outbox);
    }
    return outbox;
  }

  async #send(
    topic: string,
    headers: Headers,
    messages: readonly Message[],
    timeoutMs: number,
  ): Promise<readonly string[]> {
    const end = performance.now() + timeoutMs;
    const connection = await this.#connected(timeoutMs);
    const credentials = await this.#endpoint.credentials(Math.min(CONNECT_MS, end - performance.now()));
    const request = publishRequest(topic, messages);
    const answer = await connection.call(PUBLISH, [...headers, ...credentials], request, end - performance.now());
    return messageIds(answer);
  }

  /**
   * The connection, once it is there. A slow answer says nothing about it: whether it lives is known from its pings. But
   * one that is never established has none, and would be waited for without end.
   */
  async #connected(timeoutMs: number): Promise<GrpcConnection> {
    if (this.#connection.isReady) return this.#connection;
    if (!this.#connection.isUsable) this.#connection = new GrpcConnection(this.#endpoint.origin);
    const connection = this.#connection;
    const patience = Math.min(CONNECT_MS, timeoutMs);
    await within(patience, connection.ready, () => {
      if (patience === CONNECT_MS) connection.close();
      throw new CallFailed(CODE.UNAVAILABLE, `no connection to ${this.#endpoint.origin} within ${patience} ms`);
    });
    return connection;
  }
}
