import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type EndUser, evolve, FOLD_VERSION } from '../../functions/events/end-user.ts';
import { concernsEndUser, eventOf, type HeronEvent } from '../../functions/events/event.ts';
import { instantOf } from '../../functions/heron/instant.ts';
import { HERON_TOPICS } from '../../functions/heron/topics.ts';

const HERON_ID = 'eus_Eqio3Y4dhyNiMphrXwG58p';
const RECEIVED = instantOf(1_786_710_278_137);

/** What one webhook says; its body is made of this, and the oracle reads nothing but this. */
type Spec = {
  readonly topic: string | null;
  /** Microseconds since 10:00 on 1 March 2026; null where `created` is no time. */
  readonly micros: number | null;
  readonly shape: 'naive' | 'utc' | 'offset';
  readonly names: 'heron_id' | 'end_user_heron_id' | 'end_user' | 'nobody';
  readonly status: string | null;
  readonly end_user_id: string | null;
  readonly meta: { readonly [key: string]: string } | null;
  /** Makes events that say the same differ, and their ids fall in any order. */
  readonly salt: number;
};

function createdText({ micros, shape }: Spec): string | null {
  if (micros === null) return null;
  const two = (n: number): string => String(n).padStart(2, '0');
  const second = two(Math.floor(micros / 1_000_000));
  const rest = micros % 1_000_000;
  const fraction = rest === 0 ? '' : `.${String(rest).padStart(6, '0')}`;
  switch (shape) {
    case 'naive':
      return `2026-03-01T10:00:${second}${fraction}`;
    case 'utc':
      return `2026-03-01T10:00:${second}${fraction}+00:00`;
    case 'offset':
      return `2026-03-01T04:30:${second}${fraction}-05:30`;
    default:
      return shape satisfies never;
  }
}

function bodyOf(spec: Spec): Uint8Array {
  const { topic, names, status, end_user_id, meta, salt } = spec;
  const data = {
    ...(names === 'heron_id' ? { heron_id: HERON_ID } : { heron_id: `sub_${salt}` }),
    ...(names === 'end_user_heron_id' ? { end_user_heron_id: HERON_ID } : {}),
    ...(names === 'end_user' ? { end_user: { heron_id: HERON_ID } } : {}),
    ...(end_user_id === null ? {} : { end_user_id }),
    ...(status === null ? {} : { status }),
    salt,
  };
  const created = createdText(spec);
  return Buffer.from(
    JSON.stringify({ ...(topic === null ? {} : { topic }), ...(created === null ? {} : { created }), data, meta }),
  );
}

const eventFrom = (spec: Spec): HeronEvent => eventOf(bodyOf(spec), RECEIVED);

// The oracle: the state as the design defines it, from the set of events at once, in its own words.

type Fact = Spec & { readonly id: string; readonly at: number; readonly carried: string | null };
type State = Omit<EndUser, 'fold'>;

const STEPS = [['new'], ['ready'], [], ['review_requested'], ['processed'], ['failed'], ['reviewed']];

function rank(status: string | null): number {
  const step = STEPS.findIndex((statuses) => statuses.some((known) => known === status));
  return step === -1 ? 2 : step;
}

function carriedStatus({ status, topic }: Spec): string | null {
  if (status !== null) return status;
  if (topic === 'end_user.created') return 'new';
  if (topic === 'end_user.processed') return 'processed';
  if (topic === 'end_user.reviewed') return 'reviewed';
  if (topic === 'end_user.failed') return 'failed';
  return null;
}

/** Negative where `a` comes before `b`. */
function order(a: Fact, b: Fact): number {
  return a.at - b.at || rank(a.carried) - rank(b.carried) || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

function oracle(specs: readonly Spec[]): State | null {
  const set = new Map<string, Fact>();
  for (const spec of specs) {
    if (spec.micros === null || spec.names === 'nobody') continue;
    const id = createHash('sha256').update(bodyOf(spec)).digest('hex');
    set.set(id, { ...spec, id, at: spec.micros, carried: carriedStatus(spec) });
  }
  const facts = [...set.values()].sort(order);
  const first = facts[0];
  const last = facts.at(-1);
  if (first === undefined || last === undefined) return null;

  const instant = (at: number): State['first_event_at'] => {
    const [second, micros] = [Math.floor(at / 1_000_000), at % 1_000_000];
    return `2026-03-01T10:00:${String(second).padStart(2, '0')}.${String(micros).padStart(6, '0')}Z` as State['first_event_at'];
  };
  const decides = facts.findLast(({ topic, carried }) => /^end_user\./.test(topic ?? '') && carried !== null);
  const asked = facts.findLastIndex(({ topic }) => topic === 'end_user.review_required');
  const reviewed = facts.findLastIndex(({ topic }) => topic === 'end_user.reviewed');
  return {
    heron_id: HERON_ID,
    end_user_id: facts.findLast(({ end_user_id }) => end_user_id !== null)?.end_user_id ?? null,
    status: decides?.carried ?? null,
    status_at: decides === undefined ? null : instant(decides.at),
    review_required: asked > reviewed,
    first_event_at: instant(first.at),
    last_event_at: instant(last.at),
    last_event: { id: last.id, topic: last.topic, created: instant(last.at) },
    event_count: facts.length,
    meta: facts.findLast(({ meta }) => meta !== null)?.meta ?? null,
  };
}

// What the store does with events, without a store.

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}

/** As a state comes back from the store; frozen, since whoever read it may have to read it again and start over. */
const stored = (state: EndUser): EndUser => deepFreeze(JSON.parse(JSON.stringify(state)) as EndUser);

/** The log and the state, changed together or not at all. */
class Ledger {
  readonly seen = new Set<string>();
  state: EndUser | null = null;
  version = 0;

  commit(event: HeronEvent, state: EndUser): void {
    this.seen.add(event.event_id);
    this.state = state;
    this.version++;
  }
}

function fold(specs: readonly Spec[]): EndUser | null {
  const ledger = new Ledger();
  for (const event of specs.map(eventFrom)) {
    if (!concernsEndUser(event) || ledger.seen.has(event.event_id)) continue;
    ledger.commit(event, stored(evolve(ledger.state, event)));
  }
  return ledger.state;
}

/** The state without what it keeps for the next event. */
function visible(state: EndUser | null): State | null {
  if (state === null) return null;
  const { fold, ...rest } = state;
  expect(fold.version).toBe(FOLD_VERSION);
  return rest;
}

// Events that collide on purpose: few moments, a microsecond apart, and few values of everything.

const REVIEWS = ['end_user.review_required', 'end_user.reviewed'];
const KNOWN_STATUSES = ['new', 'ready', 'processed', 'reviewed', 'review_requested', 'failed'];

const topic = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...HERON_TOPICS.filter((name) => name.startsWith('end_user.'))) },
  { weight: 2, arbitrary: fc.constantFrom(...REVIEWS) },
  { weight: 1, arbitrary: fc.constantFrom(...HERON_TOPICS) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('end_user.archived', 'end_users.processed', 'submission.archived', '__proto__', null),
  },
);

const spec: fc.Arbitrary<Spec> = fc.record({
  topic,
  micros: fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom(0, 1, 2, 999_999, 1_000_000) },
    { weight: 1, arbitrary: fc.constant(null) },
  ),
  shape: fc.constantFrom('naive', 'utc', 'offset'),
  names: fc.constantFrom('heron_id', 'heron_id', 'heron_id', 'end_user_heron_id', 'end_user', 'nobody'),
  status: fc.oneof(fc.constant(null), fc.constantFrom(...KNOWN_STATUSES), fc.constantFrom('archived', 'constructor')),
  end_user_id: fc.constantFrom(null, 'acme', 'acme/../other', '東京'),
  meta: fc.constantFrom(null, {}, { owner: 'Zoë' }, { ['__proto__']: 'x' }),
  salt: fc.nat(2),
});

const specs = fc.array(spec, { maxLength: 12, size: 'max' });

/** A set of events as it may arrive: all of it in any order, and any of it again. */
const arrivals = specs.chain((set) =>
  fc
    .tuple(fc.constant(set), set.length === 0 ? fc.constant([]) : fc.array(fc.constantFrom(...set), { maxLength: 6 }))
    .chain(([all, again]) => fc.shuffledSubarray([...all, ...again], { minLength: all.length + again.length })),
);

describe('the state is a function of the set of events', () => {
  test('in any order, with any duplicates, it is what the definition says', () => {
    fc.assert(
      fc.property(arrivals, (arriving) => {
        expect(visible(fold(arriving))).toEqual(oracle(arriving));
      }),
      { numRuns: 1000 },
    );
  });

  test('any two orders give the same, down to what is kept for the next event', () => {
    const twoOrders = specs.chain((set) =>
      fc.tuple(fc.constant(set), fc.shuffledSubarray(set, { minLength: set.length })),
    );
    fc.assert(
      fc.property(twoOrders, ([one, other]) => {
        expect(fold(one)).toEqual(fold(other));
      }),
      { numRuns: 300 },
    );
  });

  test('two writers at once, each starting over when the other was first, give the same', () => {
    // Each turn, one of the two reads or, having read, tries to commit.
    const turns = fc.array(fc.constantFrom(0, 1), { maxLength: 60 });
    fc.assert(
      fc.property(arrivals, arrivals, turns, (left, right, turns) => {
        const ledger = new Ledger();
        type Read = { readonly version: number; readonly state: EndUser | null };
        type Writer = { readonly queue: HeronEvent[]; read: Read | null };
        const writers: Writer[] = [left, right].map((queue) => ({ queue: queue.map(eventFrom), read: null }));

        const step = (writer: Writer): void => {
          const [event] = writer.queue;
          if (event === undefined) return;
          if (writer.read === null) {
            writer.read = { version: ledger.version, state: ledger.state };
            return;
          }
          const { version, state } = writer.read;
          writer.read = null;
          const after = concernsEndUser(event) ? stored(evolve(state, event)) : null;
          const seen = ledger.seen.has(event.event_id);
          if (!seen && version !== ledger.version) return; // aborted: it starts over
          if (!seen && after !== null) ledger.commit(event, after);
          writer.queue.shift();
        };
        for (const turn of turns) step(turn === 0 ? writers[0]! : writers[1]!);
        for (const writer of writers) while (writer.queue.length > 0) step(writer);

        expect(visible(ledger.state)).toEqual(oracle([...left, ...right]));
      }),
      { numRuns: 300 },
    );
  });
});

// The definition, rule by rule.

let salts = 0;
const one = (given: Partial<Spec> = {}): Spec => ({
  topic: 'end_user.processed',
  micros: 0,
  shape: 'naive',
  names: 'heron_id',
  status: null,
  end_user_id: null,
  meta: null,
  salt: salts++,
  ...given,
});

/** The state is the same in both orders, and is returned. */
function both(a: Spec, b: Spec): EndUser {
  const [state, other] = [fold([a, b]), fold([b, a])];
  expect(state).toEqual(other);
  return state!;
}

/** Two events that say the same, the one with the lesser id first. */
function byId(given: readonly [Partial<Spec>, Partial<Spec>]): [Spec, Spec] {
  for (;;) {
    const [lesser, greater] = [one(given[0]), one(given[1])];
    if (eventFrom(lesser).event_id < eventFrom(greater).event_id) return [lesser, greater];
  }
}

test('one event makes a state', () => {
  const event = one({ micros: 137_886, end_user_id: 'acme', meta: { owner: 'Zoë' } });
  const at = '2026-03-01T10:00:00.137886Z';
  expect(visible(fold([event]))).toEqual({
    heron_id: HERON_ID,
    end_user_id: 'acme',
    status: 'processed',
    status_at: at,
    review_required: false,
    first_event_at: at,
    last_event_at: at,
    last_event: { id: eventFrom(event).event_id, topic: 'end_user.processed', created: at },
    event_count: 1,
    meta: { owner: 'Zoë' },
  });
});

test('an event seen twice counts once', () => {
  const event = one();
  expect(fold([event, event])?.event_count).toBe(1);
});

test('one that says the same in other bytes counts again', () => {
  expect(both(one({ shape: 'naive', salt: 1 }), one({ shape: 'utc', salt: 1 })).event_count).toBe(2);
});

test('a late retry changes no status', () => {
  const state = both(one({ topic: 'end_user.processed', micros: 0 }), one({ topic: 'end_user.reviewed', micros: 1 }));
  expect(state).toMatchObject({ status: 'reviewed', status_at: '2026-03-01T10:00:00.000001Z' });
});

test('a later moment counts more than a later step', () => {
  const state = both(one({ topic: 'end_user.reviewed', micros: 0 }), one({ topic: 'end_user.created', micros: 1 }));
  expect(state.status).toBe('new');
});

const STEP_BY_STEP = ['new', 'ready', 'archived', 'review_requested', 'processed', 'failed', 'reviewed'] as const;
test.each(STEP_BY_STEP.slice(1).map((later, n) => [STEP_BY_STEP[n]!, later] as const))(
  'in one microsecond %s gives way to %s',
  (earlier, later) => {
    const topic = 'end_user.files_changed';
    for (const _ of Array(8)) {
      const state = both(one({ topic, status: earlier }), one({ topic, status: later }));
      expect(state.status).toBe(later);
    }
  },
);

test('in one microsecond and one step the greater id wins', () => {
  const topic = 'end_user.files_changed';
  const [lesser, greater] = byId([
    { topic, status: 'archived' },
    { topic, status: 'paused' },
  ]);
  expect(both(lesser, greater)).toMatchObject({ status: 'paused', last_event: { id: eventFrom(greater).event_id } });
});

test('the same moment in two shapes is one moment', () => {
  const given = { topic: 'end_user.processed', micros: 137_886 };
  const state = both(one({ ...given, shape: 'naive' }), one({ ...given, shape: 'offset' }));
  expect(state.first_event_at).toBe(state.last_event_at);
});

test.each([
  'end_user_file.parsed',
  'end_user_email.failed',
  'end_users.processed',
  'pdf.processed',
  'submission.archived',
  null,
])("the status in %s is not the end user's", (topic) => {
  const state = both(one({ topic: 'end_user.created', micros: 0 }), one({ topic, status: 'failed', micros: 1 }));
  expect(state).toMatchObject({ status: 'new', status_at: '2026-03-01T10:00:00.000000Z', last_event: { topic } });
});

test('an end user known only from other resources has no status', () => {
  expect(fold([one({ topic: 'pdf.processed', status: 'processed', names: 'end_user' })])).toMatchObject({
    status: null,
    status_at: null,
    event_count: 1,
  });
});

test('an event of the end user that carries no status leaves it', () => {
  const state = both(
    one({ topic: 'end_user.processed', micros: 0 }),
    one({ topic: 'end_user.files_changed', micros: 1 }),
  );
  expect(state).toMatchObject({ status: 'processed', status_at: '2026-03-01T10:00:00.000000Z' });
});

test('a status that Heron adds later is taken as it is', () => {
  expect(fold([one({ status: 'archived' })])?.status).toBe('archived');
});

describe('a review is required', () => {
  const asks = (micros: number, status: string | null = null) =>
    one({ topic: 'end_user.review_required', micros, status });
  const reviews = (micros: number, status: string | null = null) => one({ topic: 'end_user.reviewed', micros, status });

  test('once it was asked for', () => {
    expect(fold([asks(0)])?.review_required).toBe(true);
  });

  test('until it happened', () => {
    expect(both(asks(0), reviews(1)).review_required).toBe(false);
  });

  test('again when it is asked for again', () => {
    expect(both(reviews(0), asks(1)).review_required).toBe(true);
  });

  test('no more where it was asked for and happened in one microsecond', () => {
    for (const _ of Array(8)) expect(both(asks(0), reviews(0)).review_required).toBe(false);
  });

  test('still where, in one microsecond, the review carries an earlier status than what asked for it', () => {
    for (const _ of Array(8)) expect(both(asks(0, 'failed'), reviews(0, 'new')).review_required).toBe(true);
  });

  test('whatever a status says', () => {
    expect(fold([one({ status: 'review_requested' })])?.review_required).toBe(false);
    expect(both(asks(0), one({ topic: 'end_user.processed', status: 'reviewed', micros: 1 })).review_required).toBe(
      true,
    );
  });

  test('without changing the status', () => {
    expect(both(one({ topic: 'end_user.processed', micros: 0 }), asks(1)).status).toBe('processed');
  });
});

test('the id and the metadata come from the greatest event that has them', () => {
  const older = one({ micros: 0, end_user_id: 'old', meta: { owner: 'old' } });
  const newer = one({ topic: 'pdf.parsed', micros: 1, end_user_id: 'new', meta: {} });
  const without = one({ micros: 2 });
  for (const order of [
    [older, newer, without],
    [without, newer, older],
    [newer, without, older],
  ])
    expect(fold(order)).toMatchObject({ end_user_id: 'new', meta: {} });
  expect(both(older, without)).toMatchObject({ end_user_id: 'old', meta: { owner: 'old' } });
});

test('the first and the last event are those of the least and the greatest time', () => {
  const state = both(one({ micros: 999_999 }), one({ micros: 1_000_000 }));
  expect(state).toMatchObject({
    first_event_at: '2026-03-01T10:00:00.999999Z',
    last_event_at: '2026-03-01T10:00:01.000000Z',
    last_event: { created: '2026-03-01T10:00:01.000000Z' },
  });
});

test('the state before is left as it was', () => {
  const before = fold([one({ meta: { owner: 'Zoë' } })])!;
  const copy = structuredClone(before);
  const next = eventFrom(one({ micros: 1, end_user_id: 'acme' }));
  if (concernsEndUser(next)) expect(evolve(before, next).event_count).toBe(2);
  expect(before).toEqual(copy);
});
