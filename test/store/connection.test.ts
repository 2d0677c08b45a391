import { PassThrough } from 'node:stream';
import { Firestore, GeoPoint, v1 } from '@google-cloud/firestore';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type HeronEvent, Unprocessable } from '../../functions/events/event.ts';
import { CODE } from '../../functions/grpc.ts';
import { instantOf } from '../../functions/heron/instant.ts';
import { Connection, type ConnectionOptions, type WatchEvents } from '../../functions/store/connection.ts';
import { FirestoreStore, type FirestoreStoreOptions } from '../../functions/store/firestore.ts';
import { hasFirestore, newProject } from '../emulators.ts';
import { proxyTo, type TcpProxy } from '../proxy.ts';
import { event, foldOf } from './given.ts';
import { NOW } from './sides.ts';

/** Longer than any machine is busy for. */
const PATIENCE = { timeout: 150_000 };

const failure = (code: number, details: string) => Object.assign(new Error(details), { code, details });

describe.skipIf(!hasFirestore)('the connection to Firestore', () => {
  const config = { projectId: newProject(), databaseId: '(default)' };
  const { prototype } = v1.FirestoreClient;
  let proxy: TcpProxy;
  let opened: { close(): Promise<void> }[];

  beforeEach(async () => {
    proxy = await proxyTo(process.env.FIRESTORE_EMULATOR_HOST ?? '');
    vi.stubEnv('FIRESTORE_EMULATOR_HOST', proxy.host);
    opened = [];
  });

  afterEach(async () => {
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
    await Promise.all(opened.map((each) => each.close()));
    await proxy.close();
  });

  const connect = (options: ConnectionOptions) => {
    const connection = new Connection(config, options);
    opened.push(connection);
    return connection;
  };
  const openStore = (options: FirestoreStoreOptions, projectId = newProject()) => {
    const store = new FirestoreStore({ ...config, projectId }, () => instantOf(NOW), options);
    opened.push(store);
    return store;
  };
  /** Which client calls go to. */
  const client = (connection: Connection): Promise<Firestore> => connection.call(async (db) => db);
  const warm = (connection: Connection) => connection.call((db) => db.doc('a/b').get());
  const never = () => new Promise<never>(() => {});

  describe('is kept', () => {
    it('where a call takes too long, but another one is answered: slow is not silent', async () => {
      const connection = connect({ callMs: 3_000 });
      await warm(connection);
      const before = await client(connection);
      await expect(connection.call(never)).rejects.toMatchObject({ code: CODE.DEADLINE_EXCEEDED });
      expect(await client(connection)).toBe(before);
    });

    it.each([
      ['asked for less', CODE.RESOURCE_EXHAUSTED],
      ['overtaken by others', CODE.ABORTED],
    ])('where a transaction is %s to the end of its time, and that is what it fails with', async (_, code) => {
      const connection = connect({ callMs: 1_500 });
      const commit = vi.spyOn(prototype, 'commit').mockImplementation(() => Promise.reject(failure(code, 'no')));
      const before = await client(connection);
      const write = connection.write(async (db, transaction) => transaction.set(db.doc('a/b'), {}));
      await expect(write).rejects.toMatchObject({ code, details: 'no' });
      expect(commit.mock.calls.length).toBeGreaterThan(1);
      expect(await client(connection)).toBe(before);
    });

    it('after an error that has no code', async () => {
      const connection = connect({ callMs: 1_000 });
      const before = await client(connection);
      await expect(connection.call(() => Promise.reject(new Error('of ours')))).rejects.toThrow('of ours');
      expect(await client(connection)).toBe(before);
    });

    it('where the caller has no more time: the call ends with his reason', async () => {
      const connection = connect({ callMs: 60_000 });
      const before = await client(connection);
      const left = new AbortController();
      const call = connection.call(never, left.signal);
      left.abort(new Error('the caller left'));
      await expect(call).rejects.toThrow('the caller left');
      await expect(connection.call(never, left.signal)).rejects.toThrow('the caller left');
      expect(await client(connection)).toBe(before);
    });
  });

  it('is replaced where it is silent, and calls go through again', async () => {
    const connection = connect({ callMs: 1_000 });
    await warm(connection);
    const before = await client(connection);
    proxy.halfOpen();
    await expect(warm(connection)).rejects.toMatchObject({ code: CODE.DEADLINE_EXCEEDED });
    expect(await client(connection)).not.toBe(before);
    await warm(connection);
  });

  describe.each([
    // What is refused directly is tried by a transaction, which tells whose fault it is.
    ['an event that is written directly', event({ heron_id: 'eus_a' }), 2],
    ['an event that takes a transaction', event({ heron_id: 'eus_a', created: 'no time' }), 1],
  ])('%s', (_, given, attempts) => {
    it.each([
      CODE.CANCELLED,
      CODE.UNKNOWN,
      CODE.DEADLINE_EXCEEDED,
      CODE.RESOURCE_EXHAUSTED,
      CODE.ABORTED,
      CODE.INTERNAL,
      CODE.UNAVAILABLE,
    ])('is tried again after code %i', async (code) => {
      const store = openStore({});
      vi.spyOn(prototype, 'commit').mockImplementationOnce(() => Promise.reject(failure(code, 'a moment')));
      expect(await store.append([given])).toEqual(['appended']);
      expect(await store.endUser('eus_a')).toEqual(foldOf([given]));
    });

    it('is tried again where its transaction was idle for too long: that is not its fault', async () => {
      const store = openStore({});
      const expired = failure(CODE.INVALID_ARGUMENT, 'The referenced transaction has expired or is no longer valid.');
      vi.spyOn(prototype, 'commit').mockImplementationOnce(() => Promise.reject(expired));
      expect(await store.append([given])).toEqual(['appended']);
    });

    it('is given up where Firestore refuses what is written', async () => {
      const store = openStore({});
      const refused = failure(CODE.INVALID_ARGUMENT, 'no such thing');
      const commit = vi.spyOn(prototype, 'commit').mockImplementation(() => Promise.reject(refused));
      await expect(store.append([given])).rejects.toThrow(Unprocessable);
      expect(commit).toHaveBeenCalledTimes(attempts);
    });

    it('is given up where a transaction fails by a condition as well', async () => {
      const store = openStore({});
      const code = CODE.FAILED_PRECONDITION;
      const commit = vi.spyOn(prototype, 'commit').mockImplementation(() => Promise.reject(failure(code, 'no')));
      await expect(store.append([given])).rejects.toMatchObject({ code });
      expect(commit).toHaveBeenCalledTimes(attempts);
    });

    it.each([CODE.PERMISSION_DENIED, CODE.NOT_FOUND])('is given up at once after code %i', async (code) => {
      const store = openStore({});
      const commit = vi.spyOn(prototype, 'commit').mockImplementation(() => Promise.reject(failure(code, 'no')));
      await expect(store.append([given])).rejects.toMatchObject({ code });
      expect(commit).toHaveBeenCalledTimes(1);
    });
  });

  describe('what is written directly', () => {
    const three = [1, 2, 3].map((n) => event({ heron_id: 'eus_a', n })) as [HeronEvent, HeronEvent, HeronEvent];
    /** The first read is answered when something else has been done. */
    const meanwhile = (work: () => Promise<unknown>) => {
      const { batchGetDocuments } = prototype;
      vi.spyOn(prototype, 'batchGetDocuments').mockImplementationOnce(function (this: typeof prototype, ...args) {
        const late = new PassThrough({ objectMode: true });
        const stream = Reflect.apply(batchGetDocuments, this, args);
        stream.on('end', () => work().then(() => late.end()));
        return stream.pipe(late, { end: false }) as never;
      });
    };
    const ways = () => {
      const commit = vi.spyOn(prototype, 'commit');
      return () => commit.mock.calls.splice(0).map(([request]) => (request?.transaction ? 'transaction' : 'direct'));
    };

    it('takes a transaction where the state was written by others meanwhile', async () => {
      const store = openStore({});
      const [first, second, third] = three;
      await store.append([first]);
      const taken = ways();
      meanwhile(() => store.append([second]));
      expect(await store.append([third])).toEqual(['appended']);
      expect(taken()).toEqual(['direct', 'direct', 'transaction']);
      expect(await store.endUser('eus_a')).toEqual(foldOf(three));
    });

    it('takes a transaction where somebody has added what nothing here knows', async () => {
      const projectId = newProject();
      const store = openStore({}, projectId);
      const [first, second] = three;
      await store.append([first]);
      const db = new Firestore({ ...config, projectId });
      await db.doc('end_users/eus_a').update({ place: new GeoPoint(1, 2) });
      await db.terminate();
      const taken = ways();
      expect(await store.append([second])).toEqual(['appended']);
      expect(taken()).toEqual(['transaction']);
      expect(await store.endUser('eus_a')).toEqual(foldOf([first, second]));
    });

    it('of an end user who is new at two places at once is a duplicate at neither', async () => {
      const store = openStore({});
      const [first, second] = three;
      meanwhile(() => store.append([first]));
      const taken = ways();
      expect(await store.append([second])).toEqual(['appended']);
      expect(taken()).toEqual(['direct', 'direct', 'transaction']);
      expect(await store.endUser('eus_a')).toEqual(foldOf([first, second]));
    });

    it('goes a way of its own, which is replaced where it alone is silent', async () => {
      const store = openStore({ callMs: 1_000 });
      await store.append([event({ heron_id: 'eus_a', n: 1 })]);
      proxy.halfOpen();
      const taken = ways();
      expect(await store.endUser('eus_a')).toMatchObject({ event_count: 1 }); // another connection, which is new
      await expect(store.append([event({ heron_id: 'eus_a', n: 2 })])).rejects.toThrow('did not answer within 1000 ms');
      const append = () => store.append([event({ heron_id: 'eus_a', n: 3 })]);
      expect(await vi.waitFor(append, PATIENCE)).toEqual(['appended']);
      expect(taken()).toEqual(['direct']);
    });

    it('is waited for as long as any call: slow is not silent', async () => {
      const store = openStore({ callMs: 4_000, probeMs: 3_000 });
      await store.append([event({ heron_id: 'eus_a', n: 1 })]);
      proxy.lengthen(600); // there and back, for a read and a commit: 2.4 s
      const taken = ways();
      expect(await store.append([event({ heron_id: 'eus_a', n: 2 })])).toEqual(['appended']);
      expect(taken()).toEqual(['direct']);
    });
  });

  describe('a transaction', () => {
    it('is not begun again once nobody waits for it', async () => {
      const connection = connect({ callMs: 400 });
      const busy = failure(CODE.ABORTED, 'busy');
      const commit = vi.spyOn(prototype, 'commit').mockImplementation(() => Promise.reject(busy));
      await expect(connection.write(async (db, t) => t.set(db.doc('a/b'), {}))).rejects.toThrow('busy');
      const attempts = commit.mock.calls.length;
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      expect(commit.mock.calls.length).toBe(attempts);
    });
  });

  describe('what is watched', () => {
    const events = (changes: Partial<WatchEvents> = {}) => ({
      begin: vi.fn<WatchEvents['begin']>(() => () => {}),
      onFailure: vi.fn(),
      onBlind: vi.fn(),
      ...changes,
    });

    it('is left once it failed: a new connection does not take it up', async () => {
      const connection = connect({ callMs: 500 });
      await warm(connection);
      const failing = events({
        begin: vi.fn<WatchEvents['begin']>((_, failed) => {
          queueMicrotask(() => failed(new Error('no permission')));
          return () => {};
        }),
      });
      const lasting = events();
      for (let n = 0; n < 20; n++) connection.watch(failing);
      connection.watch(lasting);
      await vi.waitFor(() => expect(failing.onFailure).toHaveBeenCalledTimes(20));
      expect(connection.watching).toBe(1);
      proxy.halfOpen();
      await expect(warm(connection)).rejects.toThrow();
      expect(failing.begin).toHaveBeenCalledTimes(20);
      expect(lasting.begin).toHaveBeenCalledTimes(2);
    });

    it('is left once it was stopped', async () => {
      const connection = connect({ callMs: 1_000 });
      const ended = vi.fn();
      const stop = connection.watch(events({ begin: () => ended }));
      stop();
      stop();
      expect(ended).toHaveBeenCalledTimes(1);
      expect(connection.watching).toBe(0);
    });

    it.each([
      ['frozen, and new ones pass', () => proxy.halfOpen()],
      ['frozen, and so are new ones, for a while', () => proxy.silence()],
      ['cut, and no new one is taken, for a while', () => proxy.cut()],
    ])('says so where it cannot be seen, as the way is %s, and goes on once it can', async (_, fail) => {
      const store = openStore({ watchMs: 200, probeMs: 1_000, callMs: 5_000 });
      const told = vi.fn();
      const onBlind = vi.fn(() => told('blind'));
      const stop = store.watchChanges(
        (changed) => told(changed === null ? null : changed.map(({ status }) => status)),
        told,
        onBlind,
      );
      await vi.waitFor(() => expect(told).toHaveBeenLastCalledWith(null), PATIENCE);
      await store.append([event({ heron_id: 'eus_a', status: 'ready' })]);
      await vi.waitFor(() => expect(told).toHaveBeenLastCalledWith(['ready']), PATIENCE);
      await fail();
      await vi.waitFor(() => expect(told).toHaveBeenCalledWith('blind'), PATIENCE);
      await proxy.restore();
      await vi.waitFor(() => expect(told).toHaveBeenLastCalledWith(null), PATIENCE);
      await vi.waitFor(() => store.append([event({ heron_id: 'eus_a', status: 'failed' })]), PATIENCE);
      await vi.waitFor(() => expect(told).toHaveBeenLastCalledWith(['failed']), PATIENCE);
      expect(onBlind).toHaveBeenCalledTimes(1);
      stop();
    });

    it('is watched anew where the connection is replaced under it', async () => {
      const store = openStore({ callMs: 1_000, watchMs: 60_000 });
      const seen: (string | null)[] = [];
      store.watch(
        { heron_id: 'eus_a' },
        ([endUser]) => seen.push(endUser?.status ?? null),
        () => {},
      );
      await vi.waitFor(() => expect(seen).toEqual([null]), PATIENCE);
      proxy.halfOpen();
      await expect(store.endUser('eus_a')).rejects.toThrow('did not answer');
      await vi.waitFor(() => expect(seen).toEqual([null, null]), PATIENCE);
      await vi.waitFor(() => store.append([event({ heron_id: 'eus_a', status: 'ready' })]), PATIENCE);
      await vi.waitFor(() => expect(seen).toEqual([null, null, 'ready']), PATIENCE);
    });
  });
});
