import { PubSub } from '@google-cloud/pubsub';
import { PublisherClient } from '@google-cloud/pubsub-api/build/src/v1/publisher_client.js';
import { describe, expect, test } from 'vitest';
import { connect, publisherOptions } from '../../functions/bus/publisher-client.ts';
import { CODE } from '../../functions/grpc.ts';
import { FakePubSub } from './outage/fake-pubsub.ts';

// What is leaned on of Google's client: an update that changes it fails here.

test.each([
  'localhost:8085',
  '127.0.0.1:1',
  'http://localhost:8085',
  'http://emulator/',
  'https://emulator',
  'emulator',
])('an emulator at %s is found as Google’s own PubSub finds it', async (host) => {
  process.env.PUBSUB_EMULATOR_HOST = host;
  const { servicePath, port } = (await new PubSub({ projectId: 'p' }).getClientConfig()) as Record<string, unknown>;
  const ours = publisherOptions({ PUBSUB_EMULATOR_HOST: host });
  expect([ours.servicePath, ours.port]).toEqual([servicePath, port]);
  expect(ours.sslCreds?._isSecure()).toBe(false);
});

test('without an emulator it is Google’s Pub/Sub, with its own credentials and scope', async () => {
  for (const env of [{}, { PUBSUB_EMULATOR_HOST: '' }]) {
    const options = publisherOptions(env);
    expect(options.sslCreds).toBeUndefined();
    expect(options.scopes).toContain('https://www.googleapis.com/auth/pubsub');
    const client = new PublisherClient(options);
    expect([client.apiEndpoint, PublisherClient.port]).toEqual(['pubsub.googleapis.com', 443]);
    expect(client.auth.getClient).toBeTypeOf('function');
  }
});

describe('a client', () => {
  test('publishes in one request, without retries of its own, within the time it is given', async ({
    onTestFinished,
  }) => {
    const pubsub = await FakePubSub.start();
    const { client, ready } = await connect({ PUBSUB_EMULATOR_HOST: pubsub.host });
    onTestFinished(async () => {
      await client.close();
      pubsub.stop();
    });
    await ready(Date.now() + 5_000);
    const request = {
      topic: 'projects/p/topics/t',
      messages: [{ data: Buffer.from('a') }, { data: Buffer.from('b') }],
    };
    expect((await client.publish(request, { timeout: 5_000, retry: null }))[0].messageIds).toEqual(['1', '2']);

    pubsub.answer = () => CODE.UNAVAILABLE;
    await expect(client.publish(request, { timeout: 5_000, retry: null })).rejects.toMatchObject({
      code: CODE.UNAVAILABLE,
      details: 'as told',
    });
    pubsub.mute = true;
    await expect(client.publish(request, { timeout: 100, retry: null })).rejects.toMatchObject({
      code: CODE.DEADLINE_EXCEEDED,
    });
    expect(pubsub.requests).toHaveLength(3);
  });

  test('says when it has no connection', async () => {
    const { client, ready } = await connect({ PUBSUB_EMULATOR_HOST: '127.0.0.1:1' });
    await expect(ready(Date.now() + 200)).rejects.toThrow(/connect/i);
    await client.close();
  });
});
