import { createHash } from 'node:crypto';
import { PassThrough } from 'node:stream';
import { FieldValue, Firestore, Timestamp, v1 } from '@google-cloud/firestore';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type EndUser, FOLD_VERSION } from '../../functions/events/end-user.ts';
import { type EndUserEvent, type HeronEvent, Unprocessable } from '../../functions/events/event.ts';
import { CANARY_ID, CANARY_TOPIC } from '../../functions/heron/canary.ts';
import { instantOf } from '../../functions/heron/instant.ts';
import { HERON_TOPICS } from '../../functions/heron/topics.ts';
import { Lanes } from '../../functions/projector/lanes.ts';
import { FirestoreStore } from '../../functions/store/firestore.ts';
import { FirestoreUpkeep } from '../../functions/store/firestore-upkeep.ts';
import type { Stretch } from '../../functions/store/upkeep.ts';
import { hasFirestore, newProject } from '../emulators.ts';
import { proxyTo } from '../proxy.ts';
import { endUserEvent, event, foldOf, logged, persistently, sized } from './given.ts';
import { NOW, rebuilt, surveyed } from './sides.ts';

describe.skipIf(!hasFirestore)('in Firestore', () => {
  const open = () => {
    const store = new FirestoreStore(config, () => instantOf(NOW));
    stores.push(store);
    return store;
  };
  let config: { projectId: string; databaseId: string };
  let stores: FirestoreStore[];
  let store: FirestoreStore;
  let upkeep: FirestoreUpkeep;
  /** Looks and meddles past the store. */
  let db: Firestore;

  beforeEach(() => {
    config = { projectId: newProject(), databaseId: '(default)' };
    stores = [];
    store = open();
    upkeep = new FirestoreUpkeep(config, () => instantOf(NOW));
    db = new Firestore(config);
  });

  afterEach(async () => {
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
    await Promise.all([db.terminate(), upkeep.close(), ...stores.map((each) => each.close())]);
  });

  const stored = async (path: string) => (await db.doc(path).get()).data();
  const id = (n: number) => n.toString(16).padStart(64, '0');
  const updated = async (path: string) => (await db.doc(path).get()).updateTime?.toDate().getTime();
  const time = (text: string, microseconds = 0) => new Timestamp(Date.parse(text) / 1000, microseconds * 1_000);
  /** Does something once the first commit from now on has been made. */
  const afterNextCommit = (work: () => Promise<unknown>) => {
    const { prototype } = v1.FirestoreClient;
    const commit = prototype.commit;
    vi.spyOn(prototype, 'commit').mockImplementationOnce(async function (this: typeof prototype, ...args) {
      const result = await Reflect.apply(commit, this, args);
      vi.restoreAllMocks();
      await work();
      return result;
    });
  };

  describe('documents', () => {
    it('are of the documented shape, with microseconds', async () => {
      const given = endUserEvent({ heron_id: 'eus_a', end_user_id: 'myenduser', meta: { __x__: [[1]] } });
      await store.append([given]);
      expect(await stored(`events/${given.event_id}`)).toEqual({
        topic: 'end_user.processed',
        created: time('2026-08-14T12:24:38Z', 137_886),
        received_at: time('2026-08-14T12:24:39Z'),
        recorded_at: time('2026-08-14T12:24:40Z', 123_000),
        heron_id: 'eus_a',
        end_user_id: 'myenduser',
        status: 'processed',
        bytes: given.body.byteLength,
        body: given.body,
      });
      const key = `2026-08-14T12:24:38.137886Z|3|${given.event_id}`;
      expect(await stored('end_users/eus_a')).toEqual({
        heron_id: 'eus_a',
        end_user_id: 'myenduser',
        status: 'processed',
        status_at: time('2026-08-14T12:24:38Z', 137_886),
        processed_at: time('2026-08-14T12:24:38Z', 137_886),
        failed_at: null,
        reviewed_at: null,
        review_required: false,
        failing: false,
        first_event_at: time('2026-08-14T12:24:38Z', 137_886),
        last_event_at: time('2026-08-14T12:24:38Z', 137_886),
        last_event: {
          id: given.event_id,
          topic: 'end_user.processed',
          created: time('2026-08-14T12:24:38Z', 137_886),
        },
        event_count: 1,
        meta: '{"__x__":[[1]]}',
        fold: {
          version: 2,
          keys: { last_event: key, end_user_id: key, meta: key, carried_processed: key, meant_processed: key },
        },
        changed_at: expect.any(Timestamp),
      });
    });

    it('have null for what an event does not say', async () => {
      const given = logged('not JSON');
      await store.append([given]);
      expect(await stored(`events/${given.event_id}`)).toMatchObject({
        topic: null,
        created: null,
        heron_id: null,
        end_user_id: null,
        status: null,
      });
    });

    it('of a large body are chunks of at most 900,000 bytes below its event', async () => {
      const given = sized(2_000_000, { heron_id: 'eus_a' });
      await store.append([given]);
      expect(await stored(`events/${given.event_id}`)).toMatchObject({ bytes: 2_000_000, body: null });
      const { docs } = await db.collection(`events/${given.event_id}/body`).get();
      expect(docs.map((chunk) => [chunk.id, Object.keys(chunk.data()), chunk.get('data').byteLength])).toEqual([
        ['0', ['heron_id', 'data'], 900_000],
        ['1', ['heron_id', 'data'], 900_000],
        ['2', ['heron_id', 'data'], 200_000],
      ]);
    });

    it('are not touched by a duplicate', async () => {
      for (const given of [event({ heron_id: 'eus_a' }), sized(1_000_000, { heron_id: 'eus_a' })]) {
        await store.append([given]);
        const paths = [`events/${given.event_id}`, 'end_users/eus_a', `events/${given.event_id}/body/0`];
        const before = await Promise.all(paths.map(updated));
        expect(await open().append([given])).toEqual(['duplicate']);
        expect(await Promise.all(paths.map(updated))).toEqual(before);
      }
    });
  });

  describe('a writer killed between two chunks', () => {
    it('leaves nothing that readers see, and its event is recorded exactly when it comes again', async () => {
      const given = sized(3_000_000, { heron_id: 'eus_a' });
      await db.doc(`events/${given.event_id}/body/0`).set({ data: given.body.subarray(0, 900_000) });
      await db.doc(`events/${given.event_id}/body/1`).set({ data: Buffer.from('cut off') });

      expect(await store.event(given.event_id)).toBeNull();
      expect(await store.body(given.event_id)).toBeNull();
      expect((await store.events('eus_a', 10, null)).events).toEqual([]);

      expect(await store.append([given])).toEqual(['appended']);
      expect(Buffer.compare((await store.body(given.event_id)) ?? Buffer.alloc(0), given.body)).toBe(0);
    });
  });

  describe('a body of which a chunk was lost', () => {
    it('is an error, not a shorter body', async () => {
      const given = sized(1_000_000, { heron_id: 'eus_a' });
      await store.append([given]);
      await db.doc(`events/${given.event_id}/body/1`).delete();
      await expect(store.body(given.event_id)).rejects.toThrow('not complete');
    });
  });

  describe('the topics of the log', () => {
    it('are looked for several at once, at hardly more reads than there are topics', async () => {
      const { prototype } = v1.FirestoreClient;
      const given = [...HERON_TOPICS, 'a.first', 'pdf.processed.twice', 'z.last'];
      await Promise.all(given.map((topic) => store.append([event({ topic })])));
      let [now, most, reads] = [0, 0, 0];
      const query = prototype.runQuery;
      vi.spyOn(prototype, 'runQuery').mockImplementation(function (this: typeof prototype, ...args) {
        const stream = Reflect.apply(query, this, args);
        reads++;
        most = Math.max(most, ++now);
        stream.once('end', () => now--);
        return stream;
      });
      const { topics, isCut } = await store.topics();
      expect({ topics: topics.map(({ topic }) => topic), isCut }).toEqual({
        topics: given.toSorted().reverse(),
        isCut: false,
      });
      expect(most).toBeGreaterThanOrEqual(HERON_TOPICS.length / 5);
      expect(reads).toBeLessThanOrEqual(1.3 * given.length);
    });
  });

  describe('a state of an older fold', () => {
    it('is recomputed from the log by the next event', async () => {
      const small = Array.from({ length: 120 }, (_, n) => endUserEvent({ heron_id: 'eus_a', end_user_id: 'x', n }));
      const large = sized(1_000_000, { heron_id: 'eus_a', status: 'ready' });
      await store.append(small.slice(0, 60));
      await store.append(small.slice(60));
      await store.append([large]);
      await store.append([event({ heron_id: 'eus_a', created: 'no time' })]);
      await db.doc('end_users/eus_a').set({ heron_id: 'eus_a', event_count: -1, fold: { version: 0, other: 'keys' } });
      expect(await store.append([large])).toEqual(['duplicate']);
      expect(await stored('end_users/eus_a')).toMatchObject({ event_count: -1 });
      const next = endUserEvent({ heron_id: 'eus_a', n: 'next' });
      expect(await store.append([next])).toEqual(['appended']);
      expect(await store.endUser('eus_a')).toEqual(foldOf([...small, large, next]));
    });

    it('is carried over where the log has let go of its events, and a rebuild agrees', async () => {
      const keeping = new FirestoreStore(config, () => instantOf(NOW), { retentionDays: 30 });
      stores.push(keeping);
      const old = [
        event({ heron_id: 'eus_a', end_user_id: 'x', meta: { a: 1 }, created: '2026-08-01T00:00:00' }),
        event({ heron_id: 'eus_a', topic: 'end_user.failed', status: 'failed', created: '2026-08-02T00:00:00' }),
      ];
      await keeping.append(old);
      const before = await store.endUser('eus_a');
      for (const { event_id } of old) await db.doc(`events/${event_id}`).delete();
      await db.doc('end_users/eus_a').update({ 'fold.version': 1 });
      expect(await upkeep.recompute('eus_a', true)).toEqual({ outcome: 'without_events' });
      const next = event({ heron_id: 'eus_a', topic: 'pdf.processed', created: '2026-08-10T00:00:00' });
      await keeping.append([next]);
      const after = await store.endUser('eus_a');
      const { status, status_at, end_user_id, meta, first_event_at, processed_at } = before as EndUser;
      const kept = { status, status_at, end_user_id, meta, first_event_at, processed_at };
      expect(after).toMatchObject({ ...kept, event_count: 3, fold: { version: FOLD_VERSION } });
      expect(await upkeep.recompute('eus_a', true)).toEqual({ outcome: 'right' });
      expect(await store.endUser('eus_a')).toEqual(after);
    });

    it('whose history is long is carried over, so that nobody waits, and a rebuild sets it right', async () => {
      const given = Array.from({ length: 220 }, (_, n) => event({ heron_id: 'eus_a', end_user_id: 'x', n }));
      for (let n = 0; n < given.length; n += 50) await store.append(given.slice(n, n + 50));
      await db.doc('end_users/eus_a').update({ 'fold.version': 1, 'fold.keys': {}, processed_at: null });
      const reads = vi.spyOn(v1.FirestoreClient.prototype, 'runQuery');
      const next = event({ heron_id: 'eus_a', n: 'next' });
      expect(await store.append([next])).toEqual(['appended']);
      expect(reads).toHaveBeenCalledTimes(1);
      expect(await store.endUser('eus_a')).toMatchObject({ status: 'processed', end_user_id: 'x', event_count: 221 });
      await upkeep.recompute('eus_a', true);
      expect(await store.endUser('eus_a')).toEqual(foldOf([...given, next]));
    });

    it('whose history is large is carried over too: the next event waits for none of its bodies', async () => {
      const large = Array.from({ length: 5 }, (_, n) => sized(1_900_000, { heron_id: 'eus_a', end_user_id: 'x', n }));
      for (const each of large) await store.append([each]);
      await db.doc('end_users/eus_a').update({ 'fold.version': 1 });
      const gets = vi.spyOn(v1.FirestoreClient.prototype, 'batchGetDocuments');
      expect(await store.append([event({ heron_id: 'eus_a', status: 'ready' })])).toEqual(['appended']);
      // Directly, and by the transaction that this takes.
      const state = expect.stringMatching(/\/end_users\/eus_a$/);
      expect(gets.mock.calls.flatMap(([request]) => request?.documents ?? [])).toEqual([state, state]);
      expect(await store.endUser('eus_a')).toMatchObject({ event_count: 6, fold: { version: FOLD_VERSION } });
    });

    it('counts an event of which a part was lost by what the log says of it', async () => {
      const large = sized(1_000_000, { heron_id: 'eus_a', status: 'ready', created: '2026-08-01T00:00:00' });
      await store.append([large]);
      await db.doc(`events/${large.event_id}/body/1`).delete();
      await db.doc('end_users/eus_a').update({ 'fold.version': 1 });
      const next = event({ heron_id: 'eus_a', topic: 'pdf.processed' });
      expect(await store.append([next])).toEqual(['appended']);
      expect(await store.endUser('eus_a')).toMatchObject({ status: 'ready', event_count: 2 });
    });
  });

  describe('a state of a newer fold', () => {
    it('is left alone by an older program: the message comes again', async () => {
      const [given, next] = [1, 2].map((n) => event({ heron_id: 'eus_a', n })) as [HeronEvent, HeronEvent];
      await store.append([given]);
      await db.doc('end_users/eus_a').update({ 'fold.version': 99 });
      const before = await stored('end_users/eus_a');
      const refused = store.append([next]);
      await expect(refused).rejects.toThrow('fold 99');
      await expect(refused).rejects.not.toThrow(Unprocessable);
      expect(await upkeep.recompute('eus_a', true)).toEqual({ outcome: 'newer' });
      expect(await stored('end_users/eus_a')).toEqual(before);
      expect(await store.event(next.event_id)).toBeNull();
    });
  });

  describe('an event that is older than the log keeps events', () => {
    it('is folded, and not counted: it may have been before', async () => {
      const keeping = new FirestoreStore(config, () => instantOf(NOW), { retentionDays: 30 });
      stores.push(keeping);
      const recent = event({ heron_id: 'eus_a', topic: 'pdf.processed', created: '2026-08-10T00:00:00' });
      const expired = event({ heron_id: 'eus_a', status: 'processed', created: '2026-06-01T00:00:00' });
      await keeping.append([expired]);
      expect(await store.endUser('eus_a')).toMatchObject({ event_count: 0, status: 'processed' });
      await keeping.append([recent]);
      expect(await store.endUser('eus_a')).toMatchObject({ event_count: 1, status: 'processed' });
      expect(await upkeep.recompute('eus_a', true)).toEqual({ outcome: 'right' });
      await db.doc(`events/${expired.event_id}`).delete();
      await keeping.append([expired]);
      expect(await store.endUser('eus_a')).toMatchObject({ event_count: 1, status: 'processed' });
    });
  });

  describe('billed', () => {
    it('is one read and two writes for a small event, and one read for a duplicate', async () => {
      const given = event({ heron_id: 'eus_a' });
      const requests = watchRequests();
      await store.append([given]);
      expect(requests()).toEqual({ reads: 1, writes: 2, calls: 2 });
      await store.append([event({ heron_id: 'eus_a', status: 'ready' })]);
      expect(requests()).toEqual({ reads: 1, writes: 2, calls: 2 });
      await store.append([given]);
      expect(requests()).toEqual({ reads: 1, writes: 2, calls: 2 }); // these writes are refused, and not billed
      await store.append([logged('of no end user')]);
      expect(requests()).toEqual({ reads: 0, writes: 1, calls: 1 });
    });

    it('is a write and a read more for each chunk of a large body, and two reads for each three of them', async () => {
      const given = sized(2_800_000, { heron_id: 'eus_a' });
      const requests = watchRequests();
      await store.append([given]);
      expect(requests()).toEqual({ reads: 9, writes: 6, calls: 7 });
      await store.append([given]);
      expect(requests()).toEqual({ reads: 7, writes: 2, calls: 5 }); // refused, as above
    });

    it('is a read for an event of a forgotten end user, and one more for one without a time', async () => {
      await upkeep.forget('eus_a', 'me');
      const requests = watchRequests();
      await store.append([event({ heron_id: 'eus_a' })]);
      expect(requests()).toEqual({ reads: 1, writes: 0, calls: 1 });
      await store.append([sized(1_000_000, { heron_id: 'eus_a' })]);
      expect(requests()).toEqual({ reads: 5, writes: 0, calls: 5 });
      await store.append([event({ heron_id: 'eus_b', created: 'no time' })]);
      expect(requests()).toEqual({ reads: 1, writes: 1, calls: 2 });
    });

    it('is one read and a write each, and one more, for events that share a transaction', async () => {
      const requests = watchRequests();
      await store.append(Array.from({ length: 50 }, (_, n) => event({ heron_id: 'eus_a', n })));
      expect(requests()).toEqual({ reads: 1, writes: 51, calls: 2 });
    });

    it('is one transaction more, not one an event, where duplicates are among them', async () => {
      const given = Array.from({ length: 50 }, (_, n) => event({ heron_id: 'eus_a', n }));
      await store.append(given.slice(10, 20));
      const requests = watchRequests();
      const outcomes = await store.append(given);
      expect(outcomes.filter((outcome) => outcome === 'duplicate')).toHaveLength(10);
      expect(requests()).toEqual({ reads: 52, writes: 92, calls: 5 });
      expect(await store.endUser('eus_a')).toMatchObject({ event_count: 50 });
      requests();
      await store.append(given);
      expect(requests()).toEqual({ reads: 52, writes: 51, calls: 5 }); // the refused ones only
    });
  });

  describe('200 events of one end user at once', () => {
    const given = Array.from({ length: 200 }, (_, n) => endUserEvent({ heron_id: 'eus_a', n }));
    const never = new AbortController().signal;

    it('all land in five transactions through one process', async () => {
      const lanes = new Lanes((events) => store.append(events));
      const requests = watchRequests();
      const outcomes = await Promise.all(given.map((each) => lanes.submit(each, never)));
      expect(requests()).toEqual({ reads: 5, writes: 205, calls: 10 });
      expect(outcomes).toEqual(given.map(() => 'appended'));
      expect(await store.endUser('eus_a')).toEqual(foldOf(given));
      expect(lanes.size).toBe(0);
    });

    it('all land through three processes', async () => {
      const three = [store, open(), open()].map((each) => new Lanes((events) => each.append(events)));
      const submit = (each: EndUserEvent, n: number) => persistently(() => (three[n % 3] as Lanes).submit(each, never));
      const begun = performance.now();
      const outcomes = await Promise.all([...given, ...given.slice(0, 20)].map(submit));
      console.info(`200 events through three processes: ${Math.round(performance.now() - begun)} ms`);
      expect(outcomes.filter((outcome) => outcome === 'appended')).toHaveLength(200);
      expect(await store.endUser('eus_a')).toEqual(foldOf(given));
      expect((await store.events('eus_a', 300, null)).events).toHaveLength(200);
    });
  });

  describe('what fails', () => {
    const failure = (code: number, message: string) => Object.assign(new Error(message), { code });
    const { prototype } = v1.FirestoreClient;

    it('for good, as Firestore refuses it, is Unprocessable', async () => {
      const given = { ...endUserEvent({ heron_id: 'eus_a' }), topic: 'x'.repeat(1_100_000) };
      await expect(store.append([given])).rejects.toThrow(Unprocessable);
      expect(await store.event(given.event_id)).toBeNull();
      expect(await store.endUser('eus_a')).toBeNull();
    });

    it('otherwise rejects with its own error, and is taken when it comes again', async () => {
      const given = event({ heron_id: 'eus_a' });
      vi.spyOn(prototype, 'commit').mockImplementationOnce(() => Promise.reject(failure(7, 'no permission')));
      await expect(store.append([given])).rejects.toThrow('no permission');
      const invalid = (): never => {
        throw failure(3, 'a read that is invalid is not the fault of the event');
      };
      vi.spyOn(prototype, 'batchGetDocuments').mockImplementationOnce(invalid).mockImplementationOnce(invalid);
      await expect(store.append([given])).rejects.not.toThrow(Unprocessable);
      expect(await store.append([given])).toEqual(['appended']);
    });

    it('as Firestore has ended its transaction meanwhile, is begun again: that is not the fault of the event', async () => {
      const { commit, rollback } = prototype;
      vi.spyOn(prototype, 'commit').mockImplementationOnce(async function (this: typeof prototype, ...args) {
        const [{ database, transaction } = {}] = args;
        expect(transaction?.length).toBeGreaterThan(0);
        await Reflect.apply(rollback, this, [{ database, transaction }]);
        return Reflect.apply(commit, this, args);
      });
      expect(await store.append([event({ heron_id: 'eus_a', created: 'no time' })])).toEqual(['appended']);
    });

    it('only in its answer, which is lost, counts once', async () => {
      const commit = prototype.commit;
      vi.spyOn(prototype, 'commit').mockImplementationOnce(async function (this: typeof prototype, ...args) {
        await Reflect.apply(commit, this, args);
        throw failure(14, 'the answer was lost');
      });
      const given = Array.from({ length: 3 }, (_, n) => event({ heron_id: 'eus_a', n }));
      expect(await store.append(given)).toEqual(['duplicate', 'duplicate', 'duplicate']);
      expect(await store.endUser('eus_a')).toEqual(foldOf(given));
    });
  });

  describe('a connection that falls silent', () => {
    it('is given up in time and replaced: the next event is taken as soon as there is a way', async () => {
      const proxy = await proxyTo(process.env.FIRESTORE_EMULATOR_HOST ?? '');
      vi.stubEnv('FIRESTORE_EMULATOR_HOST', proxy.host);
      const impatient = new FirestoreStore(config, () => instantOf(NOW), { callMs: 500 });
      stores.push(impatient);
      const given = Array.from({ length: 4 }, (_, n) => event({ heron_id: 'eus_a', n }));
      // A busy machine may take longer now and then, also where there is a way.
      const take = (events: readonly HeronEvent[]) => persistently(() => impatient.append(events));
      await take(given.slice(0, 1));

      proxy.halfOpen();
      await expect(impatient.append(given.slice(1, 2))).rejects.toThrow('did not answer within 500 ms');
      await take(given.slice(1, 2));

      proxy.silence(); // new connections too
      await expect(impatient.append(given.slice(2))).rejects.toThrow('did not answer within 500 ms');
      await expect(impatient.endUser('eus_a')).rejects.toThrow('did not answer within 500 ms');
      await proxy.restore();
      await take(given.slice(2));
      expect(await store.endUser('eus_a')).toEqual(foldOf(given));
      await proxy.close();
    });
  });

  describe('erasure', () => {
    /** All that is left anywhere of an end user, but its tombstone. */
    const remains = async (heronId: string) => {
      const found = await Promise.all(
        ['events', 'body'].map((group) => db.collectionGroup(group).where('heron_id', '==', heronId).get()),
      );
      return found.flatMap(({ docs }) => docs.map(({ ref }) => ref.path));
    };
    const eraseAll = async (heronId: string) => {
      const erased = { events: 0, bodies: 0 };
      for (let left = true; left; ) {
        const { events, bodies, isOver } = await upkeep.erase(heronId);
        erased.events += events;
        erased.bodies += bodies;
        left = !isOver;
      }
      return erased;
    };
    /** Puts chunks of a body where an append would, cheaply. */
    const chunks = async (eventId: string, ns: readonly number[], owner: Record<string, unknown>) => {
      const batch = db.batch();
      for (const n of ns) batch.set(db.doc(`events/${eventId}/body/${n}`), { ...owner, data: Buffer.from('…') });
      await batch.commit();
    };

    it('leaves a tombstone and nothing else', async () => {
      await store.append([endUserEvent({ heron_id: 'eus_a', end_user_id: 'myenduser', meta: { a: 1 } })]);
      await upkeep.forget('eus_a', 'me');
      await eraseAll('eus_a');
      const at = Timestamp.fromMillis(NOW);
      const end_user_ids = [createHash('sha256').update('myenduser').digest('hex')];
      expect(await stored('end_users/eus_a')).toEqual({ forgotten: { at, by: 'me', events: 1, end_user_ids } });
      expect(await remains('eus_a')).toEqual([]);
    });

    it('finds the body of an event that was never recorded, and leaves those of others', async () => {
      const [cutOff, other] = [sized(3_000_000, { heron_id: 'eus_a' }), sized(1_000_000, { heron_id: 'eus_b' })];
      await store.append([other]);
      await db.doc(`events/${cutOff.event_id}/body/0`).set({ heron_id: 'eus_a', data: Buffer.from('…') });
      await upkeep.forget('eus_a', 'me');
      expect(await eraseAll('eus_a')).toEqual({ events: 0, bodies: 1 });
      expect(await remains('eus_a')).toEqual([]);
      expect(Buffer.compare((await store.body(other.event_id)) ?? Buffer.of(), other.body)).toBe(0);
    });

    it('is not over before a fresh look finds nothing, however many parts there are, and which are missing', async () => {
      const small = Array.from({ length: 20 }, (_, n) => event({ heron_id: 'eus_a', n }));
      await store.append(small);
      // 34 bodies of three chunks; of one the first is gone, of another all but the last; 7 whose event never came.
      const [whole] = small as [(typeof small)[number]];
      const large = Array.from({ length: 34 }, (_, n) => id(n));
      const document = await stored(`events/${whole.event_id}`);
      for (const [n, eventId] of large.entries()) {
        await db.doc(`events/${eventId}`).set({ ...document, bytes: 2_000_000, body: null });
        await chunks(eventId, n === 3 ? [1, 2] : n === 12 ? [2] : [0, 1, 2], { heron_id: 'eus_a' });
      }
      for (let n = 100; n < 107; n++) await chunks(id(n), [0, 1, 2], { heron_id: 'eus_a' });
      await upkeep.forget('eus_a', 'me');
      expect(await eraseAll('eus_a')).toEqual({ events: 54, bodies: 41 });
      expect(await remains('eus_a')).toEqual([]);
      expect(await upkeep.tombstone('eus_a')).toMatchObject({ events: 54 });
    }, 60_000);

    it('finds orphans and more events than a commit takes of those that name only the customer’s id', async () => {
      await store.append([event({ heron_id: 'eus_a', end_user_id: 'x' })]);
      const ofId = logged('{"topic":"pdf.processed","data":{"end_user_id":"x"}}');
      await store.append([ofId]);
      const document = (await stored(`events/${ofId.event_id}`)) ?? {};
      const batch = db.batch();
      for (let n = 0; n < 130; n++) batch.set(db.doc(`events/${id(n)}`), document);
      await batch.commit();
      await chunks(id(1_000), [0, 1], { heron_id: null, end_user_id: 'x' });
      await chunks(id(1_001), [0], { heron_id: null, end_user_id: 'y' });
      await upkeep.forget('eus_a', 'me');
      expect(await eraseAll('eus_a')).toEqual({ events: 132, bodies: 1 });
      expect((await db.collection('events').get()).size).toBe(0);
      expect((await db.collectionGroup('body').get()).docs.map(({ ref }) => ref.path)).toEqual([
        `events/${id(1_001)}/body/0`,
      ]);
    });

    it('leaves nothing of what names only the customer’s id and is appended at the same moment', async () => {
      for (let round = 0; round < 3; round++) {
        const end_user_id = `x${round}`;
        await store.append([event({ heron_id: `eus_${round}`, end_user_id })]);
        const given = Array.from({ length: 8 }, (_, n) =>
          event({ topic: 'pdf.processed', end_user_id, padding: 'x'.repeat(n % 2 ? 40_000 : 1), n }),
        );
        const begun = Promise.withResolvers<void>();
        const appended = given.map((each, n) =>
          persistently(() => {
            if (n === 4) begun.resolve();
            return store.append([each]);
          }),
        );
        await begun.promise;
        await persistently(() => upkeep.forget(`eus_${round}`, 'me'));
        await persistently(() => eraseAll(`eus_${round}`));
        const recorded = (await Promise.all(appended)).flat().filter((outcome) => outcome === 'appended').length;
        const left = await db.collection('events').where('end_user_id', '==', end_user_id).get();
        expect(left.docs.map((each) => each.id)).toEqual([]);
        expect(await upkeep.tombstone(`eus_${round}`)).toMatchObject({ events: 1 + recorded });
      }
    }, 60_000);

    it('is what a lift does first', async () => {
      await store.append(Array.from({ length: 130 }, (_, n) => event({ heron_id: 'eus_a', end_user_id: 'x', n })));
      await store.append([logged('{"topic":"pdf.processed","data":{"end_user_id":"x"}}')]);
      for (let n = 0; n < 12; n++) await chunks(id(n), [1], { heron_id: 'eus_a' });
      await upkeep.forget('eus_a', 'me');
      expect(await upkeep.lift('eus_a')).toMatchObject({ events: 131 });
      expect(await remains('eus_a')).toEqual([]);
      expect((await db.collection('events').get()).size).toBe(0);
      expect(await stored('end_users/eus_a')).toBeUndefined();
    });

    it('counts each event once, whoever erases at the same time', async () => {
      await store.append(Array.from({ length: 130 }, (_, n) => event({ heron_id: 'eus_a', n })));
      await upkeep.forget('eus_a', 'me');
      await Promise.all([1, 2, 3].map(() => persistently(() => eraseAll('eus_a'))));
      expect(await upkeep.tombstone('eus_a')).toMatchObject({ events: 130 });
    });

    it('leaves nothing of what is appended at the same moment, whoever wins', async () => {
      for (let round = 0; round < 3; round++) {
        const heron_id = `eus_${round}`;
        const given = [
          ...Array.from({ length: 8 }, (_, n) => event({ heron_id, n })),
          event({ heron_id, created: 'no time' }),
          sized(1_000_000, { heron_id }),
          sized(3_000_000, { heron_id }),
        ];
        const writers = [store, open()];
        const appended = given.map(async (each, n) => {
          await new Promise((resolve) => setTimeout(resolve, Math.random() * 60));
          return persistently(async () => (writers[n % 2] as FirestoreStore).append([each]));
        });
        await new Promise((resolve) => setTimeout(resolve, 15 + 25 * round));
        await persistently(() => upkeep.forget(heron_id, 'me'));
        await persistently(() => eraseAll(heron_id));
        // Erased for good: what is still on its way adds nothing behind it.
        expect(await remains(heron_id)).toEqual([]);
        const outcomes = (await Promise.all(appended)).flat();
        expect(await remains(heron_id)).toEqual([]);
        expect(await store.endUser(heron_id)).toBeNull();
        const recorded = outcomes.filter((outcome) => outcome !== 'forgotten').length;
        expect((await upkeep.tombstone(heron_id))?.events).toBe(recorded);
      }
    });

    it('is not undone by what is written of a body that was on its way', async () => {
      afterNextCommit(async () => {
        await upkeep.forget('eus_a', 'me');
        await eraseAll('eus_a');
      });
      expect(await store.append([sized(6_000_000, { heron_id: 'eus_a' })])).toEqual(['forgotten']);
      expect(await remains('eus_a')).toEqual([]);
    });

    it('and a lift between the chunks and their event record no event without its body', async () => {
      const given = sized(1_000_000, { heron_id: 'eus_a' });
      afterNextCommit(async () => {
        await upkeep.forget('eus_a', 'me');
        await upkeep.lift('eus_a');
      });
      await expect(store.append([given])).rejects.toThrow('gone');
      expect(await store.append([given])).toEqual(['appended']);
      expect(Buffer.compare((await store.body(given.event_id)) ?? Buffer.of(), given.body)).toBe(0);
    });

    it('is not needed for the body of an event that Firestore refuses', async () => {
      const given = { ...sized(1_000_000, { heron_id: 'eus_a' }), topic: 'x'.repeat(1_100_000) };
      await expect(store.append([given])).rejects.toThrow(Unprocessable);
      expect(await remains('eus_a')).toEqual([]);
    });
  });

  describe('retention', () => {
    it('gives events and chunks the time at which they go, an event before its body', async () => {
      const keeping = new FirestoreStore(config, () => instantOf(NOW), { retentionDays: 30 });
      stores.push(keeping);
      const given = sized(1_000_000, { heron_id: 'eus_a' });
      await keeping.append([given]);
      const days = (count: number) => Timestamp.fromMillis(NOW + count * 86_400_000);
      expect(await stored(`events/${given.event_id}`)).toMatchObject({ expires_at: days(30) });
      expect(await stored(`events/${given.event_id}/body/0`)).toMatchObject({ expires_at: days(33) });
      expect(await stored('end_users/eus_a')).not.toHaveProperty('expires_at');
    });

    it('is a day for the canary, and for none that only bears its topic or its name', async () => {
      const tomorrow = Timestamp.fromMillis(NOW + 86_400_000);
      const forever = new FirestoreStore(config, () => instantOf(NOW));
      const month = new FirestoreStore(config, () => instantOf(NOW), { retentionDays: 30 });
      stores.push(forever, month);
      for (const [n, keeping] of [forever, month].entries()) {
        const canary = event({ topic: CANARY_TOPIC, heron_id: CANARY_ID, n });
        const others = [
          event({ topic: CANARY_TOPIC, heron_id: 'eus_a', n }),
          event({ heron_id: CANARY_ID, n }),
          event({ topic: CANARY_TOPIC, n }),
        ];
        for (const each of [canary, ...others]) await keeping.append([each]);
        expect(await stored(`events/${canary.event_id}`)).toMatchObject({ expires_at: tomorrow });
        for (const { event_id } of others)
          expect((await stored(`events/${event_id}`))?.expires_at).toEqual(
            keeping === forever ? undefined : Timestamp.fromMillis(NOW + 30 * 86_400_000),
          );
      }
    });

    it('takes canaries from the log, and leaves their state as it was', async () => {
      const canaries = [1, 2, 3].map((n) =>
        event({ topic: CANARY_TOPIC, heron_id: CANARY_ID, created: instantOf(NOW + n), n }),
      );
      for (const each of canaries) await store.append([each]);
      await db.doc(`events/${canaries[0]?.event_id}`).delete();
      expect(await upkeep.recompute(CANARY_ID, true)).toEqual({ outcome: 'right' });
      await db.doc(`end_users/${CANARY_ID}`).update({ event_count: 1 });
      expect(await upkeep.recompute(CANARY_ID, true)).toMatchObject({ outcome: 'different' });
      expect(await store.endUser(CANARY_ID)).toMatchObject({ event_count: 2 });
      expect((await store.listEndUsers({}, 10, null)).endUsers).toEqual([]);
      for (const { event_id } of canaries) await db.doc(`events/${event_id}`).delete();
      expect(await upkeep.recompute(CANARY_ID, true)).toEqual({ outcome: 'without_events' });
      expect(await store.endUser(CANARY_ID)).toMatchObject({ event_count: 2 });
    });
  });

  describe('rebuilding', () => {
    it('shows what is wrong with a state, and sets it right', async () => {
      const given = [1, 2].map((n) => endUserEvent({ heron_id: 'eus_a', end_user_id: 'x', meta: { n }, n }));
      await store.append([...given, sized(1_000_000, { heron_id: 'eus_a' })]);
      const right = await stored('end_users/eus_a');
      const wrong = {
        ...right,
        status: 'failed',
        event_count: 7,
        first_event_at: time('2020-01-01T00:00:00Z', 1),
        meta: 'no JSON',
        last_event: null,
        'a.b`c': { deep: [1] },
      };
      await db.doc('end_users/eus_a').set(wrong);
      const different = {
        outcome: 'different',
        fewerEvents: true,
        differences: expect.arrayContaining([
          { field: 'status', stored: 'failed', computed: 'processed' },
          { field: 'event_count', stored: 7, computed: 3 },
          { field: 'first_event_at', stored: '2020-01-01T00:00:00.000001Z', computed: '2026-08-14T12:24:38.137886Z' },
          { field: 'a.b`c', stored: { deep: [1] }, computed: undefined },
        ]),
      };
      expect(await upkeep.recompute('eus_a', false)).toEqual(different);
      expect(await stored('end_users/eus_a')).toEqual(wrong);
      expect(await upkeep.recompute('eus_a', true)).toEqual(different);
      expect(await stored('end_users/eus_a')).toEqual({ ...right, changed_at: expect.any(Timestamp) });
      expect(await upkeep.recompute('eus_a', true)).toEqual({ outcome: 'right' });
    });

    it('makes a state that is missing, brings an old one up to date, and keeps one whose events are gone', async () => {
      const given = event({ heron_id: 'eus_a' });
      await store.append([given]);
      await db.doc('end_users/eus_a').delete();
      expect(await upkeep.recompute('eus_a', true)).toMatchObject({ outcome: 'different', fewerEvents: false });
      expect(await store.endUser('eus_a')).toEqual(foldOf([given]));

      await db.doc('end_users/eus_a').update({ 'fold.version': 0 });
      expect(await upkeep.recompute('eus_a', true)).toMatchObject({ differences: [{ field: 'fold' }] });
      expect(await store.endUser('eus_a')).toEqual(foldOf([given]));

      await db.doc(`events/${given.event_id}`).delete();
      expect(await upkeep.recompute('eus_a', true)).toEqual({ outcome: 'without_events' });
      expect(await store.endUser('eus_a')).toEqual(foldOf([given]));
    });

    it('does not put back an event that came, nor an end user that was forgotten, since the log was read', async () => {
      const given = [1, 2].map((n) => event({ heron_id: 'eus_a', n }));
      await store.append(given.slice(0, 1));
      for (const [since, outcome, state] of [
        [() => store.append(given.slice(1)), 'right', foldOf(given)],
        [() => upkeep.forget('eus_a', 'me'), 'forgotten', null],
      ] as const) {
        await db.doc('end_users/eus_a').update({ status: 'tampered', 'fold.version': 0 });
        const { runTransaction } = Firestore.prototype;
        vi.spyOn(Firestore.prototype, 'runTransaction').mockImplementationOnce(async function (
          this: Firestore,
          ...args
        ) {
          const read = await Reflect.apply(runTransaction, this, args);
          await since();
          return read;
        });
        expect(await upkeep.recompute('eus_a', true)).toMatchObject({ outcome });
        expect(await store.endUser('eus_a')).toEqual(state);
      }
    });

    it('is right whenever an event of the same end user arrives at the same moment', async () => {
      const given = Array.from({ length: 24 }, (_, n) => event({ heron_id: 'eus_a', end_user_id: 'x', n }));
      await store.append(given.slice(0, 4));
      for (let n = 4; n < given.length; n++) {
        await db.doc('end_users/eus_a').update({ status: 'tampered' });
        const arriving = persistently(() => store.append(given.slice(n, n + 1)));
        const { outcome } = await upkeep.recompute('eus_a', true);
        expect(['different', 'right']).toContain(outcome);
        await arriving;
        expect(await store.endUser('eus_a')).toEqual(foldOf(given.slice(0, n + 1)));
      }
    });

    it('meets whom it should past every page, of events and of states, and goes on from wherever it was', async () => {
      const ids = Array.from({ length: 300 }, (_, n) => `eus_${String(n).padStart(4, '0')}`);
      for (let n = 0; n < ids.length; n += 20)
        await Promise.all(
          ids.slice(n, n + 20).map((heron_id) => store.append([event({ heron_id }), event({ heron_id, n: 2 })])),
        );
      // One whose history is longer than a page, and more of whom the log has no events than a page has.
      for (let n = 0; n < 600; n += 100)
        await store.append(Array.from({ length: 100 }, (_, i) => event({ heron_id: 'eus_0150a', n: n + i })));
      for (const body of ['of nobody', 'nor this']) await store.append([logged(body)]);
      const bare = Array.from({ length: 520 }, (_, n) => `eus_0200_${String(n).padStart(4, '0')}`);
      const state = await stored('end_users/eus_0000');
      const batch = db.batch();
      for (const heron_id of bare)
        batch.set(db.doc(`end_users/${heron_id}`), {
          ...state,
          heron_id,
          last_event: { ...state?.last_event, id: id(7) },
        });
      for (const missing of ['eus_0003', 'eus_0150', 'eus_0299']) batch.delete(db.doc(`end_users/${missing}`));
      for (const wrong of ['eus_0000', 'eus_0150a', 'eus_0298'])
        batch.update(db.doc(`end_users/${wrong}`), { status: null });
      batch.delete(db.doc('end_users/eus_0200_0519'));
      await batch.commit();

      const suspects = ['eus_0000', 'eus_0003', 'eus_0150', 'eus_0150a', 'eus_0298', 'eus_0299'];
      const expected = [...ids, 'eus_0150a', ...bare.slice(0, -1)].sort().map((heron_id) => ({
        heron_id,
        outcome: suspects.includes(heron_id) ? 'suspect' : heron_id.length > 9 ? 'without_events' : 'right',
      }));
      const stretches: Stretch[] = [];
      for await (const stretch of upkeep.survey(null)) stretches.push(stretch);
      expect(stretches.flatMap(({ endUsers }) => endUsers)).toEqual(expected);
      expect(stretches.reduce((sum, { read }) => sum + read, 0)).toBe(1_202);
      expect(stretches.at(-1)?.place).toBeNull();

      const met = (some: readonly Stretch[]) => some.flatMap(({ endUsers }) => endUsers);
      for (const [n, { place }] of stretches.slice(0, -1).entries()) {
        const behind = stretches.slice(0, n + 1);
        const { endUsers, counts } = await surveyed(upkeep, place);
        expect(endUsers).toEqual(expected.slice(met(behind).length));
        expect(counts.events).toBe(1_202 - behind.reduce((sum, each) => sum + each.counts.events, 0));
      }

      const { tally } = await rebuilt(upkeep);
      expect(tally).toMatchObject({ different: 6, right: 295, without_events: 519, failed: 0, events: 1_202 });
      expect((await rebuilt(upkeep)).tally).toMatchObject({ different: 0, right: 301, without_events: 519 });
    });

    it('has no more than a few large bodies in memory, and no more than a page of a long history', async () => {
      for (let n = 0; n < 8; n++) await store.append([sized(950_000, { heron_id: 'eus_a', n })]);
      await db.doc('end_users/eus_a').update({ event_count: 1 });
      const { prototype } = v1.FirestoreClient;
      const [get, query] = [prototype.batchGetDocuments, prototype.runQuery];
      let [now, most, limit] = [0, 0, 0];
      vi.spyOn(prototype, 'batchGetDocuments').mockImplementation(function (this: typeof prototype, ...args) {
        const stream = Reflect.apply(get, this, args);
        if (args[0]?.documents?.some((name) => name.includes('/body/'))) {
          most = Math.max(most, ++now);
          stream.once('end', () => now--);
        }
        return stream;
      });
      vi.spyOn(prototype, 'runQuery').mockImplementation(function (this: typeof prototype, ...args) {
        limit = Math.max(limit, Number(args[0]?.structuredQuery?.limit?.value ?? Number.POSITIVE_INFINITY));
        return Reflect.apply(query, this, args);
      });
      expect((await rebuilt(upkeep)).tally).toMatchObject({ different: 1, failed: 0 });
      expect(most).toBeGreaterThan(0);
      expect(most).toBeLessThanOrEqual(3);
      expect(limit).toBeLessThanOrEqual(500);
    });

    describe('of an end user whose events never cease to arrive', () => {
      const { prototype } = v1.FirestoreClient;
      const given = Array.from({ length: 250 }, (_, n) => event({ heron_id: 'eus_a', end_user_id: 'x', n }));
      const late = (n: number) =>
        event({ heron_id: 'eus_a', status: 'failed', late: n, created: `2026-09-01T00:00:${10 + n}` });

      beforeEach(async () => {
        for (let n = 0; n < given.length; n += 50) await store.append(given.slice(n, n + 50));
        await db.doc('end_users/eus_a').update({ status: 'tampered', event_count: 7, 'fold.keys.meta': 'z' });
      });

      it('is of all of them, whichever it has seen', async () => {
        let arrived = 0;
        const { runTransaction } = Firestore.prototype;
        vi.spyOn(Firestore.prototype, 'runTransaction').mockImplementation(async function (this: Firestore, ...args) {
          const result = await Reflect.apply(runTransaction, this, args);
          if (args[1]?.readOnly) await store.append([late(arrived++)]);
          return result;
        });
        expect(await upkeep.recompute('eus_a', true)).toMatchObject({ outcome: 'different' });
        expect(arrived).toBeGreaterThan(6);
        const all = [...given, ...Array.from({ length: arrived }, (_, n) => late(n))];
        expect(await store.endUser('eus_a')).toEqual(foldOf(all));
        expect(await stored('end_users/eus_a')).not.toHaveProperty('rebuilding');
        await store.append([late(arrived)]);
        expect(await store.endUser('eus_a')).toEqual(foldOf([...all, late(arrived)]));
      });

      it('ends also where each of its transactions is overtaken: then they wait a moment', async () => {
        const { commit } = prototype;
        const arriving: Promise<unknown>[] = [];
        // With optimistic concurrency the second to commit begins anew. The emulator locks, and has no second.
        vi.spyOn(prototype, 'commit').mockImplementation(async function (this: typeof prototype, ...args) {
          const [request] = args;
          const isAppend = request?.writes?.some((write) => write.update?.name?.includes('/events/'));
          if (request?.transaction && !isAppend && !(await stored('end_users/eus_a'))?.held_at) {
            arriving.push(persistently(() => store.append([late(arriving.length)])));
            throw Object.assign(new Error('too much contention'), { code: 10 });
          }
          return Reflect.apply(commit, this, args);
        });
        const wait = store.append([late(40)]);
        expect(await upkeep.recompute('eus_a', true)).toMatchObject({ outcome: 'different' });
        await Promise.all([wait, ...arriving]);
        expect(arriving.length).toBeGreaterThan(0);
        const all = [...given, late(40), ...arriving.map((_, n) => late(n))];
        expect(await store.endUser('eus_a')).toEqual(foldOf(all));
      });

      it('has an event wait where a rebuild takes its last step, and no longer than a moment', async () => {
        await db.doc('end_users/eus_a').update({ held_at: FieldValue.serverTimestamp() });
        const held: Timestamp = (await stored('end_users/eus_a'))?.held_at;
        expect(await store.append([late(0)])).toEqual(['appended']);
        const { createTime } = await db.doc(`events/${late(0).event_id}`).get();
        expect((createTime?.toMillis() ?? 0) - held.toMillis()).toBeGreaterThanOrEqual(3_000);
        expect(await stored('end_users/eus_a')).not.toHaveProperty('held_at');
      });

      it('forgets a rebuild that was cut off, an hour later', async () => {
        const since = async (minutes: number) => {
          const now = (await db.doc('end_users/eus_a').get()).readTime.toMillis();
          const rebuilding = { since: Timestamp.fromMillis(now - minutes * 60_000), arrived: null };
          await db.doc('end_users/eus_a').update({ rebuilding });
        };
        await since(59);
        await store.append([late(0)]);
        expect((await stored('end_users/eus_a'))?.rebuilding).toMatchObject({ arrived: { event_count: 1 } });
        await since(61);
        await store.append([late(1)]);
        expect(await stored('end_users/eus_a')).not.toHaveProperty('rebuilding');
        await upkeep.recompute('eus_a', true);
        expect(await store.endUser('eus_a')).toEqual(foldOf([...given, late(0), late(1)]));
      });
    });
  });

  describe('close', () => {
    it('leaves a call to itself that does not end', async () => {
      vi.spyOn(v1.FirestoreClient.prototype, 'batchGetDocuments').mockImplementation(() => {
        return new PassThrough({ objectMode: true }) as never;
      });
      store.endUser('eus_a').catch(() => {});
      await store.close();
    });

    it('waits for what is on its way, and refuses what comes after', async () => {
      const given = event({ heron_id: 'eus_a' });
      const begun = Promise.withResolvers<void>();
      const { prototype } = v1.FirestoreClient;
      const get = prototype.batchGetDocuments;
      vi.spyOn(prototype, 'batchGetDocuments').mockImplementationOnce(function (this: typeof prototype, ...args) {
        begun.resolve();
        return Reflect.apply(get, this, args);
      });
      const outcome = store.append([given]);
      await begun.promise;
      await store.close();
      expect(await outcome).toEqual(['appended']);
      await expect(store.append([given])).rejects.toThrow('closed');
      await expect(store.endUser('eus_a')).rejects.toThrow('closed');
    });
  });

  /** Counts documents in the requests that the client sends: reads and writes, as Firestore bills them. */
  function watchRequests() {
    const { prototype } = v1.FirestoreClient;
    const gets = vi.spyOn(prototype, 'batchGetDocuments');
    const queries = vi.spyOn(prototype, 'runQuery');
    const commits = vi.spyOn(prototype, 'commit');
    return () => {
      expect(queries).not.toHaveBeenCalled();
      const sent = {
        reads: gets.mock.calls.reduce((sum, [request]) => sum + (request?.documents?.length ?? 0), 0),
        writes: commits.mock.calls.reduce((sum, [request]) => sum + (request?.writes?.length ?? 0), 0),
        calls: gets.mock.calls.length + commits.mock.calls.length,
      };
      gets.mockClear();
      commits.mockClear();
      return sent;
    };
  }
});
