import { PubSub, v1 } from '@google-cloud/pubsub';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { HERON_TOPICS } from '../../functions/heron/topics.ts';
import type { LogFields } from '../../functions/log.ts';
import { deadLetters, type Pulling, type PullOptions, pull } from '../../functions/subscriber/pull.ts';
import { Discard, RetryAfter, type Subscriber, subscriber } from '../../functions/subscriber/subscriber.ts';
import { event } from '../../functions/subscriber/testing.ts';
import { hasPubSub, newProject } from '../emulators.ts';
import { linesOf } from './given.ts';

describe('pull', () => {
  const service = subscriber(() => {}).on('pdf.failed', () => {});
  it.each([
    [/takes the subscriber's name/, service, { name: '' }],
    [/no topic has a handler of its own, so give topics/, subscriber(() => {}), {}],
    [/no topic of Heron's is pfd\.\* or \*\.x/, service, { topics: ['pfd.*', '*.x'] }],
    [/concurrency is a whole number/, service, { concurrency: 0 }],
    [/ackDeadlineSeconds is a number from 1 to 600/, service, { ackDeadlineSeconds: 601 }],
  ])('refuses what would pull nothing: %s', async (message, of, options) => {
    await expect(pull(of, { name: 'ledger', ...options })).rejects.toThrow(message);
  });
});

describe.skipIf(!hasPubSub)('pull, on the emulator', () => {
  const pubsub = new PubSub({ projectId: newProject() });
  const topics = [
    ...HERON_TOPICS,
    'replay.ledger',
    'dead-letter.ledger',
    'staging-pdf.parsed',
    'staging-replay.ledger',
    'staging-dead-letter.ledger',
  ];
  const nameOf = (topic: string) =>
    /(^|-)(replay|dead-letter)\./.test(topic) ? topic : topic.replace(/^(staging-)?/, '$1ledger.');
  beforeAll(async () => {
    for (const topic of topics) {
      await pubsub.createTopic(topic);
      await pubsub.topic(topic).createSubscription(nameOf(topic), { ackDeadlineSeconds: 60 });
    }
  });
  afterAll(() => pubsub.close());

  const pulling: Pulling[] = [];
  afterEach(async () => {
    for (const each of pulling.splice(0)) await each.close();
  });

  const start = async (service: Subscriber, options: Partial<PullOptions> = {}) => {
    const { lines, log } = linesOf();
    pulling.push(await pull(service, { name: 'ledger', pubsub, log, ...options }));
    return lines;
  };
  const publish = (topic: string, { id, body, topic: type }: ReturnType<typeof event>, extensions = {}) => {
    const attributes = { 'ce-specversion': '1.0', 'ce-id': id, 'ce-type': type, 'Content-Type': 'application/json' };
    return pubsub.topic(topic).publishMessage({ data: body, attributes: { ...attributes, ...extensions } });
  };
  const outcomes = (lines: readonly LogFields[]) => lines.map(({ outcome }) => outcome);

  it('takes from all 45 subscriptions at once, and acknowledges', async () => {
    const got = new Map<string, string>();
    const lines = await start(
      subscriber(({ id, topic }) => got.set(id, String(topic))),
      { topics: ['*'] },
    );
    const sent = HERON_TOPICS.flatMap((topic) => [event(topic), event(topic)]);
    await Promise.all(sent.map((each) => publish(each.topic, each)));
    await expect.poll(() => got.size, { timeout: 25_000 }).toBe(sent.length);
    await publish('replay.ledger', event('pdf.parsed', { again: true }), { 'ce-replayid': 'r-1' });
    await expect.poll(() => got.size, { timeout: 25_000 }).toBe(sent.length + 1);
    await pulling.splice(0)[0]?.close();
    expect(new Set(outcomes(lines))).toEqual(new Set(['handled']));
    expect(lines).toHaveLength(sent.length + 1);
    // What was acknowledged does not come again.
    const client = new v1.SubscriberClient((await pubsub.getClientConfig()) as never);
    for (const topic of ['pdf.parsed', 'end_user.processed']) {
      const subscription = `projects/${pubsub.projectId}/subscriptions/ledger.${topic}`;
      const [{ receivedMessages }] = await client.pull({ subscription, maxMessages: 10, returnImmediately: true });
      expect(receivedMessages).toEqual([]);
    }
    await client.close();
  });

  it('has what failed, and what is to be tried later, come again', async () => {
    const thrown: unknown[] = [new TypeError('broken'), new RetryAfter(1)];
    const lines = await start(
      subscriber(() => {}).on('pdf.failed', () => {
        const error = thrown.shift();
        if (error !== undefined) throw error;
      }),
    );
    await publish('pdf.failed', event('pdf.failed'));
    await expect.poll(() => outcomes(lines), { timeout: 25_000 }).toEqual(['failed', 'retry_after', 'handled']);
  });

  it('sends what is discarded to the dead letters, prefix and all, and acknowledges it', async () => {
    const lines = await start(
      subscriber(() => {}).on('pdf.parsed', () => {
        throw new Discard('a bank that we do not take');
      }),
      { topicPrefix: 'staging-' },
    );
    const sent = event('pdf.parsed');
    await publish('staging-pdf.parsed', sent);
    await expect.poll(() => outcomes(lines), { timeout: 25_000 }).toEqual(['dead_lettered']);
    const client = new v1.SubscriberClient((await pubsub.getClientConfig()) as never);
    const subscription = `projects/${pubsub.projectId}/subscriptions/staging-dead-letter.ledger`;
    const [{ receivedMessages }] = await client.pull({ subscription, maxMessages: 10 });
    await client.close();
    expect(receivedMessages).toHaveLength(1);
    expect(Buffer.from(receivedMessages?.[0]?.message?.data ?? '')).toEqual(Buffer.from(sent.body));
    expect(receivedMessages?.[0]?.message?.attributes).toMatchObject({
      'ce-id': sent.id,
      dead_letter_reason: 'a bank that we do not take',
      dead_letter_subscriber: 'ledger',
      dead_letter_publish_time: expect.stringMatching(/^20\d\d-.*Z$/),
    });
  });

  it('refuses what is not an event, says so, and goes on', async () => {
    const got: string[] = [];
    const lines = await start(subscriber(() => {}).on('workflow.event', ({ id }) => void got.push(id)));
    await pubsub.topic('workflow.event').publishMessage({ data: Buffer.from('hello') });
    await expect.poll(() => outcomes(lines), { timeout: 25_000 }).toContain('refused');
    const sent = event('workflow.event');
    await publish('workflow.event', sent);
    await expect.poll(() => got, { timeout: 25_000 }).toEqual([sent.id]);
  });

  it('says which subscription does not exist and what to do, and takes from the others', async () => {
    const got: string[] = [];
    const lines = await start(
      subscriber(({ id }) => got.push(id)),
      { topics: ['pdf.approved', 'pdf.folded'] },
    );
    await expect
      .poll(() => lines, { timeout: 25_000 })
      .toContainEqual(
        expect.objectContaining({
          severity: 'ERROR',
          message: expect.stringMatching(/ledger\.pdf\.folded: .* in Terraform/),
        }),
      );
    const sent = event('pdf.approved');
    await publish('pdf.approved', sent);
    await expect.poll(() => got, { timeout: 25_000 }).toEqual([sent.id]);
  });

  it('handles so many of a subscription at once, and what it has pulled to the end when it is closed', async () => {
    let running = 0;
    let most = 0;
    const ended: string[] = [];
    const release = Promise.withResolvers<void>();
    const lines = await start(
      subscriber(() => {}).on('enricher.failed', async ({ id }) => {
        most = Math.max(most, ++running);
        await release.promise;
        running--;
        ended.push(id);
      }),
      { concurrency: 3 },
    );
    await Promise.all(Array.from({ length: 8 }, () => publish('enricher.failed', event('enricher.failed'))));
    await expect.poll(() => running, { timeout: 25_000 }).toBe(3);
    const closed = pulling.splice(0)[0]?.close();
    release.resolve();
    await closed;
    expect(most).toBe(3);
    expect(outcomes(lines)).toEqual(['handled', 'handled', 'handled']);
    expect(ended).toHaveLength(3);
  });

  it('hands the maker of dead letters to who is pushed to', async () => {
    const letter = {
      topic: 'dead-letter.ledger',
      data: Buffer.from('x'),
      attributes: { dead_letter_reason: 'r' },
      signal: new AbortController().signal,
      milliseconds: 30_000,
    };
    await deadLetters(pubsub)(letter);
    await expect(deadLetters(pubsub)({ ...letter, topic: 'dead-letter.nobody' })).rejects.toThrow(/NOT_FOUND/);
  });
});
