import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { carryOver, NewerFold } from '../../functions/events/carry-over.ts';
import { type EndUser, evolve, type Keys, merge } from '../../functions/events/end-user.ts';
import { concernsEndUser, type EndUserEvent, eventOf } from '../../functions/events/event.ts';
import type { Instant } from '../../functions/heron/instant.ts';
import type { JsonText } from '../../functions/heron/json.ts';

const at = (second: number): Instant => `2026-03-01T10:00:${String(second).padStart(2, '0')}.000000Z` as Instant;

type Fields = { topic?: string; second?: number; status?: string; end_user_id?: string; meta?: object; n?: number };

function event({ topic = 'end_user.processed', second = 1, meta, ...data }: Fields = {}): EndUserEvent {
  const body = { topic, created: at(second), data: { heron_id: 'eus_a', ...data }, meta: meta ?? null };
  const made = eventOf(Buffer.from(JSON.stringify(body)), at(59));
  if (!concernsEndUser(made)) throw new Error('This event concerns no end user.');
  return made;
}

const foldOf = (events: readonly EndUserEvent[]): EndUser | null =>
  events.reduce<EndUser | null>((state, each) => evolve(state, each), null);
const older = (state: EndUser, keys: object = state.fold.keys): EndUser => ({
  ...state,
  fold: { version: 1, keys: keys as Keys },
});

const events = fc.uniqueArray(
  fc.record(
    {
      topic: fc.constantFrom(
        ...['created', 'processed', 'failed', 'reviewed', 'review_required', 'files_changed'].map(
          (x) => `end_user.${x}`,
        ),
        'pdf.processed',
      ),
      second: fc.integer({ min: 1, max: 4 }),
      status: fc.constantFrom('new', 'ready', 'processed', 'failed', 'review_requested', 'reviewed', 'archived'),
      end_user_id: fc.constantFrom('acme', 'acme-2'),
      meta: fc.constantFrom({}, { owner: 'Zoë' }),
      n: fc.nat(2),
    },
    { requiredKeys: ['topic', 'second'] },
  ),
  { maxLength: 10, selector: (fields) => JSON.stringify(fields) },
);
const cut = fc.array(fc.boolean(), { minLength: 10, maxLength: 10 });

describe('a state whose events the log has let go of', () => {
  test('stays as it was, whatever is left of them', () => {
    fc.assert(
      fc.property(events, cut, (all, left) => {
        const before = foldOf(all.map(event));
        if (before === null) return;
        const inLog = foldOf(all.filter((_, n) => left[n]).map(event));
        expect(carryOver(older(before), inLog)).toEqual(before);
      }),
      { numRuns: 500 },
    );
  });

  test('goes on with the next events as if they were all there', () => {
    fc.assert(
      fc.property(events, cut, cut, (all, earlier, left) => {
        const [old, next] = [true, false].map((is) => all.filter((_, n) => earlier[n] === is).map(event));
        const before = foldOf(old ?? []);
        if (before === null) return;
        const inLog = foldOf((old ?? []).filter((_, n) => left[n]));
        const after = (next ?? []).reduce((state, each) => evolve(state, each), carryOver(older(before), inLog));
        const whole = foldOf(all.map(event));
        expect(after).toEqual(whole);
      }),
      { numRuns: 500 },
    );
  });
});

test('a state whose events are all in the log is what the log says, whatever it said before', () => {
  const inLog = foldOf([event(), event({ topic: 'end_user.reviewed', second: 2 })]) as EndUser;
  const wrong = older({ ...inLog, status: 'failed', status_at: at(9), end_user_id: 'nobody' }, {});
  expect(carryOver(wrong, inLog)).toEqual(inLog);
});

describe('a state whose keys are none of this fold’s', () => {
  const ofIt = events.map((all) => all.filter(({ topic }) => topic !== 'pdf.processed').map(event));
  /** But what only keys tell: whether it fails or asks for a review, and since when it has a status that came back. */
  function says(state: EndUser | null) {
    const { failing: _, review_required: _1, status_at: _2, fold: _3, ...said } = state as EndUser;
    return said;
  }

  test('still says what it said, by keys of this fold', () => {
    fc.assert(
      fc.property(ofIt, (all) => {
        const before = foldOf(all);
        if (before === null) return;
        const carried = carryOver(older(before, {}), null);
        expect(says(carried)).toEqual(says(before));
        for (const key of Object.values(carried.fold.keys))
          expect(key).toMatch(/^2026-03-01T10:00:0\d\.000000Z\|[0-6]\|([0-9a-f]{64})?$/);
      }),
      { numRuns: 500 },
    );
  });

  test('goes on with what was before all of it, or comes after, as if it had them', () => {
    fc.assert(
      fc.property(ofIt, events, fc.constantFrom(0, 9), (all, [fields], second) => {
        const before = foldOf(all);
        if (before === null) return;
        const next = event({ ...fields, topic: 'end_user.processed', second });
        expect(says(evolve(carryOver(older(before, {}), null), next))).toEqual(says(evolve(before, next)));
      }),
      { numRuns: 500 },
    );
  });
});

describe('a state of which only what it says is known', () => {
  const FIRST_FOLD = {
    heron_id: 'eus_a',
    end_user_id: 'acme',
    status: 'processed',
    status_at: at(3),
    review_required: true,
    first_event_at: at(1),
    last_event_at: at(4),
    last_event: { id: 'f'.repeat(64), topic: 'pdf.processed', created: at(4) },
    event_count: 7,
    meta: '{"owner":"Zoë"}' as JsonText,
  };
  const NEVER = { processed_at: null, failed_at: null, reviewed_at: null, failing: false };
  const key = (second: number, rank: number) => `${at(second)}|${rank}|${'a'.repeat(64)}`;
  const keys = {
    end_user_id: key(2, 4),
    meta: key(3, 4),
    last_event: `${at(4)}|2|${'f'.repeat(64)}`,
    review_required: key(2, 2),
    reviewed: null,
    status: key(3, 4),
  };
  const said = older({ ...FIRST_FOLD, ...NEVER } as EndUser, keys);
  const { fold: _, ...visible } = said;

  test.each([
    ['with its keys', keys],
    ['without any', {}],
    ['with some that are none', { status: 7, meta: 'x', end_user_id: null, last_event: `${at(4)}|2|zzz` }],
    ['with one in a list', { meta: [key(3, 4)] }],
  ])('still says it, and does not make up what it did not know (%s)', (_, own) => {
    const carried = carryOver(older(said, own), null);
    expect(carried).toMatchObject({ ...visible, fold: { version: 2 } });
    expect(Object.values(carried.fold.keys).filter((each) => typeof each !== 'string')).toEqual([]);
  });

  test.each([
    ['archived', 'processed'],
    ['failed', 'failed'],
  ])('has of the statuses of one microsecond, its own and %s, the later one: %s', (status, later) => {
    const same = event({ topic: 'end_user.files_changed', second: 3, status });
    expect(evolve(carryOver(older(said, {}), null), same).status).toBe(later);
  });

  test('yields to what is newer, part by part, and keeps what is greater', () => {
    const late = event({ second: 2, topic: 'end_user.failed' });
    expect(evolve(carryOver(said, null), late)).toMatchObject({
      status: 'processed',
      status_at: at(3),
      failed_at: at(2),
      failing: false,
      event_count: 8,
    });
    const reviewed = event({ topic: 'end_user.reviewed', second: 5, end_user_id: 'acme-2', meta: {} });
    expect(evolve(carryOver(said, null), reviewed)).toMatchObject({
      status: 'reviewed',
      status_at: at(5),
      reviewed_at: at(5),
      processed_at: null,
      review_required: false,
      end_user_id: 'acme-2',
      meta: '{}',
      first_event_at: at(1),
      last_event_at: at(5),
      event_count: 8,
    });
    expect(evolve(carryOver(said, null), event({ second: 1, end_user_id: 'old' })).end_user_id).toBe('acme');
  });

  test('never counts fewer events than before, nor begins later', () => {
    const inLog = foldOf([event({ second: 3 })]) as EndUser;
    expect(carryOver(said, inLog)).toMatchObject({ event_count: 7, first_event_at: at(1), processed_at: at(3) });
  });

  test('of a time that it does not know is said by its last event', () => {
    const state = carryOver(older({ ...said, status_at: null }, {}), null);
    expect(state).toMatchObject({ status: 'processed', status_at: at(4) });
  });
});

test('one that was carried over is carried over again as it is', () => {
  const state = foldOf([event(), event({ topic: 'end_user.review_required', second: 2 })]) as EndUser;
  const once = carryOver(older(state, {}), null);
  expect(carryOver(older(once), null)).toEqual(once);
  expect(merge(once, foldOf([event({ second: 9 })]) as EndUser).event_count).toBe(3);
});

test('a state of a newer fold says which, and which is known', () => {
  expect(new NewerFold(3)).toMatchObject({ name: 'NewerFold', message: expect.stringMatching(/fold 3.*above 2/) });
});
