import { Firestore } from '@google-cloud/firestore';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { once } from '../../functions/subscriber/once-firestore.ts';
import { Discard, type OnceOutcome, RetryAfter, subscriber } from '../../functions/subscriber/subscriber.ts';
import { deliver, event } from '../../functions/subscriber/testing.ts';
import { hasFirestore, newProject } from '../emulators.ts';

describe.skipIf(!hasFirestore)('once, on Firestore', () => {
  let db: Firestore;
  beforeAll(() => {
    db = new Firestore({ projectId: newProject() });
  });
  afterAll(() => db?.terminate());

  let claims = 0;
  const newClaim = () => ({ subscriber: 'underwriting', eventId: `e${++claims}`, milliseconds: 54_000 });
  const counter = (name: string) => db.collection('counters').doc(name);
  const count = async (name: string) => (await counter(name).get()).get('n') ?? 0;

  it('runs a handler once, and commits what it writes through its transaction', async () => {
    const claim = newClaim();
    const seen: OnceOutcome[] = [];
    for (let i = 0; i < 3; i++)
      seen.push(
        await once(db).run(claim, async ({ transaction }) => {
          const { n = 0 } = (await transaction.get(counter(claim.eventId))).data() ?? {};
          transaction.set(counter(claim.eventId), { n: n + 1 });
        }),
      );
    expect(seen.map(({ kind }) => kind)).toEqual(['done', 'seen_before', 'seen_before']);
    expect(await count(claim.eventId)).toBe(1);
  });

  it('keeps apart what has the same event, of two subscribers', async () => {
    const claim = newClaim();
    const ran: string[] = [];
    for (const subscriber of ['underwriting', 'ledger'])
      await once(db).run({ ...claim, subscriber }, async () => void ran.push(subscriber));
    expect(ran).toEqual(['underwriting', 'ledger']);
  });

  it('of two at once one runs; the other is told for how long', async () => {
    const claim = newClaim();
    const now = () => 1_000_000;
    const started = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const first = once(db, { now }).run(claim, async () => {
      started.resolve();
      await release.promise;
    });
    await started.promise;
    const second = await once(db, { now }).run(claim, () => Promise.reject(new Error('ran twice')));
    expect(second).toEqual({ kind: 'busy', seconds: 59 });
    release.resolve();
    expect(await first).toEqual({ kind: 'done' });
    expect(await once(db, { now }).run(claim, async () => {})).toEqual({ kind: 'seen_before' });
  });

  it('of ten at once one runs', async () => {
    const claim = newClaim();
    let ran = 0;
    const work = async () => void ran++;
    const outcomes = await Promise.all(Array.from({ length: 10 }, () => once(db).run(claim, work)));
    expect(ran).toBe(1);
    expect(outcomes.filter(({ kind }) => kind === 'done')).toHaveLength(1);
  });

  it('repeats what failed, at once, and nothing of it was written', async () => {
    const claim = newClaim();
    for (const error of [new Error('broken'), new Discard('never'), new RetryAfter(5)]) {
      const failing = once(db).run(claim, async ({ transaction }) => {
        transaction.set(counter(claim.eventId), { n: 1 });
        throw error;
      });
      await expect(failing).rejects.toBe(error);
    }
    expect(await count(claim.eventId)).toBe(0);
    expect(await once(db).run(claim, async () => {})).toEqual({ kind: 'done' });
  });

  it('repeats what was killed, once its claim is over, and not a moment before', async () => {
    const claim = newClaim();
    let now = 1_000_000;
    const clock = { now: () => now };
    const started = Promise.withResolvers<void>();
    // A process that dies: it never comes back from its handler.
    void once(db, clock).run(claim, () => {
      started.resolve();
      return new Promise(() => {});
    });
    await started.promise;
    now += 58_999;
    expect(await once(db, clock).run(claim, async () => {})).toEqual({ kind: 'busy', seconds: 1 });
    now += 1;
    expect(await once(db, clock).run(claim, async () => {})).toEqual({ kind: 'done' });
  });

  it('writes nothing for one whose claim another has taken over, whether that has ended or not', async () => {
    for (const ended of [true, false]) {
      const claim = newClaim();
      let now = 1_000_000;
      const clock = { now: () => now };
      const started = Promise.withResolvers<void>();
      const release = Promise.withResolvers<void>();
      const slow = once(db, clock).run(claim, async ({ transaction }) => {
        transaction.set(counter(claim.eventId), { n: 'slow' });
        started.resolve();
        await release.promise;
      });
      await started.promise;
      now += 60_000;
      const other = Promise.withResolvers<void>();
      const taken = Promise.withResolvers<void>();
      const fast = once(db, clock).run(claim, async ({ transaction }) => {
        transaction.set(counter(claim.eventId), { n: 'fast' });
        taken.resolve();
        if (!ended) await other.promise;
      });
      await taken.promise;
      if (ended) await fast;
      release.resolve();
      if (ended) expect(await slow).toEqual({ kind: 'seen_before' });
      else await expect(slow).rejects.toBeInstanceOf(RetryAfter);
      other.resolve();
      expect(await fast).toEqual({ kind: 'done' });
      expect(await count(claim.eventId)).toBe('fast');
    }
  });

  it('says in each mark when it may go', async () => {
    const claim = newClaim();
    await once(db, { now: () => 0, days: 1, collection: 'marks' }).run(claim, async () => {});
    const mark = await db.collection('marks').doc(`underwriting:${claim.eventId}`).get();
    expect(mark.get('expires_at').toMillis()).toBe(86_400_000);
  });

  it('makes a service that only adds right, whatever goes wrong with its deliveries', async () => {
    const events = Array.from({ length: 12 }, (_, i) => event('end_user.processed', { heron_id: `eus_${i % 3}` }));
    const service = subscriber(() => {}).on('end_user.processed', once(db), async ({ data }, { transaction }) => {
      const ref = counter(data.heron_id);
      const { n = 0 } = (await transaction.get(ref)).data() ?? {};
      transaction.set(ref, { n: n + 1 });
    });
    // One that is busy is refused, and refused again at once.
    const delivered = await deliver(service, events, { seed: 5, attempts: 1000 });
    expect(delivered.filter(({ outcome }) => outcome === 'lost').length).toBeGreaterThan(0);
    expect(await Promise.all(['eus_0', 'eus_1', 'eus_2'].map(count))).toEqual([4, 4, 4]);
  });
});
