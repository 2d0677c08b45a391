import fc from 'fast-check';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { eventOf } from '../../functions/events/event.ts';
import { toMessage } from '../../functions/events/message.ts';
import { parseInstant } from '../../functions/heron/instant.ts';
import { parseWebhook } from '../../functions/heron/webhook.ts';
import { Discard, RetryAfter, subscriber } from '../../functions/subscriber/subscriber.ts';
import { type Delivered, deliver, event } from '../../functions/subscriber/testing.ts';

describe('event', () => {
  it('is what Heron would send, with what is not given filled in', () => {
    const made = event('end_user.processed', { heron_id: 'eus_7' });
    expectTypeOf(made.data.status).toBeString();
    expect(made).toMatchObject({
      topic: 'end_user.processed',
      data: { heron_id: 'eus_7', end_user_id: expect.any(String), status: 'processed' },
      meta: null,
    });
    const webhook = parseWebhook(made.body);
    expect(webhook).toMatchObject({ undocumented: null, topic: 'end_user.processed', heron_id: 'eus_7' });
    expect(Date.parse(made.created)).toBe(Date.parse(String(webhook.created)));
  });

  it('is another each time, unless its time is given', () => {
    expect(event('pdf.parsed').id).not.toBe(event('pdf.parsed').id);
    const created = new Date('2026-09-01T10:00:00Z');
    expect(event('pdf.parsed', {}, { created })).toEqual(event('pdf.parsed', {}, { created }));
    expect(event('pdf.parsed', {}, { created })).toMatchObject({ created: '2026-09-01T10:00:00Z' });
    expect(event('pdf.parsed', {}, { created: '2026-09-01T10:00:00.5' }).created).toBe('2026-09-01T10:00:00.500000Z');
  });

  it('is not one that Heron would not send', () => {
    expect(() => event('pdf.parsed', {}, { created: 'yesterday' })).toThrow('created is not a time');
  });
});

/** Ten events of three end users. */
const events = Array.from({ length: 10 }, (_, i) => event('end_user.processed', { heron_id: `eus_${i % 3}` }));

/** A service that counts processings, and a mistake that it may make. */
function counting(mistake?: 'counts twice' | 'marks first') {
  const counts = new Map<string, number>();
  const seen = new Set<string>();
  const service = subscriber(() => {}).on('end_user.processed', async ({ id, data }, { signal }) => {
    if (mistake !== 'counts twice' && seen.has(id)) return;
    if (mistake === 'marks first') seen.add(id);
    for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
    signal.throwIfAborted();
    if (mistake === undefined && seen.has(id)) return; // a copy of it was faster meanwhile
    seen.add(id);
    counts.set(data.heron_id, (counts.get(data.heron_id) ?? 0) + 1);
  });
  return { service, counts };
}

const oracle = (some: readonly (typeof events)[number][]) =>
  new Map([...Map.groupBy(some, ({ data }) => data.heron_id)].map(([id, each]) => [id, each.length] as const).sort());

describe('deliver', () => {
  it('leaves a service that is right with what each event does once', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.subarray(events), async (seed, some) => {
        const { service, counts } = counting();
        await deliver(service, some, { seed });
        expect(new Map([...counts].sort())).toEqual(oracle(some));
      }),
    );
  });

  it.each(['counts twice', 'marks first'] as const)(
    'finds the mistake of one that %s, and fast-check shrinks it to one event',
    async (mistake) => {
      const property = fc.asyncProperty(fc.nat(), fc.subarray(events), async (seed, some) => {
        const { service, counts } = counting(mistake);
        await deliver(service, some, { seed });
        expect(new Map([...counts].sort())).toEqual(oracle(some));
      });
      const { failed, counterexample } = await fc.check(property);
      expect(failed).toBe(true);
      expect(counterexample?.[1]).toHaveLength(1);
    },
  );

  const seeds = Array.from({ length: 20 }, (_, seed) => seed);
  const run = async (seed: number, some = events, options = {}) =>
    deliver(counting().service, some, { seed, ...options });

  it('delivers each event at least once, and acknowledges each', async () => {
    for (const seed of seeds) {
      const delivered = await run(seed);
      for (const { id } of events)
        expect(delivered.filter((each) => each.id === id && each.outcome === 'acknowledged')).not.toEqual([]);
    }
  });

  it('does the same with the same seed, also of events that are made anew', async () => {
    const anew = () => Array.from({ length: 5 }, (_, i) => event('pdf.parsed', { n: i % 2 }));
    const what = async (of: typeof events) =>
      (
        await deliver(
          subscriber(() => {}),
          of,
          { seed: 7, concurrency: 1 },
        )
      ).map(({ attempt, fault, outcome }) => ({ attempt, fault, outcome }));
    const [one, two] = [anew(), anew()];
    expect(one[0]?.id).not.toBe(two[0]?.id);
    expect(await what(one as never)).toEqual(await what(two as never));
  });

  it('does to an event what it does without the others', async () => {
    const faultsOf = (delivered: readonly Delivered[], id: string) => delivered.filter((each) => each.id === id);
    const [first] = events;
    const one = { concurrency: 1 };
    for (const seed of seeds)
      expect(faultsOf(await run(seed, [first!], one), first!.id)).toEqual(
        faultsOf(await run(seed, events, one), first!.id),
      );
  });

  it('repeats, shuffles and breaks in every way', async () => {
    const all = (await Promise.all(seeds.map((seed) => run(seed)))).flat();
    expect(new Set(all.map(({ fault }) => fault))).toEqual(new Set([null, 'failure', 'time_out', 'crash']));
    expect(new Set(all.map(({ outcome }) => outcome))).toEqual(new Set(['acknowledged', 'refused', 'lost']));
    const orders = await Promise.all(seeds.map(async (seed) => (await run(seed)).map(({ id }) => id).join()));
    expect(new Set(orders).size).toBe(seeds.length);
  });

  it('does none of it where nothing is to go wrong', async () => {
    const delivered = await run(1, events, { times: 1, faults: 0 });
    expect(delivered).toHaveLength(events.length);
    expect(delivered.every(({ fault, outcome }) => fault === null && outcome === 'acknowledged')).toBe(true);
  });

  it('ends where an event is refused each time, with the seed, the reason and what was thrown', async () => {
    const error = new RetryAfter(1);
    const refusing = subscriber(() => {
      throw error;
    });
    const failure = await deliver(refusing, [events[0]!], { seed: 3, attempts: 4 }).catch((failure: Error) => failure);
    expect(failure).toMatchObject({
      message: expect.stringMatching(/refused 4 times \(seed 3\): to be tried/),
      cause: error,
    });
  });

  it('takes what is discarded for done', async () => {
    const discarding = subscriber(() => {
      throw new Discard('never');
    });
    const delivered = await deliver(discarding, [events[0]!], { seed: 3, faults: 0 });
    expect(new Set(delivered.map(({ outcome }) => outcome))).toEqual(new Set(['discarded']));
  });

  it('delivers the message that ingest would have published', async () => {
    const created = '2026-09-01T10:00:00Z';
    const sent = event('end_user.failed', { heron_id: 'eus_7', end_user_id: 'acme-7' }, { created });
    const got: unknown[] = [];
    const service = subscriber((_, { message }) => got.push(message.attributes));
    await deliver(service, [sent], { times: 1, faults: 0, replay: 'r-1' });
    expect(got).toEqual([toMessage(eventOf(sent.body, parseInstant(created)!), { replayid: 'r-1' }).attributes]);
    expect(got).toMatchObject([{ 'ce-subject': 'eus_7', 'ce-enduserid': 'acme-7', 'ce-status': 'failed' }]);
  });

  it('says which replay it is', async () => {
    const replays = new Set<string | undefined>();
    await deliver(
      subscriber((_, { replay }) => replays.add(replay)),
      events,
      { replay: 'r-1' },
    );
    expect(replays).toEqual(new Set(['r-1']));
  });
});
