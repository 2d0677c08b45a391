import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GooglePublisher } from '../../functions/bus/google.ts';
import { GoogleSubscriber } from '../../functions/bus/google-subscriber.ts';
import { provision } from '../../functions/bus/provision.ts';
import { findEmulator, type Started, startEmulator } from '../../functions/local/emulators.ts';
import { hasPubSub, newProject } from '../emulators.ts';
import { proxyTo, type TcpProxy } from '../proxy.ts';

/** What ingest gives a publish. */
const DEADLINE_MS = 6_000;
const CLOSE_MS = 500;

// An emulator of its own: it is paused and killed here.
const installed = findEmulator('Pub/Sub', { ...process.env, PUBSUB_EMULATOR_HOST: undefined });

describe.skipIf(!hasPubSub || installed.kind !== 'installed')('the publisher, when Pub/Sub fails', () => {
  const config = { projectId: newProject(), topicPrefix: '' };
  let emulator: Started;
  let proxy: TcpProxy;
  let publisher: GooglePublisher;

  beforeAll(async () => {
    if (installed.kind !== 'installed') throw new Error('skipped above');
    emulator = await startEmulator('Pub/Sub', installed.command);
    await emulator.ready;
    proxy = await proxyTo(emulator.host);
    process.env.PUBSUB_EMULATOR_HOST = proxy.host;
    await provision(config, { topics: ['log'], subscriptions: [{ name: 'log', topic: 'log' }] });
    publisher = new GooglePublisher(config);
  });

  afterAll(async () => {
    emulator.child.kill('SIGKILL');
    await publisher.close();
    await proxy.close();
  });

  const publish = async (text: string) => {
    const started = performance.now();
    const outcome = await publisher.publish('log', { data: Buffer.from(text), attributes: {} }, DEADLINE_MS).then(
      () => 'confirmed',
      () => 'failed',
    );
    return { outcome, took: performance.now() - started };
  };
  const published = async () => {
    const subscriber = new GoogleSubscriber(config);
    const texts = new Set<string>();
    for (;;) {
      const pulled = await subscriber.pull('log', 100);
      if (pulled.length === 0) break;
      for (const { message } of pulled) texts.add(Buffer.from(message.data).toString());
      await subscriber.acknowledge(
        'log',
        pulled.map(({ ackId }) => ackId),
      );
    }
    await subscriber.close();
    return texts;
  };
  const expectFailure = ({ outcome, took }: Awaited<ReturnType<typeof publish>>) => {
    expect(outcome).toBe('failed');
    expect(took).toBeLessThan(DEADLINE_MS + CLOSE_MS);
  };
  const expectSuccess = ({ outcome, took }: Awaited<ReturnType<typeof publish>>, within: number) => {
    expect(outcome).toBe('confirmed');
    expect(took).toBeLessThan(within);
  };

  it('goes over a new connection when the old one is half-open', async () => {
    expectSuccess(await publish('before'), DEADLINE_MS);
    proxy.halfOpen();
    expectSuccess(await publish('half-open'), DEADLINE_MS);
    expectSuccess(await publish('after'), 1_000);
    expect(await published()).toEqual(new Set(['before', 'half-open', 'after']));
  });

  it('fails in time while nothing answers, and sends none of it later', async () => {
    proxy.silence();
    const failed = await Promise.all(Array.from({ length: 20 }, (_, n) => publish(`silenced ${n}`)));
    for (const one of failed) expectFailure(one);
    await proxy.restore();
    expectSuccess(await publish('heard again'), DEADLINE_MS);
    expect(await published()).toEqual(new Set(['heard again']));
  });

  it('fails in time while connections are refused, and is back within seconds', async () => {
    await proxy.cut();
    expectFailure(await publish('cut'));
    expectFailure(await publish('still cut'));
    await proxy.restore();
    expectSuccess(await publish('reconnected'), DEADLINE_MS);
    expect(await published()).toEqual(new Set(['reconnected']));
  });

  it('fails in time while Pub/Sub is paused, and is back within seconds', async () => {
    emulator.child.kill('SIGSTOP');
    const [first, ...others] = await Promise.all(Array.from({ length: 20 }, (_, n) => publish(`paused ${n}`)));
    for (const one of [first, ...others]) if (one) expectFailure(one);
    emulator.child.kill('SIGCONT');
    expectSuccess(await publish('resumed'), DEADLINE_MS);
    expect(await published()).toContain('resumed');
  });
});
