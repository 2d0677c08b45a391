import { GoogleAuth } from 'google-auth-library';
import { type Env, noAddress } from '../config.ts';
import { within } from '../deadline.ts';
import { CODE } from '../grpc.ts';
import { CallFailed, type Headers } from './grpc-connection.ts';

/** Where Pub/Sub is, and who we are to it. */
export type Endpoint = {
  /** `https://HOST:PORT`; the emulator's is `http:`. */
  readonly origin: string;
  /** What a call brings along, good for this call. @throws CallFailed, or an error of google-auth-library. */
  credentials(timeoutMs: number): Promise<Headers>;
};

/** Those of Google's own publisher. */
const SCOPES = ['https://www.googleapis.com/auth/cloud-platform', 'https://www.googleapis.com/auth/pubsub'];

/**
 * Pub/Sub's emulator where one is named, read as Google's `PubSub` reads it; otherwise Google's, with its credentials.
 * @throws ConfigError
 */
export function endpointOf(env: Env): Endpoint {
  const emulator = emulatorOf(env);
  if (emulator !== null) return { origin: emulator, credentials: async () => [] };
  const origin = `https://pubsub.${env.GOOGLE_CLOUD_UNIVERSE_DOMAIN || 'googleapis.com'}:443`;
  const auth = new GoogleAuth({ scopes: SCOPES });
  return {
    origin,
    credentials: async (timeoutMs) => [...(await within(timeoutMs, auth.getRequestHeaders(origin), late))].flat(),
  };
}

function late(): never {
  throw new CallFailed(CODE.UNAVAILABLE, 'there were no credentials for Pub/Sub in time');
}

const ADDRESS = /^(?:(https?):\/\/)?(\[[\da-fA-F:.]+\]|[^:/[\]\s]+)(?::(\d+))?\/*$/;

function emulatorOf({ PUBSUB_EMULATOR_HOST: host }: Env): string | null {
  if (!host) return null;
  const [, scheme, name, port = scheme === 'http' ? 80 : 443] = ADDRESS.exec(host) ?? [];
  const origin = `http://${name}:${port}`;
  if (name === undefined || !URL.canParse(origin)) throw noAddress('PUBSUB_EMULATOR_HOST', host, '127.0.0.1:8085');
  return origin;
}
