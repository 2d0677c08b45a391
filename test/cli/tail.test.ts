import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { PubSub } from '@google-cloud/pubsub';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GooglePublisher } from '../../functions/bus/google.ts';
import { provision } from '../../functions/bus/provision.ts';
import type { HeronEvent } from '../../functions/events/event.ts';
import { toMessage } from '../../functions/events/message.ts';
import { HERON_TOPICS } from '../../functions/heron/topics.ts';
import { hasPubSub, newProject } from '../emulators.ts';
import { HERON, heron } from '../end-to-end/local.ts';
import { event } from '../store/given.ts';
import { until } from '../until.ts';

describe.skipIf(!hasPubSub)('listening', { timeout: 240_000 }, () => {
  let config: { projectId: string; topicPrefix: string };
  let env: NodeJS.ProcessEnv;
  let publisher: GooglePublisher;
  const children: ChildProcess[] = [];

  beforeEach(async () => {
    config = { projectId: newProject(), topicPrefix: 'a-' };
    env = { ...process.env, GOOGLE_CLOUD_PROJECT: config.projectId, TOPIC_PREFIX: 'a-', NO_COLOR: '1' };
    await provision(config, { topics: ['end_user.processed', 'end_user.failed', 'pdf.failed'], subscriptions: [] });
    publisher = new GooglePublisher(config);
  });
  afterEach(async () => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    await publisher.close();
  });

  const publish = (each: HeronEvent) => publisher.publish(each.topic ?? '', toMessage(each), 10_000);
  /** Resolves once it listens. */
  const start = async (...args: string[]) => {
    const child = spawn(process.execPath, [HERON, ...args], { env });
    children.push(child);
    const said = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr'] as const)
      child[stream].on('data', (chunk) => {
        said[stream] += chunk;
      });
    await expect.poll(() => said.stderr, { timeout: 80_000 }).toMatch(/Listening to/);
    const stop = async () => {
      child.kill('SIGINT');
      const [code] = await once(child, 'exit');
      return code;
    };
    return { said, stop };
  };
  const subscriptions = async () => {
    const [all] = await new PubSub({ projectId: config.projectId }).getSubscriptions();
    return all.map(({ name }) => name.split('/').at(-1)).sort();
  };

  it('heron tail prints what flows, of whom it is asked for, and leaves nothing behind', async () => {
    const tailed = await start('tail', '--topic', 'end_user.*', '--end-user', 'acme');
    await publish(event({ topic: 'end_user.failed', heron_id: 'eus_b', end_user_id: 'other' }));
    await publish(event({ topic: 'end_user.failed', heron_id: 'eus_a', end_user_id: 'acme', status: 'failed' }));
    await expect.poll(() => tailed.said.stdout, { timeout: 80_000 }).toMatch(/ end_user\.failed +failed +acme\n/);
    expect(await tailed.stop()).toBe(0);
    expect(tailed.said.stdout).not.toMatch(/other/);
    expect(await subscriptions()).toEqual([]);
  });

  it('heron tail prints one below the other what belongs together, whatever the topic', async () => {
    const [longest = ''] = HERON_TOPICS.toSorted((a, b) => b.length - a.length);
    await provision(config, { topics: [longest], subscriptions: [] });
    const tailed = await start('tail', '--topic', longest, 'pdf.failed');
    for (const topic of [longest, 'pdf.failed'])
      await publish(event({ topic, heron_id: 'eus_a', end_user_id: 'acme' }));
    await until(() => tailed.said.stdout.trim().split('\n').length === 2);
    expect(await tailed.stop()).toBe(0);
    const columns = tailed.said.stdout
      .trim()
      .split('\n')
      .map((line) => [line.indexOf('–'), line.indexOf('acme')]);
    expect(columns[0]).toEqual(columns[1]);
  });

  it('ends in a line where there is no such topic', async () => {
    const { code, stdout } = await heron(['tail', '--topic', 'pdf.processed', '--json', '--quiet'], env);
    expect({ code, ...JSON.parse(stdout) }).toMatchObject({ code: 1, error: { code: 'not-found' } });
    expect(await heron(['tail', '--topic', 'nothing.*'], env)).toMatchObject({ code: 2 });
  });
});
