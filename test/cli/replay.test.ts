import { Firestore } from '@google-cloud/firestore';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GoogleSubscriber } from '../../functions/bus/google-subscriber.ts';
import { provision } from '../../functions/bus/provision.ts';
import { matches } from '../../functions/cli/topic-pattern.ts';
import { clock } from '../../functions/clock.ts';
import type { HeronEvent } from '../../functions/events/event.ts';
import type { Message } from '../../functions/events/message.ts';
import { FirestoreStore } from '../../functions/store/firestore.ts';
import { hasFirestore, hasPubSub, newProject } from '../emulators.ts';
import { heron } from '../end-to-end/local.ts';
import { event, logged, sized } from '../store/given.ts';
import { killedAfterMessage } from './killed.ts';

describe('a pattern of topics', () => {
  it.each([
    ['end_user.*', 'end_user.processed', true],
    ['end_user.*', 'end_users.processed', false],
    ['*', 'x', true],
    ['*.failed', 'pdf.failed', true],
    ['pdf.failed', 'pdfxfailed', false],
    ['a+b', 'aab', false],
  ])('%s and %s: %j', (pattern, topic, expected) => {
    expect(matches(pattern, topic)).toBe(expected);
  });
});

describe.skipIf(!hasFirestore || !hasPubSub)('heron replay', { timeout: 180_000 }, () => {
  let config: { projectId: string; databaseId: string; topicPrefix: string };
  let env: NodeJS.ProcessEnv;
  let db: Firestore;

  beforeEach(async () => {
    config = { projectId: newProject(), databaseId: '(default)', topicPrefix: 'a-' };
    env = { ...process.env, GOOGLE_CLOUD_PROJECT: config.projectId, TOPIC_PREFIX: 'a-' };
    db = new Firestore({ projectId: config.projectId });
    const read = ['end_user.processed', 'pdf.failed', 'unrouted', 'doctor.canary'];
    const topics = [...read, 'pdf.processed', 'replay.reader', 'replay.other'];
    const subscriptions = [
      ...read.map((topic) => ({ name: `reader.${topic}`, topic })),
      { name: 'other.pdf.processed', topic: 'pdf.processed' },
      ...['replay.reader', 'replay.other'].map((topic) => ({ name: topic, topic })),
    ];
    await provision(config, { topics, subscriptions });
  });

  afterEach(() => db.terminate());

  const given = async (...events: readonly HeronEvent[]) => {
    const store = new FirestoreStore(config, clock);
    for (const each of events) await store.append([each]);
    await store.close();
  };
  const waiting = async (subscription: string): Promise<readonly Message[]> => {
    const subscriber = new GoogleSubscriber(config);
    const all: Message[] = [];
    for (let some = await subscriber.pull(subscription, 100); some.length > 0; ) {
      all.push(...some.map(({ message }) => message));
      await subscriber.acknowledge(
        subscription,
        some.map(({ ackId }) => ackId),
      );
      some = await subscriber.pull(subscription, 100);
    }
    await subscriber.close();
    return all;
  };
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await heron(['replay', '--json', '--rate', '5000', ...args], env);
    return { code, stderr, ...JSON.parse(stdout) };
  };
  const idsOf = (messages: readonly Message[]) => messages.map(({ attributes }) => attributes['ce-id']).sort();
  const ids = (events: readonly HeronEvent[]) => events.map(({ event_id }) => event_id).sort();

  const subscribed = [
    event({ topic: 'end_user.processed', heron_id: 'eus_a', created: '2026-08-01T00:00:00Z' }),
    event({ topic: 'end_user.processed', heron_id: 'eus_b', created: '2026-08-02T00:00:00Z' }),
    sized(100_000, { topic: 'pdf.failed', heron_id: 'eus_a', created: '2026-08-03T00:00:00Z' }),
    logged('not JSON'),
    event({ topic: 'new.topic', heron_id: 'eus_a', created: '2026-08-04T00:00:00Z' }),
  ];
  const others = [event({ topic: 'pdf.processed', heron_id: 'eus_a', created: '2026-08-02T00:00:00Z' })];

  it('sends what the subscriber subscribes to, marked, to it alone, byte for byte', async () => {
    await given(...subscribed, ...others, event({ topic: 'doctor.canary', heron_id: 'eus_canary' }));
    const dry = await run('--to', 'reader', '--dry-run');
    expect(dry).toMatchObject({ code: 0, events: subscribed.length, dry_run: true, replay_id: null });
    expect(await waiting('replay.reader')).toEqual([]);

    const done = await run('--to', 'reader');
    expect(done).toMatchObject({ code: 0, events: subscribed.length, failed: 0, resumed: false, subscriber: 'reader' });
    const messages = await waiting('replay.reader');
    expect(idsOf(messages)).toEqual(ids(subscribed));
    expect(new Set(messages.map(({ attributes }) => attributes['ce-replayid']))).toEqual(new Set([done.replay_id]));
    const bodies = messages.map(({ data }) => Buffer.from(data).toString('base64')).sort();
    expect(bodies).toEqual(subscribed.map(({ body }) => Buffer.from(body).toString('base64')).sort());
    for (const name of ['replay.other', 'reader.end_user.processed', 'reader.unrouted', 'other.pdf.processed'])
      expect(await waiting(name)).toEqual([]);
  });

  it('takes only what is asked for', async () => {
    await given(...subscribed, ...others);
    const [first, second] = subscribed as [HeronEvent, HeronEvent];
    const only = async (...args: string[]) => {
      await run('--to', 'reader', ...args);
      return idsOf(await waiting('replay.reader'));
    };
    expect(await only('--topic', 'pdf.*', '--end-user', 'eus_a')).toEqual(
      ids([subscribed[2] as HeronEvent, ...others]),
    );
    expect(await only('--topic', 'end_user.*', '--from', '2026-08-02T00:00:00Z')).toEqual(ids([second]));
    expect(await only('--until', '2026-08-02T00:00:00Z', '--topic', 'end_user.processed')).toEqual(ids([first]));
  });

  const givenMany = async (count: number) => {
    const all = Array.from({ length: count }, (_, n) =>
      event({ topic: 'end_user.processed', heron_id: `eus_${n % 7}`, n }),
    );
    const store = new FirestoreStore(config, clock);
    await Promise.all(Array.from({ length: 7 }, (_, k) => store.append(all.filter((_, n) => n % 7 === k))));
    await store.close();
    return all;
  };
  /** What Firestore remembers of the replay. */
  const remembered = async () => {
    const { docs } = await db.collection('upkeep').get();
    const [only] = docs.filter(({ id }) => id.startsWith('replay-reader-'));
    return only && { ref: only.ref, state: JSON.parse(only.get('state')), runner: only.get('runner') };
  };

  it('killed twice and run again, from elsewhere too, has sent all under one mark, and counts each once', async () => {
    const all = await givenMany(350);
    /** Killed once Pub/Sub has taken so many more. */
    const cut = (nth: number) =>
      killedAfterMessage({ of: 'replay.reader', nth }, ['replay', '--to', 'reader', '--rate', '5000'], env);
    expect(await cut(30)).toMatchObject({ signal: 'SIGKILL' });
    expect((await remembered())?.state.events).toBe(0); // within the first page: it begins there again
    const second = await cut(130);
    expect(second).toMatchObject({ signal: 'SIGKILL', stderr: expect.stringMatching(/Going on with .*: 0 events/) });
    expect((await remembered())?.state.events).toBe(100);
    const dead = await remembered();
    await dead?.ref.update({ runner: { ...dead.runner, host: 'elsewhere' } });
    const done = await run('--to', 'reader');
    expect(done).toMatchObject({ code: 0, events: 350, resumed: true });
    expect(done.stderr).toMatch(/A process on elsewhere sends this replay.*waiting/);
    const messages = await waiting('replay.reader');
    expect([...new Set(idsOf(messages))]).toEqual(ids(all));
    expect(new Set(messages.map(({ attributes }) => attributes['ce-replayid']))).toEqual(new Set([done.replay_id]));
    expect((await remembered())?.state).toMatchObject({ events: 350, done: [], at: null });
  });

  it('run twice at once, sends each once, and both say so; run again later, it is another replay', async () => {
    const all = await givenMany(250);
    const both = await Promise.all([run('--to', 'reader', '--rate', '60'), run('--to', 'reader', '--rate', '60')]);
    expect(both.map(({ code, events }) => ({ code, events }))).toEqual([
      { code: 0, events: 250 },
      { code: 0, events: 250 },
    ]);
    expect(both[0].replay_id).toBe(both[1].replay_id);
    expect(idsOf(await waiting('replay.reader'))).toEqual(ids(all));
    const later = await run('--to', 'reader');
    expect(later).toMatchObject({ code: 0, events: 250, resumed: false });
    expect(later.replay_id).not.toBe(both[0].replay_id);
  });

  it.each([
    [['--to', 'nobody'], 1, /has no subscription a-replay\.nobody/],
    [['--to', 'reader', '--topic', 'nothing.*'], 2, /No topic is nothing/],
    [['--to', 'reader', '--end-user', 'acme'], 2, /is not a heron_id/],
    [['--to', 'reader', '--end-user', 'eus_canary'], 2, /heron doctor/],
    [['--to', 'reader', '--topic', 'doctor.*'], 2, /No topic is doctor/],
  ])('that cannot be is told in a line: %j', async (args, code, message) => {
    const { code: exit, stderr } = await heron(['replay', '--quiet', ...args], env);
    expect(exit).toBe(code);
    expect(stderr).toMatch(message);
  });
});
