import { Firestore, Timestamp, v1 } from '@google-cloud/firestore';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type EndUserEvent, Unprocessable } from '../../functions/events/event.ts';
import { Lanes } from '../../functions/projector/lanes.ts';
import { FirestoreStore } from '../../functions/store/firestore.ts';
import { hasFirestore, newProject } from '../emulators.ts';
import { proxyTo } from '../proxy.ts';
import { NOW } from './contract.ts';
import { endUserEvent, event, foldOf, logged, persistently, sized } from './given.ts';

describe.skipIf(!hasFirestore)('in Firestore', () => {
  const open = () => {
    const store = new FirestoreStore(config, () => NOW);
    stores.push(store);
    return store;
  };
  let config: { projectId: string; databaseId: string };
  let stores: FirestoreStore[];
  let store: FirestoreStore;
  /** Looks and meddles past the store. */
  let db: Firestore;

  beforeEach(() => {
    config = { projectId: newProject(), databaseId: '(default)' };
    stores = [];
    store = open();
    db = new Firestore(config);
  });

  afterEach(async () => {
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
    await Promise.all([db.terminate(), ...stores.map((each) => each.close())]);
  });

  const stored = async (path: string) => (await db.doc(path).get()).data();
  const updated = async (path: string) => (await db.doc(path).get()).updateTime?.toDate().getTime();
  const time = (text: string, microseconds = 0) => new Timestamp(Date.parse(text) / 1000, microseconds * 1_000);

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
      const key = `2026-08-14T12:24:38.137886Z|4|${given.event_id}`;
      expect(await stored('end_users/eus_a')).toEqual({
        heron_id: 'eus_a',
        end_user_id: 'myenduser',
        status: 'processed',
        status_at: time('2026-08-14T12:24:38Z', 137_886),
        review_required: false,
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
          version: 1,
          keys: { end_user_id: key, meta: key, last_event: key, review_required: null, reviewed: null, status: key },
        },
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
        ['0', ['data'], 900_000],
        ['1', ['data'], 900_000],
        ['2', ['data'], 200_000],
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

  describe('a state of another fold version', () => {
    it('is recomputed from the log by the next event', async () => {
      const small = Array.from({ length: 120 }, (_, n) => endUserEvent({ heron_id: 'eus_a', end_user_id: 'x', n }));
      const large = sized(1_000_000, { heron_id: 'eus_a', status: 'ready' });
      await store.append(small.slice(0, 60));
      await store.append(small.slice(60));
      await store.append([large]);
      await store.append([event({ heron_id: 'eus_a', created: 'no time' })]);
      for (const version of [0, 99]) {
        await db.doc('end_users/eus_a').set({ heron_id: 'eus_a', event_count: -1, fold: { version, other: 'keys' } });
        expect(await store.append([large])).toEqual(['duplicate']);
        expect(await stored('end_users/eus_a')).toMatchObject({ event_count: -1 });
        const next = endUserEvent({ heron_id: 'eus_a', version });
        small.push(next);
        expect(await store.append([next])).toEqual(['appended']);
        expect(await store.endUser('eus_a')).toEqual(foldOf([...small, large]));
      }
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

    it('is a write more for each chunk of a large body, and none for its duplicate', async () => {
      const given = sized(2_800_000, { heron_id: 'eus_a' });
      const requests = watchRequests();
      await store.append([given]);
      expect(requests()).toEqual({ reads: 2, writes: 6, calls: 5 });
      await store.append([given]);
      expect(requests()).toEqual({ reads: 2, writes: 2, calls: 3 }); // refused, as above
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

    it('all land within seconds through one process', async () => {
      const lanes = new Lanes((events) => store.append(events));
      const begun = performance.now();
      const outcomes = await Promise.all(given.map((each) => lanes.submit(each, never)));
      expect(performance.now() - begun).toBeLessThan(5_000);
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
      vi.spyOn(prototype, 'batchGetDocuments').mockImplementationOnce(() => {
        throw failure(3, 'a read that is invalid is not the fault of the event');
      });
      await expect(store.append([given])).rejects.not.toThrow(Unprocessable);
      expect(await store.append([given])).toEqual(['appended']);
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
      const impatient = new FirestoreStore(config, () => NOW, 500);
      stores.push(impatient);
      const given = Array.from({ length: 4 }, (_, n) => event({ heron_id: 'eus_a', n }));
      await impatient.append(given.slice(0, 1));

      proxy.halfOpen();
      await expect(impatient.append(given.slice(1, 2))).rejects.toThrow('did not answer within 500 ms');
      expect(await impatient.append(given.slice(1, 2))).toEqual(['appended']);

      proxy.silence(); // new connections too
      await expect(impatient.append(given.slice(2))).rejects.toThrow('did not answer within 500 ms');
      await expect(impatient.endUser('eus_a')).rejects.toThrow('did not answer within 500 ms');
      await proxy.restore();
      expect(await impatient.append(given.slice(2))).toEqual(['appended', 'appended']);
      expect(await impatient.endUser('eus_a')).toEqual(foldOf(given));
      await proxy.close();
    });
  });

  describe('close', () => {
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
