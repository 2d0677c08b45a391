import { FieldValue, Firestore, GeoPoint, Timestamp } from '@google-cloud/firestore';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CODE } from '../../functions/grpc.ts';
import { DirectClient } from '../../functions/store/direct.ts';
import { UnknownKind } from '../../functions/store/values.ts';
import { hasFirestore, newProject } from '../emulators.ts';

/** Of all kinds that documents here are made of; nothing else is like nothing else. */
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constant(null),
    fc.boolean(),
    fc.string({ unit: 'grapheme' }),
    fc.maxSafeInteger(),
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    fc
      .record({ seconds: fc.integer({ min: -62_135_596_800, max: 253_402_300_799 }), micros: fc.nat(999_999) })
      .map(({ seconds, micros }) => new Timestamp(seconds, micros * 1_000)),
    fc.dictionary(fc.stringMatching(/^[a-z][a-z_]{0,8}$/), tie('value'), { noNullPrototype: true }),
    // A list in a list is none that Firestore takes.
    fc.array(fc.oneof(fc.string(), fc.maxSafeInteger(), fc.constant(null))),
  ),
}));
const documents = fc.dictionary(fc.stringMatching(/^[a-z][a-z_]{0,8}$/), value, { noNullPrototype: true });

describe.skipIf(!hasFirestore)('what is written and read directly', () => {
  const config = { projectId: newProject(), databaseId: '(default)' };
  let db: Firestore;
  let direct: DirectClient;
  let documentsMade = 0;
  const newPath = () => `a/${documentsMade++}`;

  beforeAll(() => {
    db = new Firestore(config);
    direct = new DirectClient(config, {});
  });
  afterAll(() => Promise.all([db.terminate(), direct.close()]));

  it("is what Firestore's own client reads and writes, whatever it is", async () => {
    await fc.assert(
      fc.asyncProperty(documents, async (data) => {
        const [ours, theirs] = [newPath(), newPath()];
        await Promise.all([direct.commit([{ path: ours, data, replaces: null }]), db.doc(theirs).create(data)]);
        const read = await Promise.all([ours, theirs].flatMap((path) => [direct.read(path), db.doc(path).get()]));
        expect(read.map((found) => (typeof found?.data === 'function' ? found.data() : found?.data))).toEqual(
          Array(4).fill(data),
        );
      }),
      { numRuns: 100 },
    );
  });

  it('takes the place of a document as a whole', async () => {
    const path = newPath();
    await db.doc(path).set({ a: 1, b: { c: 1, d: 2 } });
    const found = await direct.read(path);
    await direct.commit([{ path, data: { b: { c: 2 } }, replaces: found?.version ?? null }]);
    expect((await db.doc(path).get()).data()).toEqual({ b: { c: 2 } });
  });

  it('has the time of the server where it is asked for, in no other field, and leaves out what is undefined', async () => {
    const path = newPath();
    const data = { at: FieldValue.serverTimestamp(), other: Timestamp.fromMillis(0), none: undefined };
    const { writeTime } = await db.doc(newPath()).set({});
    await direct.commit([{ path, data, replaces: null }]);
    const found = await db.doc(path).get();
    const { at, ...rest } = found.data() ?? {};
    expect(rest).toEqual({ other: Timestamp.fromMillis(0) });
    expect([writeTime, at, found.updateTime].map((time) => time.toMillis())).toEqual(
      [writeTime, at, found.updateTime].map((time) => time.toMillis()).toSorted((a, b) => a - b),
    );
  });

  it('is nothing where one of its documents is there already, or is another than was read, or is gone', async () => {
    const [there, other] = [newPath(), newPath()];
    await db.doc(there).set({ n: 1 });
    const version = (await direct.read(there))?.version ?? null;
    const commit = (replaces: typeof version) =>
      direct.commit([
        { path: other, data: {}, replaces: null },
        { path: there, data: { n: 2 }, replaces },
      ]);
    await expect(commit(null)).rejects.toMatchObject({ code: CODE.ALREADY_EXISTS });
    await db.doc(there).set({ n: 3 });
    await expect(commit(version)).rejects.toMatchObject({ code: CODE.FAILED_PRECONDITION });
    expect((await db.doc(there).get()).data()).toEqual({ n: 3 });
    await db.doc(there).delete();
    await expect(commit(version)).rejects.toMatchObject({ code: CODE.FAILED_PRECONDITION });
    expect(await direct.read(there)).toBeUndefined();
    expect(await direct.read(other)).toBeUndefined();
  });

  it.each([
    ['a place on earth', new GeoPoint(1, 2)],
    ['a number that is not whole', 1.5],
    ['a document', (database: Firestore) => database.doc('a/b')],
  ])('is refused where somebody else has written %s there: nothing here knows it', async (_, made) => {
    const path = newPath();
    const strange = typeof made === 'function' ? made(db) : made;
    await db.doc(path).set({ a: [{ strange }] });
    await expect(direct.read(path)).rejects.toThrow(UnknownKind);
    await expect(direct.commit([{ path: newPath(), data: { a: { strange } }, replaces: null }])).rejects.toThrow(
      UnknownKind,
    );
  });
});
