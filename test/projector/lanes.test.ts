import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { clock } from '../../functions/clock.ts';
import { type EndUserEvent, Unprocessable } from '../../functions/events/event.ts';
import { Lanes } from '../../functions/projector/lanes.ts';
import { MemoryStore } from '../../functions/store/memory.ts';
import type { Appended } from '../../functions/store/store.ts';
import { endUserEvent, foldOf, sized } from '../store/given.ts';

const never = new AbortController().signal;
const outage = new Error('the store is out of order');

/** A store's append, whose calls end when the test says so. */
function heldAppend() {
  const calls: { ids: string[]; succeed(): void; fail(error: Error): void }[] = [];
  const append = (events: readonly EndUserEvent[]) =>
    new Promise<readonly Appended[]>((resolve, reject) => {
      calls.push({
        ids: events.map(({ event_id }) => event_id),
        succeed: () => resolve(events.map(() => 'appended')),
        fail: reject,
      });
    });
  return { append, calls };
}

function numbered(count: number, heron_id = 'eus_a'): EndUserEvent[] {
  return Array.from({ length: count }, (_, n) => endUserEvent({ heron_id, n }));
}

function ids(events: readonly EndUserEvent[]): string[] {
  return events.map(({ event_id }) => event_id);
}

describe('lanes', () => {
  let held: ReturnType<typeof heldAppend>;
  let lanes: Lanes;
  const submit = (events: readonly EndUserEvent[]) =>
    Promise.allSettled(events.map((each) => lanes.submit(each, never)));
  /** Lets every promise go as far as it can. */
  const settle = () => vi.advanceTimersByTimeAsync(0);

  beforeEach(() => {
    vi.useFakeTimers();
    held = heldAppend();
    lanes = new Lanes(held.append);
  });

  afterEach(() => {
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });

  it('append one transaction of an end user after another, and what queued up meanwhile together', async () => {
    const [first, ...others] = numbered(4) as [EndUserEvent, ...EndUserEvent[]];
    const outcomes = submit([first, ...others]);
    await settle();
    expect(held.calls.map((call) => call.ids)).toEqual([ids([first])]);
    held.calls[0]?.succeed();
    await settle();
    expect(held.calls.map((call) => call.ids)).toEqual([ids([first]), ids(others)]);
    held.calls[1]?.succeed();
    expect(await outcomes).toMatchObject(Array(4).fill({ status: 'fulfilled', value: 'appended' }));
    expect(lanes.size).toBe(0);
  });

  it('append those of different end users side by side', async () => {
    const outcomes = submit(['eus_a', 'eus_b', 'eus_c'].map((heron_id) => endUserEvent({ heron_id })));
    await settle();
    expect(held.calls).toHaveLength(3);
    expect(lanes.size).toBe(3);
    for (const call of held.calls) call.succeed();
    await outcomes;
    expect(lanes.size).toBe(0);
  });

  it('put at most 50 events, and 10 MB of bodies, into a transaction', async () => {
    const large = [1, 2, 3, 4, 5].map((n) => sized(4_000_000, { heron_id: 'eus_b', n }));
    const even = [1, 2, 3, 4, 5].map((n) => sized(5_000_000, { heron_id: 'eus_d', n }));
    const huge = [1, 2, 3].map((n) => sized(11_000_000, { heron_id: 'eus_c', n }));
    const small = numbered(121);
    const outcomes = submit([...small, ...large, ...even, ...huge]);
    for (let i = 0; i < 10; i++) {
      await settle();
      for (const call of held.calls) call.succeed();
    }
    await outcomes;
    const sizes = (events: readonly EndUserEvent[]) =>
      held.calls.filter((call) => ids(events).includes(call.ids[0] ?? '')).map((call) => call.ids.length);
    expect(sizes(small)).toEqual([1, 50, 50, 20]);
    expect(sizes(large)).toEqual([1, 2, 2]);
    expect(sizes(even)).toEqual([1, 2, 2]);
    expect(sizes(huge)).toEqual([1, 1, 1]);
  });

  it('append an event once that waits twice: its second arrival is a duplicate', async () => {
    const [blocking, twice, other] = numbered(3) as [EndUserEvent, EndUserEvent, EndUserEvent];
    const outcomes = submit([blocking, twice, other, { ...twice }]);
    await settle();
    held.calls[0]?.succeed();
    await settle();
    expect(held.calls[1]?.ids).toEqual(ids([twice, other]));
    held.calls[1]?.succeed();
    expect((await outcomes).map((each) => each.status === 'fulfilled' && each.value)).toEqual([
      'appended',
      'appended',
      'appended',
      'duplicate',
    ]);
  });

  it('leave out an event for which nobody waits any more', async () => {
    const [blocking, left, other] = numbered(3) as [EndUserEvent, EndUserEvent, EndUserEvent];
    const controller = new AbortController();
    const outcomes = [
      lanes.submit(blocking, never),
      lanes.submit(left, controller.signal),
      lanes.submit(other, never),
      lanes.submit({ ...left }, never), // somebody else waits for the same
    ];
    const abandoned = expect(outcomes[1]).rejects.toThrow('too late');
    controller.abort(new Error('too late'));
    await settle();
    held.calls[0]?.succeed();
    await settle();
    expect(held.calls[1]?.ids).toEqual(ids([other, left]));
    held.calls[1]?.succeed();
    await abandoned;
    expect(await outcomes[3]).toBe('appended');
  });

  it('call nobody where all who waited have left', async () => {
    const gone = AbortSignal.abort(new Error('too late'));
    await expect(lanes.submit(endUserEvent({ heron_id: 'eus_a' }), gone)).rejects.toThrow('too late');
    expect(held.calls).toEqual([]);
    expect(lanes.size).toBe(0);
  });

  it('refuse all that wait at once when the store is out of order, and try none of them by itself', async () => {
    const outcomes = submit(numbered(120));
    await settle();
    held.calls[0]?.fail(outage);
    expect(await outcomes).toEqual(Array(120).fill({ status: 'rejected', reason: outage }));
    expect(held.calls).toHaveLength(1);
    expect(lanes.size).toBe(0);

    const again = submit(numbered(1));
    await settle();
    held.calls[1]?.succeed();
    expect(await again).toEqual([{ status: 'fulfilled', value: 'appended' }]);
  });

  it('do so too when the store fails while events are tried one by one', async () => {
    const outcomes = submit(numbered(11));
    await settle();
    held.calls[0]?.succeed();
    await settle();
    held.calls[1]?.fail(new Unprocessable('one of them'));
    await settle();
    held.calls[2]?.succeed();
    await settle();
    held.calls[3]?.fail(outage);
    const settled = await outcomes;
    expect(settled.filter(({ status }) => status === 'fulfilled')).toHaveLength(2);
    expect(settled.slice(2)).toEqual(Array(9).fill({ status: 'rejected', reason: outage }));
    expect(held.calls).toHaveLength(4);
  });

  it('blame no event for the poison of another, whose message nobody waits for any more', async () => {
    const [blocking, poisoned, good] = numbered(3) as [EndUserEvent, EndUserEvent, EndUserEvent];
    const controller = new AbortController();
    const first = lanes.submit(blocking, never);
    const left = expect(lanes.submit(poisoned, controller.signal)).rejects.toThrow('too late');
    const outcome = lanes.submit(good, never);
    await settle();
    held.calls[0]?.succeed();
    await settle();
    expect(held.calls[1]?.ids).toEqual(ids([poisoned, good]));
    controller.abort(new Error('too late'));
    held.calls[1]?.fail(new Unprocessable('the first of them'));
    await settle();
    expect(held.calls[2]?.ids).toEqual(ids([good]));
    held.calls[2]?.succeed();
    await left;
    expect([await first, await outcome]).toEqual(['appended', 'appended']);
  });

  it('hold up no end user for another, whose transactions hang or are refused', async () => {
    const stuck = submit(numbered(3, 'eus_stuck'));
    await settle();
    const outcomes = submit(numbered(120, 'eus_b'));
    for (let i = 1; i < 5; i++) {
      await settle();
      held.calls[i]?.succeed();
    }
    expect(await outcomes).toEqual(Array(120).fill({ status: 'fulfilled', value: 'appended' }));
    expect(held.calls).toHaveLength(5);
    held.calls[0]?.fail(outage);
    expect(await stuck).toEqual(Array(3).fill({ status: 'rejected', reason: outage }));
  });

  it('free the lane of a transaction that hangs', async () => {
    const [first, second] = numbered(2) as [EndUserEvent, EndUserEvent];
    const hung = expect(lanes.submit(first, never)).rejects.toThrow('did not end within');
    await vi.advanceTimersByTimeAsync(19_999);
    expect(lanes.size).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    await hung;
    expect(lanes.size).toBe(0);

    const outcome = lanes.submit(second, never);
    await settle();
    held.calls[0]?.fail(new Error('much later')); // heard by nobody, and no unhandled rejection
    held.calls[1]?.succeed();
    expect(await outcome).toBe('appended');
  });

  it('refuse what a throwing append cannot take, and go on', async () => {
    lanes = new Lanes(() => {
      throw outage;
    });
    await expect(lanes.submit(endUserEvent({ heron_id: 'eus_a' }), never)).rejects.toBe(outage);
    expect(lanes.size).toBe(0);
  });
});

describe('lanes before a store', () => {
  it('tell of every arrival that its end user is forgotten, of the second one too', async () => {
    const store = new MemoryStore(clock);
    await store.forget('eus_a', 'a test');
    const lanes = new Lanes((events) => store.append(events));
    const [first, twice] = numbered(2) as [EndUserEvent, EndUserEvent];
    const outcomes = [first, twice, { ...twice }].map((each) => lanes.submit(each, never));
    expect(await Promise.all(outcomes)).toEqual(['forgotten', 'forgotten', 'forgotten']);
  });

  it('let no poisoned event take others with it', async () => {
    const store = new MemoryStore(clock);
    const lanes = new Lanes((events) => store.append(events));
    const good = numbered(20);
    const poisoned = { ...endUserEvent({ heron_id: 'eus_a', status: 'poison' }), topic: 5 as never };
    const arrivals = [...good.slice(0, 10), poisoned, ...good.slice(10), { ...poisoned }];
    const outcomes = await Promise.allSettled(arrivals.map((each) => lanes.submit(each, never)));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(20);
    for (const outcome of [outcomes[10], outcomes.at(-1)])
      expect(outcome).toMatchObject({ status: 'rejected', reason: expect.any(Unprocessable) });
    expect(await store.endUser('eus_a')).toEqual(foldOf(good));
  });

  it('settle every event truly, whatever fails and whoever leaves', async () => {
    const arrival = fc.record({
      user: fc.nat(1),
      n: fc.nat(5),
      leaves: fc.boolean(),
      wait: fc.nat(2),
    });
    const fate = fc.constantFrom('taken', 'taken', 'refused', 'taken, but its answer is lost');
    await fc.assert(
      fc.asyncProperty(fc.array(arrival, { maxLength: 30 }), fc.infiniteStream(fate), async (arrivals, fates) => {
        const store = new MemoryStore(clock);
        const lanes = new Lanes(async (events) => {
          const { value } = fates.next();
          await tick();
          if (value === 'refused') throw outage;
          const outcomes = await store.append(events);
          if (value !== 'taken') throw outage;
          return outcomes;
        });
        const settled = await Promise.all(
          arrivals.map(async ({ user, n, leaves, wait }) => {
            for (let i = 0; i < wait; i++) await tick();
            const given = endUserEvent({ heron_id: `eus_${user}`, n });
            const controller = new AbortController();
            const outcome = lanes.submit(given, controller.signal);
            if (leaves) controller.abort(outage);
            return { given, outcome: await outcome.catch(() => 'rejected' as const) };
          }),
        );
        expect(lanes.size).toBe(0);
        for (const { given, outcome } of settled)
          if (outcome !== 'rejected') expect(await store.event(given.event_id)).not.toBeNull();
        const appended = settled.filter(({ outcome }) => outcome === 'appended').map(({ given }) => given.event_id);
        expect(new Set(appended).size).toBe(appended.length);
        for (const heronId of ['eus_0', 'eus_1']) {
          const { events } = await store.events(heronId, 100, null);
          const logged = new Set(events.map(({ event_id }) => event_id));
          const given = settled.map((each) => each.given).filter(({ event_id }) => logged.has(event_id));
          expect(await store.endUser(heronId)).toEqual(foldOf(given));
        }
      }),
    );
  });
});

function tick(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
