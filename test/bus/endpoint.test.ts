import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PubSub } from '@google-cloud/pubsub';
import { PublisherClient } from '@google-cloud/pubsub-api/build/src/v1/publisher_client.js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { endpointOf } from '../../functions/bus/endpoint.ts';
import { ConfigError } from '../../functions/config.ts';
import { CODE } from '../../functions/grpc.ts';

// Where Google's own client is and what it brings along, ours must be and bring too: an update that changes it fails here.

describe('Pub/Sub', () => {
  test.each([
    'localhost:8085',
    '127.0.0.1:1',
    'http://localhost:8085',
    'http://emulator/',
    'https://emulator',
    'emulator',
  ])('is an emulator at %s where Google’s own PubSub finds it, without credentials', async (host) => {
    process.env.PUBSUB_EMULATOR_HOST = host;
    const { servicePath, port } = (await new PubSub({ projectId: 'p' }).getClientConfig()) as Record<string, unknown>;
    const { origin, credentials } = endpointOf({ PUBSUB_EMULATOR_HOST: host });
    expect(origin).toBe(`http://${servicePath}:${port ?? PublisherClient.port}`);
    expect(await credentials(1_000)).toEqual([]);
  });

  test('is an emulator at an IPv6 address as well', () => {
    expect(endpointOf({ PUBSUB_EMULATOR_HOST: '[::1]:8085' }).origin).toBe('http://[::1]:8085');
  });

  test.each(['::1', 'a b:1', 'localhost:99999', 'localhost:abc', 'localhost:', 'http://localhost:1/path', 'ftp://a:1'])(
    'is not looked for at %j, which is no address, and the message says what is',
    (host) => {
      const message = `PUBSUB_EMULATOR_HOST is no address: ${JSON.stringify(host)}. Use HOST:PORT, such as 127.0.0.1:8085.`;
      expect(() => endpointOf({ PUBSUB_EMULATOR_HOST: host })).toThrow(new ConfigError(message));
    },
  );

  test('is Google’s where no emulator is named, over TLS', () => {
    for (const env of [{}, { PUBSUB_EMULATOR_HOST: '' }])
      expect(endpointOf(env).origin).toBe(`https://${new PublisherClient().apiEndpoint}:${PublisherClient.port}`);
  });

  test('is that of another universe where one is named', () => {
    const universeDomain = 'example.com';
    const { apiEndpoint } = new PublisherClient({ universeDomain });
    expect(endpointOf({ GOOGLE_CLOUD_UNIVERSE_DOMAIN: universeDomain }).origin).toBe(`https://${apiEndpoint}:443`);
  });
});

describe('credentials of a function’s own service account', () => {
  type Answer = (request: IncomingMessage, response: ServerResponse) => void;
  const token: Answer = (_, response) => {
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify({ access_token: `token-${asked.length}`, expires_in: 3_600, token_type: 'Bearer' }));
  };
  let answer: Answer;
  let asked: URL[] = [];
  const metadata = createServer((request, response) => {
    response.setHeader('Metadata-Flavor', 'Google');
    const url = new URL(request.url ?? '', 'http://metadata');
    if (url.pathname.endsWith('/token')) {
      asked.push(url);
      answer(request, response);
    } else response.writeHead(404).end();
  });

  beforeEach(async () => {
    asked = [];
    answer = token;
    await once(metadata.listen(0, '127.0.0.1'), 'listening');
    process.env.GCE_METADATA_HOST = `127.0.0.1:${(metadata.address() as AddressInfo).port}`;
    process.env.METADATA_SERVER_DETECTION = 'assume-present';
    process.env.GOOGLE_CLOUD_PROJECT = 'p'; // which a function's process always has; else gcloud is asked
    process.env.GOOGLE_APPLICATION_CREDENTIALS = '';
    process.env.HOME = '/nonexistent'; // where a person's own would be found
  });
  afterEach(async () => {
    metadata.closeAllConnections();
    metadata.close();
    await once(metadata, 'close');
  });

  test('are a token of the scopes that Google’s own client asks for, asked once', async () => {
    const { credentials } = endpointOf({});
    for (let call = 0; call < 3; call++) expect(await credentials(60_000)).toEqual(['authorization', 'Bearer token-1']);
    expect(asked.map((url) => url.searchParams.get('scopes'))).toEqual([PublisherClient.scopes.join(',')]);
  });

  test('that do not come in time are told so, and asked for anew', async () => {
    const { credentials } = endpointOf({});
    const hung = new Promise<void>((resolve) => {
      answer = () => resolve();
    });
    const first = expect(credentials(1_500)).rejects.toMatchObject({
      code: CODE.UNAVAILABLE,
      details: 'there were no credentials for Pub/Sub in time',
    });
    await hung;
    await first;
    answer = token;
    expect(await credentials(60_000)).toEqual(['authorization', 'Bearer token-2']);
  });

  test('that are refused are an error, and asked for anew', async () => {
    const { credentials } = endpointOf({});
    answer = (_, response) => void response.writeHead(403).end('no');
    await expect(credentials(60_000)).rejects.toThrow();
    answer = token;
    expect((await credentials(60_000))[0]).toBe('authorization');
  });
});
