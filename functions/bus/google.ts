import type { BusConfig } from '../config.ts';
import { within } from '../deadline.ts';
import type { Message } from '../events/message.ts';
import { codeOf } from '../grpc.ts';
import { type Publisher, REFUSALS, Refused } from './bus.ts';
import { Outbox } from './outbox.ts';
import { type Connected, connect, type Env } from './publisher-client.ts';

/** A connection that is not there after this long, which gRPC would wait for without end, is given up for another. */
const CONNECT_MS = 3_000;

/** Publishes to Pub/Sub, or its emulator. */
export class GooglePublisher implements Publisher {
  readonly #config: BusConfig;
  readonly #env: Env;
  readonly #outboxes = new Map<string, Outbox>();
  #connection: Promise<Connected> | undefined;

  /** @param env as the emulator is named in. */
  constructor(config: BusConfig, env: Env = process.env) {
    this.#config = config;
    this.#env = env;
    this.#connection = this.#connect();
  }

  async publish(topic: string, message: Message, timeoutMs: number): Promise<string> {
    const { topicPrefix } = this.#config;
    const name = `${topicPrefix}${topic}`;
    let outbox = this.#outboxes.get(name);
    if (outbox === undefined) {
      outbox = new Outbox((messages, within) => this.#send(name, messages, within));
      this.#outboxes.set(name, outbox);
    }
    try {
      return await outbox.publish(message, timeoutMs);
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
    const connected = await this.#connection?.catch(() => null); // one that was never made needs no closing
    await connected?.client.close();
  }

  async #send(topic: string, messages: readonly Message[], timeoutMs: number): Promise<readonly string[]> {
    const end = performance.now() + timeoutMs;
    const { client } = await this.#connected(timeoutMs);
    const request = {
      topic: `projects/${this.#config.projectId}/topics/${topic}`,
      messages: messages.map(({ data, attributes }) => ({ data, attributes: { ...attributes } })),
    };
    // No retries inside the library: the outbox knows what still waits for it.
    const [{ messageIds }] = await client.publish(request, { timeout: end - performance.now(), retry: null });
    return messageIds ?? [];
  }

  /**
   * The connection, once it is there. A slow answer says nothing about it: whether it lives is known from its pings. But
   * one that is never established has none, and would be waited for without end.
   */
  async #connected(timeoutMs: number): Promise<Connected> {
    this.#connection ??= this.#connect();
    const connection = this.#connection;
    const patience = Math.min(CONNECT_MS, timeoutMs);
    const deadline = Date.now() + patience;
    try {
      const connected = await within(patience, connection, () => {
        throw new Error('no credentials for Pub/Sub in time');
      });
      await connected.ready(deadline);
      return connected;
    } catch (error) {
      // Only the first of many that waited in vain gives it up.
      if (patience === CONNECT_MS && this.#connection === connection) this.#giveUp(connection);
      throw error;
    }
  }

  #connect(): Promise<Connected> {
    const connection = connect(this.#env);
    // One that could not get credentials will not try again.
    connection.catch(() => {
      if (this.#connection === connection) this.#connection = undefined;
    });
    return connection;
  }

  #giveUp(connection: Promise<Connected>): void {
    this.#connection = undefined;
    connection.then(({ client }) => client.close()).catch(() => {});
  }
}
