import { createHash } from 'node:crypto';
import { userInfo } from 'node:os';
import { Firestore } from '@google-cloud/firestore';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { visitDeadLetters } from '../../functions/bus/dead-letter-tour.ts';
import { GooglePublisher } from '../../functions/bus/google.ts';
import { GoogleSubscriber } from '../../functions/bus/google-subscriber.ts';
import { provision } from '../../functions/bus/provision.ts';
import { deadLetterTopic } from '../../functions/bus/topology.ts';
import { clock } from '../../functions/clock.ts';
import { toDeadLetter } from '../../functions/events/dead-letter.ts';
import type { HeronEvent } from '../../functions/events/event.ts';
import { toMessage } from '../../functions/events/message.ts';
import { CANARY_ID, CANARY_TOPIC } from '../../functions/heron/canary.ts';
import { FirestoreStore } from '../../functions/store/firestore.ts';
import { hasFirestore, hasPubSub, newProject } from '../emulators.ts';
import { heron } from '../end-to-end/local.ts';
import { event, foldOf, logged, persistently, sized } from '../store/given.ts';
import { killedAfterCommit } from './killed.ts';
import { said } from './said.ts';

describe.skipIf(!hasFirestore || !hasPubSub)('heron forget', () => {
  let projectId: string;
  let env: NodeJS.ProcessEnv;
  let store: FirestoreStore;
  let db: Firestore;

  beforeEach(async () => {
    projectId = newProject();
    env = { ...process.env, GOOGLE_CLOUD_PROJECT: projectId, TOPIC_PREFIX: 'a-', NO_COLOR: '1' };
    store = new FirestoreStore({ projectId, databaseId: '(default)' }, clock);
    db = new Firestore({ projectId });
    await deadLetters({ projector: [] });
  });

  afterEach(async () => {
    await Promise.all([store.close(), db.terminate()]);
  });

  const forget = async (...args: string[]): Promise<Readonly<Record<string, unknown>>> => {
    const { code, stdout, stderr } = await heron(['forget', '--json', ...args], env);
    return { code, stderr: said(stderr), ...JSON.parse(stdout) };
  };
  /** All that is left anywhere in Firestore of an end user, but its tombstone. */
  const remains = async (heronId: string) => {
    const groups = ['events', 'body'].map((group) => db.collectionGroup(group).where('heron_id', '==', heronId).get());
    return (await Promise.all(groups)).flatMap(({ docs }) => docs.map(({ ref }) => ref.path));
  };

  /** Dead letters of subscribers, each under its prefix. */
  const deadLetters = async (letters: Readonly<Record<string, readonly HeronEvent[]>>, topicPrefix = 'a-') => {
    const config = { projectId, topicPrefix };
    const topics = Object.keys(letters).map(deadLetterTopic);
    await provision(config, { topics, subscriptions: topics.map((name) => ({ name, topic: name })) });
    const publisher = new GooglePublisher(config);
    for (const [subscriber, events] of Object.entries(letters))
      for (const [n, each] of events.entries()) {
        const { data, attributes } = toMessage(each);
        // Every other one names its end user in its body only.
        const message = toDeadLetter({ data, attributes: n % 2 ? {} : attributes }, { subscriber, reason: 'a test' });
        await publisher.publish(deadLetterTopic(subscriber), message, 10_000);
      }
    await publisher.close();
  };
  const leftLetters = async (name: string, topicPrefix = 'a-') => {
    const subscriber = new GoogleSubscriber({ projectId, topicPrefix });
    const left: string[] = [];
    await visitDeadLetters({ subscriber, name, chosen: 'all' }, async (letters) => {
      left.push(...letters.map(({ message }) => Buffer.from(message.data).toString()));
    });
    await subscriber.close();
    return left.sort();
  };

  it('erases an end user wherever it is, leaves a tombstone and all others, and tells what it did', async () => {
    const own = [1, 2, 3, 4].map((n) => event({ heron_id: 'eus_a', end_user_id: 'x', n }));
    const others = [event({ heron_id: 'eus_ab' }), logged('{"heron_id":"eus_a"}'), logged('not JSON')];
    await store.append([...own, event({ heron_id: 'eus_a', created: 'no time' })]);
    await store.append([sized(2_000_000, { heron_id: 'eus_a' })]);
    for (const other of others) await store.append([other]);
    await deadLetters({ projector: [...own, ...others], mailer: own.slice(2), idle: [] });
    await deadLetters({ projector: own }, 'b-');

    const { code, stderr, tombstone, ...did } = await forget('eus_a', '--by', 'Ada');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(did).toEqual({
      heron_id: 'eus_a',
      state: true,
      events: 6,
      bodies: 1,
      dead_letters: { projector: 4, mailer: 2, idle: 0 },
      incomplete: false,
      shared: [],
    });
    const end_user_ids = [createHash('sha256').update('x').digest('hex')];
    expect(tombstone).toEqual({ at: expect.stringMatching(/^2\d+-.*Z$/), by: 'Ada', events: 6, end_user_ids });
    expect((await db.doc('end_users/eus_a').get()).data()).toEqual({
      forgotten: { at: expect.anything(), by: 'Ada', events: 6, end_user_ids },
    });
    expect(await remains('eus_a')).toEqual([]);
    expect(await store.endUser('eus_ab')).toEqual(foldOf(others));
    expect(await leftLetters('projector')).toEqual(others.map(({ body }) => Buffer.from(body).toString()).sort());
    expect(await leftLetters('mailer')).toEqual([]);
    expect(await leftLetters('projector', 'b-')).toHaveLength(4);
  });

  it('says so for people, and when it is run again', async () => {
    await store.append([event({ heron_id: 'eus_a' })]);
    const first = await heron(['forget', 'eus_a', '--by', 'Ada', '--quiet'], env);
    expect(first).toMatchObject({ code: 0, stderr: '' });
    expect(first.stdout).toMatch(
      /state +erased\n +events +1 erased\n +bodies +0 .*\n +dead letters +0 of projector .*\n +tombstone +2\S+Z by "Ada", 1 event\n/,
    );
    expect(await store.append([event({ heron_id: 'eus_a' })])).toEqual(['forgotten']);
    expect(await forget('eus_a', '--by', 'Bob')).toMatchObject({
      code: 0,
      state: false,
      events: 0,
      tombstone: { by: 'Ada', events: 1 },
    });
  });

  it('takes what names only its customer’s id, but for an id of others: then it names that, and exits with 1', async () => {
    const ofId = (end_user_id: string, n = 1) => event({ topic: 'pdf.processed', heron_id: 'pdf_1', end_user_id, n });
    await store.append([event({ heron_id: 'eus_a', end_user_id: 'own', created: '2026-01-01T00:00:00' })]);
    for (const heron_id of ['eus_a', 'eus_b']) await store.append([event({ heron_id, end_user_id: 'shared' })]);
    const [gone, stays] = [ofId('own'), ofId('shared')];
    for (const each of [gone, stays]) await store.append([each]);
    await deadLetters({ projector: [ofId('own', 2), ofId('shared', 2)] });
    const shared = [{ end_user_id: 'shared', heron_ids: ['eus_b'], event_ids: [stays.event_id] }];
    const first = await forget('eus_a');
    expect(first).toMatchObject({ code: 1, events: 3, shared, dead_letters: { projector: 1 } });
    expect(first.stderr).toContain(`"shared" stays, as it is also that of eus_b: ${stays.event_id}`);
    expect(await store.event(gone.event_id)).toBeNull();
    expect(await store.append([ofId('own', 3)])).toEqual(['forgotten']);
    expect(await forget('eus_a')).toMatchObject({ code: 1, events: 0, shared });
  }, 60_000);

  it('exits with 1 where there was nothing, and the tombstone stands', async () => {
    const { code, stderr, tombstone } = await forget('eus_a');
    expect(code).toBe(1);
    expect(stderr).toMatch(/^Nothing of it was found\. .* until --lift\.\n$/);
    expect(tombstone).toMatchObject({ by: userInfo().username, events: 0 });
    expect(await store.append([event({ heron_id: 'eus_a' })])).toEqual(['forgotten']);
  });

  it('is no success where it finds no dead letters to look through at all', async () => {
    await store.append([event({ heron_id: 'eus_a' })]);
    env = { ...env, TOPIC_PREFIX: 'other-' };
    const { code, stderr, ...did } = await forget('eus_a');
    expect({ code, ...did }).toMatchObject({ code: 1, state: true, events: 1, dead_letters: {} });
    expect(stderr).toMatch(
      /^There is no subscription other-dead-letter\.… in test-\S+, .*: check .* TOPIC_PREFIX.*\n$/,
    );
  });

  it('says on which project, database and prefix it works', async () => {
    const { stderr } = await heron(['forget', 'eus_a'], env);
    expect(stderr).toMatch(`Project ${projectId}, database (default), topic prefix a-, Firestore emulator at `);
  });

  it('--lift lets new events count again', async () => {
    await store.append([event({ heron_id: 'eus_a', n: 1 })]);
    await forget('eus_a');
    expect(await forget('eus_a', '--lift')).toMatchObject({ code: 0, lifted: { events: 1 } });
    const again = await heron(['forget', 'eus_a', '--lift', '--quiet'], env);
    expect(again).toMatchObject({ code: 1, stdout: '', stderr: 'heron: eus_a is not forgotten.\n' });
    const after = event({ heron_id: 'eus_a', n: 2 });
    expect(await store.append([after])).toEqual(['appended']);
    expect(await store.endUser('eus_a')).toEqual(foldOf([after]));
  });

  it.each([1, 2, 4])('killed after %i commits and run again, has erased all and counted it right', async (nth) => {
    const given = Array.from({ length: 450 }, (_, n) => event({ heron_id: 'eus_a', n }));
    for (let n = 0; n < given.length; n += 50) await store.append(given.slice(n, n + 50));
    await store.append([sized(1_000_000, { heron_id: 'eus_a' })]);
    const late = (async () => {
      const outcomes: string[] = [];
      for (let n = 0, forgotten = 0; forgotten < 6; n++) {
        const sent = n % 5 === 0 ? sized(1_000_000, { heron_id: 'eus_a', n }) : event({ heron_id: 'eus_a', late: n });
        const [outcome = ''] = await persistently(() => store.append([sent]));
        outcomes.push(outcome);
        if (outcome === 'forgotten') forgotten++;
      }
      return outcomes;
    })();
    const killed = await killedAfterCommit({ of: '/events/', nth }, ['forget', 'eus_a', '--quiet'], env);
    expect(killed).toMatchObject({ signal: 'SIGKILL', stderr: '' });
    expect(await remains('eus_a')).not.toEqual([]);

    const outcomes = await late;
    const events = 451 + outcomes.filter((outcome) => outcome !== 'forgotten').length;
    expect(await forget('eus_a')).toMatchObject({ code: 0, tombstone: { events } });
    expect(await remains('eus_a')).toEqual([]);
    expect(await store.endUser('eus_a')).toBeNull();
  });

  it.each([[[]], [['--lift']]])('refuses doctor’s canary, and leaves it as it is: %j', async (options) => {
    const created = new Date().toISOString();
    const canary = (n: number) => event({ topic: CANARY_TOPIC, heron_id: CANARY_ID, created, n });
    expect(await store.append([canary(1)])).toEqual(['appended']);
    const { code, stdout, stderr } = await heron(['forget', CANARY_ID, ...options], env);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(
      /^heron: eus_canary is nobody: heron doctor sends its events, which leave the log after a day/,
    );
    expect(await store.append([canary(2)])).toEqual(['appended']);
    expect(await store.endUser(CANARY_ID)).toEqual(foldOf([canary(1), canary(2)]));
  });

  it.each([
    [['myenduser'], /"myenduser" is not a heron_id/],
    [['eus_a/../eus_b'], /is not a heron_id/],
    [[], /missing required argument/],
  ])('misused with %j exits with 2', async (args, message) => {
    const { code, stdout, stderr } = await heron(['forget', ...args], env);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(message);
  });
});
