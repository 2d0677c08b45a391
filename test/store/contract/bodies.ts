import { beforeEach, describe, expect, it } from 'vitest';
import { MAX_INLINE_BYTES, type Store } from '../../../functions/store/store.ts';
import { foldOf, logged, sized } from '../given.ts';
import { type Side, same } from '../sides.ts';

const CHUNK = 900_000;

/** Bodies, to the byte. */
export function bodiesContract(sides: () => Side): void {
  describe('body', () => {
    let store: Store;
    let other: Store;

    beforeEach(() => {
      ({ store, other } = sides());
    });

    it.each([
      ['that is empty', ''],
      ['with hostile keys', '{"__proto__":1,"__x__":{"":2},"a/b":3}'],
      ['2,000 levels deep', `${'[{"a":'.repeat(1_000)}1${'}]'.repeat(1_000)}`],
      ['with NUL', '{"a":"\0\\u0000"}\0'],
      ['with lone surrogates', '{"a":"\\ud800","\\udfff":"\\ud83d"}'],
      ['with numbers past 2^53', '{"a":9007199254740993,"b":1e400,"c":0.1000000000000000055511151231257827}'],
      ['with duplicate keys', '{"a":1,"a":2,"topic":"x","topic":"y"}'],
      ['that is no UTF-8', Uint8Array.from({ length: 256 }, (_, i) => i)],
      ['that begins with a byte order mark', '\ufeff{"a":1}'],
    ])('is kept to the byte: one %s', async (_, bytes) => {
      const given = logged(bytes);
      await store.append([given]);
      const recorded = await other.event(given.event_id);
      expect(recorded?.bytes).toBe(Buffer.byteLength(bytes));
      expect(same(recorded?.body, Buffer.from(bytes))).toBe(true);
      expect(same(await other.body(given.event_id), Buffer.from(bytes))).toBe(true);
    });

    it.each([
      MAX_INLINE_BYTES - 1,
      MAX_INLINE_BYTES,
      MAX_INLINE_BYTES + 1,
      CHUNK - 1,
      CHUNK,
      CHUNK + 1,
      3 * CHUNK,
      3 * CHUNK + 1,
      9_900_000,
    ])('is kept to the byte: one of %i bytes', async (bytes) => {
      const given = sized(bytes, { heron_id: 'eus_a' });
      expect(given.body.byteLength).toBe(bytes);
      expect(await store.append([given])).toEqual(['appended']);
      expect(same(await other.body(given.event_id), given.body)).toBe(true);
      const recorded = [await other.event(given.event_id), (await other.events('eus_a', 1, null)).events[0]];
      for (const each of recorded) {
        expect(each?.bytes).toBe(bytes);
        if (bytes > MAX_INLINE_BYTES) expect(each?.body).toBeNull();
        else expect(same(each?.body, given.body)).toBe(true);
      }
      expect(await store.append([given])).toEqual(['duplicate']);
      expect(await store.endUser('eus_a')).toEqual(foldOf([given]));
    });
  });
}
