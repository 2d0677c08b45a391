import { beforeEach, describe, expect, it } from 'vitest';
import { type Instant, instantOf } from '../../../functions/heron/instant.ts';
import type { Store } from '../../../functions/store/store.ts';
import type { LogPlace, Surveyed, Upkeep } from '../../../functions/store/upkeep.ts';
import { event, foldOf, logged, misread, sized } from '../given.ts';
import { NOW, rebuilt, type Side, same, surveyed } from '../sides.ts';

/** The log read again, and states compared with it, and both set right. */
export function rebuildingContract(sides: () => Side): void {
  describe('rebuilding', () => {
    let store: Store;
    let upkeep: Upkeep;

    beforeEach(() => {
      ({ store, upkeep } = sides());
    });

    it('meets every event and every end user once, in the order of their ids, from whatever place', async () => {
      const ids = ['eus_-', 'eus_0', 'eus_A', 'eus_B', 'eus__', 'eus_a', 'eus_ab'];
      for (const heron_id of ids) await store.append([event({ heron_id }), event({ heron_id, n: 2 })]);
      await store.append([event({ heron_id: 'eus_only_in_log', created: 'no time' })]);
      const ofNobody = [logged('of nobody'), logged('nor this')];
      for (const each of ofNobody) await store.append([each]);
      await upkeep.forget('eus_B', 'me');
      const outcomes = [...ids, 'eus_only_in_log'].map((heron_id) => ({
        heron_id,
        outcome: heron_id === 'eus_B' ? 'forgotten' : heron_id === 'eus_only_in_log' ? 'untimed' : 'right',
      }));
      const all = await surveyed(upkeep);
      const counts = { events: 17, untimed: 1, damaged: 0 };
      expect(all).toEqual({ read: 17, counts, misread: [], endUsers: outcomes, place: null });
      expect(await upkeep.eventsBehind(null)).toBe(17);

      const behind: LogPlace = { heron_id: 'eus_A', event: null };
      expect(await surveyed(upkeep, behind)).toMatchObject({ counts: { events: 9 }, endUsers: outcomes.slice(3) });
      expect(await upkeep.eventsBehind(behind)).toBe(9);
      const [first] = ofNobody.map(({ event_id }) => event_id).sort(); // the last, as they have no time
      const amid: LogPlace = { heron_id: null, event: { created: null, event_id: first ?? '' } };
      expect(await surveyed(upkeep, amid)).toMatchObject({ counts: { events: 15 }, endUsers: outcomes });
      expect(await upkeep.eventsBehind(amid)).toBe(15);
    });

    it('takes one end user alone', async () => {
      for (const heron_id of ['eus_a', 'eus_b', 'eus_c'])
        await store.append([event({ heron_id }), event({ heron_id, n: 2 })]);
      const one = async (id: string) => {
        const met: Surveyed[] = [];
        for await (const { endUsers } of upkeep.surveyOne(id)) met.push(...endUsers);
        return met;
      };
      expect(await one('eus_b')).toEqual([{ heron_id: 'eus_b', outcome: 'right' }]);
      for (const nobody of ['eus_unknown', 'customer/7', '']) expect(await one(nobody)).toEqual([]);
    });

    it('finds right what is right', async () => {
      const given = [event({ heron_id: 'eus_a', meta: { a: [1] } }), sized(40_000, { heron_id: 'eus_a' })];
      await store.append(given);
      await store.append([event({ heron_id: 'eus_b', created: 'no time' })]);
      for (const apply of [true, false]) {
        expect(await upkeep.recompute('eus_a', apply)).toEqual({ outcome: 'right' });
        expect(await upkeep.recompute('eus_b', apply)).toEqual({ outcome: 'untimed' });
      }
      expect(await store.endUser('eus_a')).toEqual(foldOf(given));
    });

    describe('what an older program could not read', () => {
      const large = (fields: { readonly heron_id: string }) => sized(1_000_000, fields);

      it('finds its end user, its topic and its place, and its body stays', async () => {
        const given = [
          event({ heron_id: 'eus_a', status: 'ready', created: '2026-08-14T12:00:00' }),
          event({ heron_id: 'eus_a', end_user_id: 'x', meta: { a: 1 } }),
          large({ heron_id: 'eus_new' }),
        ];
        const [plain, lost, big] = given as [(typeof given)[0], (typeof given)[0], (typeof given)[0]];
        await store.append([plain]);
        const nothing = { topic: null, heron_id: null, end_user_id: null, status: null, meta: null };
        for (const each of [lost, big])
          await store.append([misread(each, { ...nothing, undocumented: 'it is not understood' })]);
        expect((await store.unroutedEvents(10, null)).events).toHaveLength(2);

        const before = [await store.event(lost.event_id), await store.endUser('eus_a')];
        const { tally: found } = await rebuilt(upkeep, true);
        expect(found).toMatchObject({ events: 3, events_misread: 2, events_moved: 2, right: 1, different: 0 });
        expect([await store.event(lost.event_id), await store.endUser('eus_a')]).toEqual(before);

        expect((await rebuilt(upkeep)).tally).toMatchObject({ events_misread: 2, events_moved: 2, failed: 0 });
        expect(await store.endUser('eus_a')).toEqual(foldOf([plain, lost]));
        expect(await store.endUser('eus_new')).toEqual(foldOf([big]));
        expect((await store.unroutedEvents(10, null)).events).toEqual([]);
        expect((await store.events('eus_a', 10, null)).events.map(({ event_id }) => event_id)).toEqual([
          lost.event_id,
          plain.event_id,
        ]);
        expect((await store.eventsOfTopic('end_user.processed', 10, null)).events).toHaveLength(3);
        const { topic, created, end_user_id, status } = lost;
        expect(await store.event(lost.event_id)).toMatchObject({
          topic,
          created,
          end_user_id,
          status,
          bytes: lost.body.byteLength,
        });
        expect(same(await store.body(big.event_id), big.body)).toBe(true);
        const { tally: again } = await rebuilt(upkeep);
        expect(again).toMatchObject({ events_misread: 0, different: 0, right: 2 });
      });

      it('leaves the end user whom it was taken for, and that one’s state with it, whichever comes first', async () => {
        const stays = {
          eus_a: event({ heron_id: 'eus_a', status: 'ready', n: 1 }),
          eus_z: event({ heron_id: 'eus_z', n: 2 }),
        };
        for (const each of Object.values(stays)) await store.append([each]);
        const toZ = event({ heron_id: 'eus_z', created: '2026-08-15T00:00:00', status: 'failed' });
        const toA = event({ heron_id: 'eus_a', created: '2026-08-16T00:00:00', status: 'reviewed' });
        const alone = event({ heron_id: 'eus_m', status: 'new' });
        await store.append([misread(toZ, { heron_id: 'eus_a' })]);
        await store.append([misread(toA, { heron_id: 'eus_z' })]);
        await store.append([misread(alone, { heron_id: 'eus_nobody' })]);
        expect(await store.endUser('eus_nobody')).not.toBeNull();

        expect((await rebuilt(upkeep)).tally).toMatchObject({ events_misread: 3, events_moved: 3, failed: 0 });
        expect(await store.endUser('eus_a')).toEqual(foldOf([stays.eus_a, toA]));
        expect(await store.endUser('eus_z')).toEqual(foldOf([stays.eus_z, toZ]));
        expect(await store.endUser('eus_m')).toEqual(foldOf([alone]));
        // Nothing of it was ever about this one.
        expect(await store.endUser('eus_nobody')).toBeNull();
        expect((await rebuilt(upkeep)).tally).toMatchObject({ events_misread: 0, different: 0, right: 3 });
      });

      it('takes the state of whom it was taken for with it, also where a rebuild was cut off in between', async () => {
        await store.append([misread(event({ heron_id: 'eus_m' }), { heron_id: 'eus_nobody' })]);
        await upkeep.mend((await surveyed(upkeep)).misread);
        expect(await store.endUser('eus_nobody')).not.toBeNull();
        expect((await rebuilt(upkeep)).tally).toMatchObject({ events_misread: 0, different: 1, right: 1 });
        expect(await store.endUser('eus_nobody')).toBeNull();
      });

      it('is counted once it has a time, and by the time and the status that it really has', async () => {
        const given = [
          event({ heron_id: 'eus_a', status: 'ready', created: '2026-08-14T12:00:00', n: 1 }),
          event({ heron_id: 'eus_a', status: 'failed', created: '2026-08-13T12:00:00', n: 2 }),
          event({ heron_id: 'eus_a', status: 'reviewed', created: '2026-08-12T12:00:00', n: 3 }),
        ] as const;
        await store.append([given[0]]);
        await store.append([misread(given[1], { created: null, undocumented: 'created is not a time' })]);
        const later = '2026-08-20T12:00:00.000000Z' as Instant;
        await store.append([misread(given[2], { created: later, status: 'processed' })]);
        expect(await store.endUser('eus_a')).toMatchObject({ status: 'processed', event_count: 2 });
        expect((await rebuilt(upkeep, true)).tally).toMatchObject({ events_misread: 2, events_moved: 0, different: 1 });
        expect((await rebuilt(upkeep)).tally).toMatchObject({ events_misread: 2, events_moved: 0, different: 1 });
        expect(await store.endUser('eus_a')).toEqual(foldOf(given));
        expect((await store.event(given[2].event_id))?.created).toBe(given[2].created);
      });

      it('is erased where it names somebody who is forgotten, and nothing of it comes back', async () => {
        const forgotten = event({ heron_id: 'eus_gone', end_user_id: 'x' });
        await store.append([forgotten]);
        const late = [event({ heron_id: 'eus_gone', n: 2 }), large({ heron_id: 'eus_gone' })];
        const byId = event({ topic: 'pdf.processed', end_user_id: 'x', n: 4 });
        for (const each of [...late, byId])
          await store.append([misread(each, { heron_id: null, end_user_id: null, undocumented: 'odd' })]);
        await upkeep.forget('eus_gone', 'me');
        while (!(await upkeep.erase('eus_gone')).isOver);

        expect((await rebuilt(upkeep)).tally).toMatchObject({ events_misread: 3, events_erased: 3, events_moved: 0 });
        for (const { event_id } of [...late, byId]) expect(await store.event(event_id)).toBeNull();
        expect(await store.endUser('eus_gone')).toBeNull();
        expect(await upkeep.tombstone('eus_gone')).toMatchObject({ events: 3 });
        expect((await upkeep.erase('eus_gone')).isOver).toBe(true);
      });

      it('is set right where several name no end user', async () => {
        const given = [1, 2].map((n) => event({ topic: 'pdf.processed', end_user_id: 'x', n }));
        for (const each of given) await store.append([misread(each, { end_user_id: null })]);
        const counts = { events_misread: 2, events_moved: 0, failed: 0 };
        expect((await rebuilt(upkeep)).tally).toMatchObject(counts);
        for (const { event_id } of given) expect(await store.event(event_id)).toMatchObject({ end_user_id: 'x' });
      });

      it('is left where it has gone meanwhile, and counts once, whoever sets it right', async () => {
        const given = [1, 2].map((n) => event({ heron_id: 'eus_a', n }));
        for (const each of given) await store.append([misread(each, { heron_id: null })]);
        const { misread: found } = await surveyed(upkeep);
        expect(found).toHaveLength(2);
        expect(await upkeep.mend(found)).toEqual({ mended: 2, moved: 2, erased: 0 });
        expect(await upkeep.mend(found)).toEqual({ mended: 2, moved: 0, erased: 0 });
        expect(await store.endUser('eus_a')).toEqual(foldOf(given));
        await upkeep.forget('eus_a', 'me');
        while (!(await upkeep.erase('eus_a')).isOver);
        await upkeep.lift('eus_a');
        expect(await upkeep.mend(found)).toEqual({ mended: 0, moved: 0, erased: 0 });
        expect(await store.endUser('eus_a')).toBeNull();
      });
    });

    it('remembers how far it has come', async () => {
      const checkpoint = {
        place: { heron_id: 'eus_a', event: null },
        started_at: instantOf(NOW),
        saved_at: instantOf(NOW),
        fold_version: 1,
        tally: { right: 3 },
      };
      expect(await upkeep.checkpoint()).toBeNull();
      await upkeep.saveCheckpoint(checkpoint);
      expect(await upkeep.checkpoint()).toEqual(checkpoint);
      const amid: LogPlace = { heron_id: null, event: { created: instantOf(0), event_id: '0' } };
      await upkeep.saveCheckpoint({ ...checkpoint, place: amid });
      expect(await upkeep.checkpoint()).toEqual({ ...checkpoint, place: amid });
      await upkeep.saveCheckpoint(null);
      expect(await upkeep.checkpoint()).toBeNull();
    });
  });
}
