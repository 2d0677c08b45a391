import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { EndUser } from '../../functions/events/end-user.ts';
import { type Instant, instantOf } from '../../functions/heron/instant.ts';
import type { EndUserCursor, EndUserFilter } from '../../functions/store/store.ts';
import type { Side } from './contract.ts';
import { event, logged } from './given.ts';

/** What both sides of the port hold to where many end users are read, counted or watched. */
export function readingContract(sides: () => Side, now: number): void {
  const at = (seconds: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, seconds)).toISOString();

  const pages = async (filter: EndUserFilter, size: number): Promise<string[][]> => {
    const found: string[][] = [];
    let after: EndUserCursor | null = null;
    do {
      const page = await sides().store.listEndUsers(filter, size, after);
      found.push(page.endUsers.map(({ heron_id }) => heron_id));
      after = page.next;
    } while (after !== null);
    return found;
  };

  describe('end users', () => {
    it('come newest first, by status or for review, and no page skips or repeats one', async () => {
      const { store } = sides();
      for (const [i, status] of ['ready', 'failed', 'ready', 'odd', 'failed', 'ready'].entries())
        await store.append([event({ heron_id: `eus_${i}`, status, created: at(Math.floor(i / 2)) })]);
      await store.append([event({ heron_id: 'eus_1', topic: 'end_user.review_required', created: at(9) })]);
      const all = ['eus_1', 'eus_5', 'eus_4', 'eus_3', 'eus_2', 'eus_0'];
      for (const size of [1, 2, 5, 6, 7]) {
        const found = await pages({}, size);
        expect(found.flat()).toEqual(all);
        expect(found).toHaveLength(Math.ceil(all.length / size));
      }
      expect((await pages({ status: 'ready' }, 2)).flat()).toEqual(['eus_5', 'eus_2', 'eus_0']);
      expect((await pages({ status: 'nothing' }, 2)).flat()).toEqual([]);
      expect((await pages({ review_required: true }, 2)).flat()).toEqual(['eus_1']);
      expect(await store.countListed({})).toBe(6);
      expect(await store.countListed({ status: 'failed' })).toBe(2);
      expect(await store.countListed({ review_required: true })).toBe(1);
    });

    it('that change while they are paged are not shown twice, and those that do not are shown once', async () => {
      const { store } = sides();
      for (let i = 0; i < 6; i++) await store.append([event({ heron_id: `eus_${i}`, created: at(i) })]);
      const first = await store.listEndUsers({}, 2, null);
      expect(first.endUsers.map(({ heron_id }) => heron_id)).toEqual(['eus_5', 'eus_4']);
      // One that was shown, one that was not, and a new one: all now stand before the first page.
      for (const [i, heron_id] of ['eus_4', 'eus_1', 'eus_new'].entries())
        await store.append([event({ heron_id, created: at(10 + i) })]);
      const rest = await store.listEndUsers({}, 10, first.next);
      expect(rest.endUsers.map(({ heron_id }) => heron_id)).toEqual(['eus_3', 'eus_2', 'eus_0']);
    });
  });

  describe('the log', () => {
    it('tells its topics, with when each had its latest event, and counts them', async () => {
      const { store } = sides();
      await store.append([event({ heron_id: 'eus_a', topic: 'end_user.processed' })]);
      await store.append([event({ heron_id: 'eus_a', topic: 'end_user.processed', n: 2 })]);
      await store.append([event({ topic: 'never.heard_of' })]);
      await store.append([logged('not JSON')]);
      const recorded_at = instantOf(now);
      const topics = await store.topics();
      expect(topics).toHaveLength(3);
      expect(topics).toEqual(
        expect.arrayContaining([null, 'end_user.processed', 'never.heard_of'].map((topic) => ({ topic, recorded_at }))),
      );
      const later = instantOf(now + 1);
      const count = (topic: string | null, from: Instant, to: Instant) => store.countEvents(topic, from, to);
      expect(await count('end_user.processed', recorded_at, later)).toBe(2);
      expect(await count('end_user.processed', instantOf(0), recorded_at)).toBe(0);
      expect(await count('end_user.processed', later, instantOf(now + 1_000))).toBe(0);
      expect(await count(null, recorded_at, later)).toBe(1);
      expect(await count('end_user.failed', recorded_at, later)).toBe(0);
    });

    it('has no topics while it is empty', async () => {
      expect(await sides().store.topics()).toEqual([]);
    });
  });

  describe('a watch', () => {
    const until = async (holds: () => boolean) => {
      for (const deadline = Date.now() + 10_000; !holds(); await sleep(5))
        if (Date.now() > deadline) throw new Error('It did not happen within 10 s.');
    };
    const fail = (error: unknown) => {
      throw error;
    };

    it.each([
      ['its heron_id', { heron_id: 'eus_a' }],
      ['the customer’s id', { end_user_id: 'acme/1' }],
    ])('by %s tells what there is, before the end user exists and after each change', async (_, watched) => {
      const { store, other } = sides();
      const seen: (readonly EndUser[])[] = [];
      const stop = store.watch(watched, (endUsers) => seen.push(endUsers), fail);
      await until(() => seen.length === 1);
      expect(seen[0]).toEqual([]);
      await other.append([event({ heron_id: 'eus_a', end_user_id: 'acme/1', status: 'ready', created: at(1) })]);
      await until(() => seen.length === 2);
      await other.append([event({ heron_id: 'eus_a', end_user_id: 'acme/1', status: 'failed', created: at(2) })]);
      await until(() => seen.length === 3);
      expect(seen.map((endUsers) => endUsers.map(({ status }) => status))).toEqual([[], ['ready'], ['failed']]);
      expect(seen[2]).toEqual([await store.endUser('eus_a')]);
      stop();
      await other.append([event({ heron_id: 'eus_a', status: 'reviewed', created: at(3) })]);
      await sleep(100);
      expect(seen).toHaveLength(3);
    });

    it('for all changes tells those from then on, also of what is old, and that some are gone', async () => {
      const { store, other, upkeep } = sides();
      await other.append([event({ heron_id: 'eus_old', created: at(5) })]);
      const seen: (readonly EndUser[] | null)[] = [];
      const stop = store.watchChanges((changed) => seen.push(changed), fail);
      await until(() => seen.length === 1);
      await other.append([event({ heron_id: 'eus_new', created: at(9) })]);
      await until(() => seen.length === 2);
      await other.append([event({ heron_id: 'eus_old', created: at(1) })]);
      await until(() => seen.length === 3);
      expect(seen).toEqual([null, [await store.endUser('eus_new')], [await store.endUser('eus_old')]]);
      await upkeep.forget('eus_new', 'me');
      await until(() => seen.length === 4);
      expect(seen[3]).toBeNull();
      stop();
    });
  });
}
