import { Firestore } from '@google-cloud/firestore';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { rebuildWith } from '../../functions/cli/rebuild.ts';
import { clock } from '../../functions/clock.ts';
import { FOLD_VERSION } from '../../functions/events/end-user.ts';
import type { HeronEvent } from '../../functions/events/event.ts';
import { instantOf } from '../../functions/heron/instant.ts';
import { FirestoreStore } from '../../functions/store/firestore.ts';
import { MemoryStore } from '../../functions/store/memory.ts';
import { hasFirestore, newProject } from '../emulators.ts';
import { heron } from '../end-to-end/local.ts';
import { event, foldOf, misread, persistently } from '../store/given.ts';
import { killedAfterCommit } from './killed.ts';
import { said } from './said.ts';

describe('a rebuild that was cut off', () => {
  const HOUR = 3_600_000;

  /** The tally of a rebuild, where one of so long ago had come past the first of two end users. */
  const resumed = async (milliseconds: number) => {
    const [now, then] = [instantOf(10 * HOUR), instantOf(10 * HOUR - milliseconds)];
    const store = new MemoryStore(() => then);
    for (const heron_id of ['eus_a', 'eus_b']) await store.append([event({ heron_id })]);
    const place = { heron_id: 'eus_a', event: null };
    const tally = { right: 1, events: 1 };
    await store.saveCheckpoint({ place, started_at: then, saved_at: then, fold_version: FOLD_VERSION, tally });
    let seen = 0;
    const { survey } = store;
    store.survey = async function* (after) {
      for await (const stretch of survey.call(store, after)) {
        seen += stretch.read;
        yield stretch;
      }
    };
    const rebuilt = await rebuildWith(store, { dryRun: false, restart: false, concurrency: 4 }, () => now);
    expect(rebuilt.tally).toMatchObject({ right: 2, events: 2 });
    expect(await store.checkpoint()).toBeNull();
    return { seen, isOfThen: rebuilt.startedAt === then };
  };

  it('is gone on with for six hours, and then never again: it may have come back with a backup', async () => {
    expect(await resumed(6 * HOUR)).toEqual({ seen: 1, isOfThen: true });
    expect(await resumed(6 * HOUR + 1)).toEqual({ seen: 2, isOfThen: false });
  });
});

describe.skipIf(!hasFirestore)('heron rebuild', () => {
  let env: NodeJS.ProcessEnv;
  let store: FirestoreStore;
  let db: Firestore;

  beforeEach(() => {
    const config = { projectId: newProject(), databaseId: '(default)' };
    env = { ...process.env, GOOGLE_CLOUD_PROJECT: config.projectId, NO_COLOR: '1' };
    store = new FirestoreStore(config, clock);
    db = new Firestore(config);
  });

  afterEach(async () => {
    await Promise.all([store.close(), db.terminate()]);
  });

  const rebuild = async (...args: string[]) => {
    const { code, stdout, stderr } = await heron(['rebuild', '--json', ...args], env);
    return { code, stderr: said(stderr), ...(JSON.parse(stdout) as Record<string, unknown>) };
  };
  const tamper = (heronId: string, fields: Record<string, unknown>) =>
    db.doc(`end_users/${heronId}`).set(fields, { merge: true });
  /** Events of so many end users, in the log and folded. */
  const given = async (endUsers: number): Promise<ReadonlyMap<string, readonly HeronEvent[]>> => {
    const ids = Array.from({ length: endUsers }, (_, n) => `eus_${String(n).padStart(4, '0')}`);
    const events = new Map(
      ids.map((heron_id) => [
        heron_id,
        ['processed', 'ready'].map((status) => event({ heron_id, end_user_id: heron_id, status })),
      ]),
    );
    await Promise.all([...events.values()].map((each) => persistently(() => store.append(each))));
    return events;
  };
  const expectRight = async (all: ReadonlyMap<string, readonly HeronEvent[]>) => {
    for (const [heronId, events] of all) expect(await store.endUser(heronId)).toEqual(foldOf(events));
  };

  it('shows what differs before it sets it right', async () => {
    const all = await given(3);
    await tamper('eus_0001', { status: 'failed\u009b', event_count: 9, meta: null });
    await db.doc('end_users/eus_0002').delete();
    const before = (await db.doc('end_users/eus_0001').get()).data();

    const shown = await heron(['rebuild', '--dry-run'], env);
    expect(shown.code).toBe(1);
    expect(shown.stdout).toContain(
      'eus_0001\n  status          "failed\ufffd" → "processed"\n  event_count     9 → 2\n\neus_0002\n  has no state\n',
    );
    expect(shown.stdout).toMatch(
      /6 events of 3 end users in [\d.]+ s: 2 states would differ, 1 right as they were\.\n/,
    );
    expect(shown.stdout).toContain('1 end user the log has fewer events than its state had counted: it would start');
    expect((await db.doc('end_users/eus_0001').get()).data()).toEqual(before);
    expect(await store.endUser('eus_0002')).toBeNull();

    expect(await rebuild()).toMatchObject({
      code: 0,
      stderr: '',
      end_users: 3,
      different: 2,
      right: 1,
      fewer_events: 1,
    });
    await expectRight(all);
    expect(await rebuild('--dry-run')).toMatchObject({ code: 0, different: 0, right: 3, differences: [] });
  });

  it('keeps a state whose events are gone, and touches no tombstone', async () => {
    await given(2);
    const { docs } = await db.collection('events').where('heron_id', '==', 'eus_0000').get();
    for (const { ref } of docs) await ref.delete();
    await db.doc('end_users/eus_0001').set({ forgotten: { at: new Date(), by: 'me', events: 0 } });
    const before = await db.collection('end_users').get();
    expect(await rebuild()).toMatchObject({ code: 0, end_users: 2, without_events: 1, forgotten: 1, different: 0 });
    const after = await db.collection('end_users').get();
    expect(after.docs.map((each) => each.data())).toEqual(before.docs.map((each) => each.data()));
  });

  it('takes one end user alone', async () => {
    const all = await given(2);
    for (const id of all.keys()) await tamper(id, { status: 'wrong' });
    expect(await rebuild('--end-user', 'eus_0001')).toMatchObject({ code: 0, end_users: 1, different: 1 });
    expect(await store.endUser('eus_0000')).toMatchObject({ status: 'wrong' });
    expect(await store.endUser('eus_0001')).toMatchObject({ status: 'processed' });
    const unknown = await heron(['rebuild', '--end-user', 'eus_unknown'], env);
    expect(unknown).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('"eus_unknown"') });
  });

  it('goes on with the others where one cannot be recomputed, and says so', async () => {
    await given(2);
    await db.collection('events').add({ ...(await anEvent()), heron_id: 'eus_0000', bytes: 50_000, body: null });
    const { code, stderr, ...rest } = await rebuild();
    expect({ code, ...rest }).toMatchObject({ code: 1, failed: 1, right: 1 });
    expect(stderr).toMatch(/^eus_0000 could not be recomputed: The body of event \w+ is not complete\.\n$/);
  });

  it('goes on where it was killed, and ends with all of them right', async () => {
    const all = await given(530);
    for (const id of all.keys()) await tamper(id, { status: 'wrong' });
    const killed = await killedAfterCommit({ of: '/upkeep/', nth: 1 }, ['rebuild', '--quiet'], env);
    expect(killed).toMatchObject({ signal: 'SIGKILL', stderr: '' });
    expect((await db.collection('end_users').where('status', '==', 'wrong').count().get()).data().count).not.toBe(0);

    const { code, stderr, ...rest } = await rebuild();
    expect(stderr).toMatch(/^Going on behind eus_0248, /);
    expect({ code, ...rest }).toMatchObject({ code: 0, end_users: 530, events: 1_060, failed: 0, unknown: 0 });
    await expectRight(all);
    expect((await db.doc('upkeep/rebuild').get()).exists).toBe(false);
  });

  it('killed while it sets the log right leaves no event without its end user', async () => {
    const given = Array.from({ length: 45 }, (_, n) => event({ heron_id: 'eus_a', end_user_id: 'x', n }));
    for (const each of given) await store.append([misread(each, { heron_id: null, undocumented: 'odd' })]);
    const killed = await killedAfterCommit({ of: '/events/', nth: 2 }, ['rebuild', '--quiet'], env);
    expect(killed).toMatchObject({ signal: 'SIGKILL' });
    expect(await store.endUser('eus_a')).toMatchObject({ event_count: 40 });
    expect((await db.collection('events').where('heron_id', '==', 'eus_a').count().get()).data().count).toBe(40);

    const shown = await heron(['rebuild'], env);
    expect(shown).toMatchObject({ code: 0, stdout: expect.stringContaining('\n  heron_id        null → "eus_a"\n') });
    expect(shown.stdout).toContain(
      'Of 5 events the log said something else than their bodies do: that is set right.\n',
    );
    expect(shown.stdout).toContain('5 events of them have moved to another end user.\n');
    expect(await store.endUser('eus_a')).toEqual(foldOf(given));
    expect(await rebuild('--dry-run')).toMatchObject({ code: 0, events_misread: 0, right: 1, misread: [] });
  });

  it('says what it would read in another way, and of whom it counts nothing', async () => {
    const [given] = [event({ heron_id: 'eus_a' })];
    await store.append([misread(given, { status: 'ready' })]);
    await store.append([event({ heron_id: 'eus_untimed', created: 'yesterday' })]);
    const differences = [{ field: 'status', stored: 'ready', computed: 'processed' }];
    expect(await rebuild('--dry-run')).toMatchObject({
      code: 1,
      stderr: 'eus_untimed has no state: none of its events has a time.\n',
      ...{ events: 2, events_misread: 1, events_moved: 0, events_untimed: 1, untimed: 1, different: 1 },
      misread: [{ event_id: given.event_id, differences }],
    });
    expect(await store.event(given.event_id)).toMatchObject({ status: 'ready' });
    expect(await rebuild()).toMatchObject({ code: 0, events_misread: 1, different: 1 });
    expect(await rebuild()).toMatchObject({ code: 0, events_misread: 0, events_untimed: 1, untimed: 1 });
    expect(await rebuild('--end-user', 'eus_untimed')).toMatchObject({ code: 0, untimed: 1, events_untimed: 1 });
  });

  it('begins anew where it is told to, or where the one that was cut off was of another fold', async () => {
    const place = { heron_id: 'eus_0001', event: null };
    const checkpoint = { place, started_at: new Date(), fold_version: FOLD_VERSION, tally: {} };
    await given(3);
    await db.doc('upkeep/rebuild').set(checkpoint);
    expect(await rebuild('--restart')).toMatchObject({ code: 0, end_users: 3, stderr: '' });
    await db.doc('upkeep/rebuild').set({ ...checkpoint, fold_version: FOLD_VERSION - 1 });
    expect(await rebuild()).toMatchObject({ code: 0, end_users: 3, stderr: '' });
    await db.doc('upkeep/rebuild').set(checkpoint);
    expect(await rebuild('--dry-run')).toMatchObject({ code: 0, end_users: 3, stderr: '' });
    expect(await rebuild()).toMatchObject({ code: 0, end_users: 1 });
  });

  it('is right while events keep arriving, new end users among them', async () => {
    const all = new Map([...(await given(40))].map(([id, events]) => [id, [...events]]));
    for (const id of all.keys()) await tamper(id, { status: 'wrong', 'fold.keys': null });
    let rebuilt = false;
    const arriving = (async () => {
      for (let n = 0; !rebuilt; n++) {
        const heron_id = `eus_${String((n * 7) % 50).padStart(4, '0')}`;
        const late = event({ heron_id, n, created: `2026-09-01T00:00:00.${String(n).padStart(6, '0')}` });
        await persistently(() => store.append([late]));
        all.set(heron_id, [...(all.get(heron_id) ?? []), late]);
      }
    })();
    expect(await rebuild('--concurrency', '4')).toMatchObject({ code: 0, failed: 0 });
    rebuilt = true;
    await arriving;
    await expectRight(all);
  });

  it.each([
    [['--concurrency', '0'], {}, /whole number from 1/],
    [['--fast'], {}, /unknown option '--fast'/],
    [[], { GOOGLE_CLOUD_PROJECT: '' }, /GOOGLE_CLOUD_PROJECT is not set/],
  ])('misused with %j exits with 2', async (args, change, message) => {
    const { code, stdout, stderr } = await heron(['rebuild', ...args], { ...env, ...change });
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(message);
  });

  const anEvent = async () => (await db.collection('events').limit(1).get()).docs[0]?.data();
});
