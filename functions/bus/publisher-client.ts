import { PublisherClient } from '@google-cloud/pubsub-api/build/src/v1/publisher_client.js';
import { type ClientOptions, grpc } from 'google-gax';

/**
 * How Google's own publisher client is made: alone, as the whole of `@google-cloud/pubsub` takes twice as long to load
 * and is made for batches that share one fate. Credentials, universe and mTLS are the client's business, and the
 * emulator's variable is read as `PubSub` reads it.
 */

/** gRPC's own back-off grows to two minutes: Pub/Sub may be back long before. */
const RECONNECT = { 'grpc.initial_reconnect_backoff_ms': 200, 'grpc.max_reconnect_backoff_ms': 1_000 };
/**
 * While a call is in flight, a connection is asked whether it still lives: a silent one is over after at most 4.5 s, and
 * what was in flight can go by another in the time that it has. A slow Pub/Sub answers pings at once; a slow network
 * may take 3 s for one. More pings than that, and servers close the connection (gRPC's A8).
 */
const PINGS = { 'grpc.keepalive_time_ms': 1_500, 'grpc.keepalive_timeout_ms': 3_000 };
/** A connection of its own for each client, or gRPC hands a new one the old one's. */
const OWN = { 'grpc.use_local_subchannel_pool': 1 };

export type Env = Readonly<Record<string, string | undefined>>;

export function publisherOptions(env: Env): ClientOptions {
  return { libName: 'gccl', scopes: [...PublisherClient.scopes], ...RECONNECT, ...PINGS, ...OWN, ...emulator(env) };
}

function emulator({ PUBSUB_EMULATOR_HOST: host }: Env): ClientOptions {
  if (!host) return {};
  const [, scheme, servicePath = '', port] = /^(?:(https?):\/\/)?([^:/]*)(?::(\d+))?\/*$/.exec(host) ?? [];
  const implied = scheme === undefined ? undefined : scheme === 'https' ? 443 : 80;
  const chosen = port === undefined ? implied : Number(port);
  return {
    servicePath,
    sslCreds: grpc.credentials.createInsecure(),
    ...(chosen === undefined ? {} : { port: chosen }),
  };
}

/** A client, and how to know that it has a connection. */
export type Connected = {
  readonly client: PublisherClient;
  /** Rejects where there is no connection by then. @param deadline milliseconds since the epoch. */
  ready(deadline: number): Promise<void>;
};

/** Resolves once there are credentials, which no call's deadline covers. */
export async function connect(env: Env): Promise<Connected> {
  const client = new PublisherClient(publisherOptions(env));
  const stub = (await client.initialize()) as unknown as grpc.Client;
  return {
    client,
    ready: async (deadline) => {
      if (stub.getChannel().getConnectivityState(true) === grpc.connectivityState.READY) return;
      await new Promise<void>((resolve, reject) =>
        stub.waitForReady(deadline, (error) => (error === undefined ? resolve() : reject(error))),
      );
    },
  };
}
