import { setTimeout as sleep } from 'node:timers/promises';
import protos from '@google-cloud/pubsub-api/build/protos/protos.json' with { type: 'json' };
import { GrpcClient, grpc } from 'google-gax';

type Request = {
  readonly topic: string;
  readonly messages: readonly { readonly data: Buffer; readonly attributes: Readonly<Record<string, string>> }[];
};
type Response = { readonly messageIds: string[] };

/** Google's own description of who publishes, as gRPC reads and writes it. */
export function publisherService(): { readonly Publish: grpc.MethodDefinition<Request, Response> } {
  // biome-ignore lint/suspicious/noExplicitAny: loaded from JSON, which has no types
  return (new GrpcClient().loadProtoJSON(protos as never) as any).google.pubsub.v1.Publisher.service;
}

/** How a request is answered: with a gRPC code, or null for ids. */
export type Answer = (messages: readonly string[], attempt: number) => Promise<number | null> | number | null;

/** A Pub/Sub that takes publishes only, keeps account of them, and answers as it is told to. */
export class FakePubSub {
  /** The messages' texts of each request, in order of arrival, whatever its answer. */
  readonly requests: string[][] = [];
  /** What was made durable, as often as it was. */
  readonly durable: string[] = [];
  /** How long each answer takes, whatever it is. */
  delayMs = 0;
  answer: Answer = () => null;
  /** Answers are lost from now on: what is asked for is done, and nobody hears of it. */
  mute = false;
  readonly #server = new grpc.Server({ 'grpc.max_receive_message_length': -1 });
  host = '';

  static async start(port = 0): Promise<FakePubSub> {
    const fake = new FakePubSub();
    fake.#server.addService(
      { ...publisherService() },
      {
        publish: ({ request }: grpc.ServerUnaryCall<Request, unknown>, reply: grpc.sendUnaryData<Response>) =>
          void fake.#publish(request, reply),
      },
    );
    const bound = await new Promise<number>((resolve, reject) =>
      fake.#server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (error, at) =>
        error === null ? resolve(at) : reject(error),
      ),
    );
    fake.host = `127.0.0.1:${bound}`;
    return fake;
  }

  async #publish({ messages }: Request, reply: grpc.sendUnaryData<Response>): Promise<void> {
    const texts = messages.map(({ data }) => data.toString());
    this.requests.push(texts);
    const code = await this.answer(texts, this.requests.length);
    const first = this.durable.length;
    if (code === null) this.durable.push(...texts);
    await sleep(this.delayMs);
    if (this.mute) return;
    if (code === null) reply(null, { messageIds: texts.map((_, i) => String(first + i + 1)) });
    else reply({ code, details: 'as told' });
  }

  stop(): void {
    this.#server.forceShutdown();
  }
}
