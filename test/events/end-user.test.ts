import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type EndUser, evolve, FOLD_VERSION, merge } from '../../functions/events/end-user.ts';
import { concernsEndUser, eventOf, type HeronEvent } from '../../functions/events/event.ts';
import type { Instant } from '../../functions/heron/instant.ts';
import type { JsonText } from '../../functions/heron/json.ts';
import { HERON_TOPICS } from '../../functions/heron/topics.ts';

const HERON_ID = 'eus_Eqio3Y4dhyNiMphrXwG58p';

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
  /** Makes events that say the same differ, and their ids fall in any order; it arrives so many seconds after 10:00. */
  readonly salt: number;
};

const TEN_O_CLOCK = Date.UTC(2026, 2, 1, 10);
const SECOND = 1_000_000;
const DAY = 86_400 * SECOND;

/** `2026-03-01T10:00:00`, and the microseconds past it. */
function civil(micros: number, offsetMinutes = 0): readonly [string, string] {
  const seconds = TEN_O_CLOCK / 1000 + Math.floor(micros / SECOND) + offsetMinutes * 60;
  return [new Date(seconds * 1000).toISOString().slice(0, 19), String(micros % SECOND).padStart(6, '0')];
}

function instant(micros: number): Instant {
  return `${civil(micros).join('.')}Z` as Instant;
}

function createdText({ micros, shape }: Spec): string | null {
  if (micros === null) return null;
  const [time, fraction] = civil(micros, shape === 'offset' ? -330 : 0);
  const text = fraction === '000000' ? time : `${time}.${fraction}`;
  switch (shape) {
    case 'naive':
      return text;
    case 'utc':
      return `${text}+00:00`;
    case 'offset':
      return `${text}-05:30`;
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

const idOf = (spec: Spec): string => createHash('sha256').update(bodyOf(spec)).digest('hex');
const received = ({ salt }: Spec): number => salt * SECOND;
const eventFrom = (spec: Spec): HeronEvent => eventOf(bodyOf(spec), instant(received(spec)));

// The oracle: the state as the design defines it, from the set of events at once, in its own words.

type Fact = Spec & {
  readonly id: string;
  /** Its time in the state, in microseconds. */
  readonly at: number;
  /** Whether it is about the end user itself. */
  readonly own: boolean;
  readonly means: string | null;
  readonly carries: string | null;
};
type State = Omit<EndUser, 'fold'>;

const MEANT = new Map([
  ['end_user.created', 'new'],
  ['end_user.processed', 'processed'],
  ['end_user.reviewed', 'reviewed'],
  ['end_user.failed', 'failed'],
]);
const RANKS = new Map([
  ['new', 1],
  ['ready', 2],
  ['processed', 4],
  ['failed', 5],
  ['review_requested', 6],
  ['reviewed', 7],
]);

function factOf(spec: Spec, micros: number): Fact {
  const own = spec.topic !== null && /^end_user\./.test(spec.topic);
  const means = MEANT.get(spec.topic ?? '') ?? null;
  const at = micros - received(spec) > DAY ? received(spec) : micros;
  return { ...spec, id: idOf(spec), at, own, means, carries: own ? (spec.status ?? means) : null };
}

function rank({ topic, carries }: Fact): number {
  if (topic === 'end_user.review_required') return 6;
  return RANKS.get(carries ?? '') ?? 3;
}

/** Negative where `a` comes before `b`. */
function order(a: Fact, b: Fact): number {
  return a.at - b.at || rank(a) - rank(b) || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

function oracle(specs: readonly Spec[]): State | null {
  const set = new Map<string, Fact>();
  for (const spec of specs)
    if (spec.micros !== null && spec.names !== 'nobody') set.set(idOf(spec), factOf(spec, spec.micros));
  const facts = [...set.values()].sort(order);
  const [first, last] = [facts[0], facts.at(-1)];
  if (first === undefined || last === undefined) return null;

  const time = (fact: Fact | undefined) => (fact === undefined ? null : instant(fact.at));
  const place = (holds: (fact: Fact) => boolean) => facts.findLastIndex(holds);
  const announced = (status: string) => time(facts.findLast(({ means }) => means === status));

  const carrying = facts.filter(({ carries }) => carries !== null);
  const status = (carrying.findLast(({ carries }) => carries !== 'new') ?? carrying.at(-1))?.carries ?? null;
  const since = place(({ means }) => means === status && means !== null);
  const another = place(({ carries }) => carries !== null && carries !== 'new' && carries !== status);
  const carried = place(({ carries }) => carries === status && carries !== null);

  const asked = place(({ topic, carries }) => topic === 'end_user.review_required' || carries === 'review_requested');
  const reviewed = place(({ topic, carries }) => topic === 'end_user.reviewed' || carries === 'reviewed');
  const failed = place(({ topic, carries }) => topic === 'end_user.failed' || carries === 'failed');
  const succeeded = place(
    ({ topic, carries }) =>
      ['end_user.processed', 'end_user.reviewed'].includes(topic ?? '') ||
      ['processed', 'reviewed'].includes(carries ?? ''),
  );

  const named = facts.filter(({ end_user_id }) => end_user_id !== null);
  const meta = facts.findLast((fact) => fact.own && fact.meta !== null)?.meta;
  return {
    heron_id: HERON_ID,
    end_user_id: (named.findLast(({ own }) => own) ?? named.at(-1))?.end_user_id ?? null,
    status,
    status_at: time(facts[since > another ? since : carried]),
    processed_at: announced('processed'),
    failed_at: announced('failed'),
    reviewed_at: announced('reviewed'),
    review_required: asked > reviewed,
    failing: failed > succeeded,
    first_event_at: instant(first.at),
    last_event_at: instant(last.at),
    last_event: { id: last.id, topic: last.topic, created: instant(last.at) },
    event_count: facts.length,
    meta: meta === undefined ? null : (JSON.stringify(meta) as JsonText),
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
    { weight: 9, arbitrary: fc.constantFrom(0, 1, 2, 999_999, SECOND) },
    { weight: 2, arbitrary: fc.constantFrom(...[0, 1, SECOND, SECOND + 1, 2 * SECOND].map((more) => DAY + more)) },
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

  test('what is folded in parts, and the parts merged in any order, is what is folded at once', () => {
    const inParts = specs.chain((set) => {
      const distinct = [...new Map(set.map((each) => [idOf(each), each])).values()];
      return fc.tuple(fc.constant(distinct), fc.array(fc.nat(2), { minLength: 12, maxLength: 12 }));
    });
    fc.assert(
      fc.property(inParts, ([all, parts]) => {
        const folded = [0, 1, 2].map((part) => fold(all.filter((_, n) => parts[n] === part)));
        const [a, b, c] = folded.filter((state) => state !== null);
        const whole = fold(all);
        if (a === undefined || b === undefined) {
          expect(a ?? null).toEqual(whole);
          return;
        }
        expect(merge(a, b)).toEqual(merge(b, a));
        const rest = c === undefined ? [] : [c];
        expect(rest.reduce(merge, merge(a, b))).toEqual(whole);
        expect(merge(a, rest.reduce(merge, b))).toEqual(whole);
      }),
      { numRuns: 500 },
    );
  });

  test('what is kept for the next event does not grow with the events', () => {
    fc.assert(
      fc.property(specs, (set) => {
        // Six statuses and others, carried; four of them meant; and five more.
        expect(Object.keys(fold(set)?.fold.keys ?? {}).length).toBeLessThanOrEqual(16);
      }),
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

const at = (micros: number): string => instant(micros);

test('one event makes a state', () => {
  const event = one({ micros: 137_886, end_user_id: 'acme', meta: { owner: 'Zoë' } });
  expect(visible(fold([event]))).toEqual({
    heron_id: HERON_ID,
    end_user_id: 'acme',
    status: 'processed',
    status_at: at(137_886),
    processed_at: at(137_886),
    failed_at: null,
    reviewed_at: null,
    review_required: false,
    failing: false,
    first_event_at: at(137_886),
    last_event_at: at(137_886),
    last_event: { id: idOf(event), topic: 'end_user.processed', created: at(137_886) },
    event_count: 1,
    meta: '{"owner":"Zoë"}',
  });
});

test('an event seen twice counts once', () => {
  const event = one();
  expect(fold([event, event])?.event_count).toBe(1);
});

test('one that says the same in other bytes counts again', () => {
  expect(both(one({ shape: 'naive', salt: 1 }), one({ shape: 'utc', salt: 1 })).event_count).toBe(2);
});

test('one that may have been counted before is folded and not counted', () => {
  const state = fold([one({ micros: 5 })]);
  const again = eventFrom(one({ topic: 'end_user.reviewed', micros: 9 }));
  if (concernsEndUser(again)) expect(evolve(state, again, false)).toMatchObject({ status: 'reviewed', event_count: 1 });
});

test('the first of an end user counts, whenever it comes', () => {
  const first = eventFrom(one());
  if (concernsEndUser(first)) expect(evolve(null, first, false).event_count).toBe(1);
});

describe('the status', () => {
  test('is left by a late retry', () => {
    const state = both(one({ topic: 'end_user.processed', micros: 0 }), one({ topic: 'end_user.reviewed', micros: 1 }));
    expect(state).toMatchObject({ status: 'reviewed', status_at: at(1), processed_at: at(0), reviewed_at: at(1) });
  });

  test('moves by a later moment, whatever the step', () => {
    const state = both(one({ topic: 'end_user.reviewed', micros: 0 }), one({ topic: 'end_user.processed', micros: 1 }));
    expect(state.status).toBe('processed');
  });

  test('never becomes new again: a late or repeated created undoes nothing', () => {
    const created = (micros: number) => one({ topic: 'end_user.created', micros });
    expect(both(one({ micros: 0 }), created(1))).toMatchObject({ status: 'processed', status_at: at(0) });
    const onlyCarried = one({ topic: 'end_user.files_changed', status: 'ready', micros: 0 });
    expect(both(onlyCarried, created(1))).toMatchObject({ status: 'ready', status_at: at(0) });
    expect(both(created(0), created(1))).toMatchObject({ status: 'new', status_at: at(1) });
  });

  const STEP_BY_STEP = ['new', 'ready', 'archived', 'processed', 'failed', 'review_requested', 'reviewed'] as const;
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

  test('in one microsecond and one step is that of the greater id', () => {
    const topic = 'end_user.files_changed';
    const [lesser, greater] = byId([
      { topic, status: 'archived' },
      { topic, status: 'paused' },
    ]);
    expect(both(lesser, greater)).toMatchObject({ status: 'paused', last_event: { id: idOf(greater) } });
  });

  test.each(['end_user_file.parsed', 'end_user_email.failed', 'end_users.processed', 'pdf.processed', null])(
    "in %s is not the end user's",
    (topic) => {
      const state = both(one({ topic: 'end_user.created', micros: 0 }), one({ topic, status: 'failed', micros: 1 }));
      expect(state).toMatchObject({ status: 'new', status_at: at(0), failing: false, last_event: { topic } });
    },
  );

  test('of another resource does not rank, either', () => {
    const other = one({ topic: 'pdf.processed', status: 'reviewed' });
    for (const _ of Array(8))
      expect(both(one({ topic: 'end_user.processed' }), other).last_event.topic).toBe('end_user.processed');
  });

  test('is null where only other resources named the end user', () => {
    expect(fold([one({ topic: 'pdf.processed', status: 'processed', names: 'end_user' })])).toMatchObject({
      status: null,
      status_at: null,
      processed_at: null,
      event_count: 1,
    });
  });

  test('is left by an event that carries none', () => {
    const state = both(one({ micros: 0 }), one({ topic: 'end_user.files_changed', micros: 1 }));
    expect(state).toMatchObject({ status: 'processed', status_at: at(0) });
  });

  test('may be one that Heron adds later', () => {
    expect(fold([one({ status: 'archived' })])?.status).toBe('archived');
  });
});

describe('the time of the status', () => {
  const carries = (status: string, micros: number) => one({ topic: 'end_user.files_changed', status, micros });

  test('is when it was announced, and no repeat in other webhooks moves it', () => {
    const state = both(one({ micros: 0 }), carries('processed', 1));
    expect(state).toMatchObject({ status: 'processed', status_at: at(0), processed_at: at(0), last_event_at: at(1) });
  });

  test('is the later one where it was announced again', () => {
    expect(both(one({ micros: 0 }), one({ micros: 2 }))).toMatchObject({ status_at: at(2), processed_at: at(2) });
  });

  test('moves with each webhook that carries one which none announces', () => {
    expect(both(carries('ready', 0), carries('ready', 1)).status_at).toBe(at(1));
    expect(both(carries('archived', 0), carries('archived', 1)).status_at).toBe(at(1));
  });

  test('moves where the status was regained without being announced', () => {
    const state = fold([one({ micros: 0 }), carries('ready', 1), carries('processed', 2), carries('processed', 3)]);
    expect(state).toMatchObject({ status: 'processed', status_at: at(3), processed_at: at(0) });
  });

  test('is when it was announced although it was new in between', () => {
    const state = fold([one({ micros: 0 }), carries('new', 1), carries('processed', 2)]);
    expect(state).toMatchObject({ status: 'processed', status_at: at(0) });
  });

  test('is when it was passed through, where several are told at once', () => {
    const state = fold([one({ micros: 0 }), one({ topic: 'end_user.reviewed', micros: 1 })]);
    expect(state).toMatchObject({ status: 'reviewed', processed_at: at(0), reviewed_at: at(1) });
  });
});

describe('failing', () => {
  const failed = (micros: number, status: string | null = null) => one({ topic: 'end_user.failed', micros, status });

  test('is told also by a failure that carries another status', () => {
    const state = fold([failed(0, 'ready')]);
    expect(state).toMatchObject({ status: 'ready', failing: true, failed_at: at(0) });
  });

  test('is told by a webhook that carries it', () => {
    expect(fold([one({ topic: 'end_user.files_changed', status: 'failed' })])).toMatchObject({
      failing: true,
      failed_at: null,
    });
  });

  test.each(['end_user.processed', 'end_user.reviewed'])('is over after %s', (topic) => {
    expect(both(failed(0), one({ topic, micros: 1 })).failing).toBe(false);
    expect(both(failed(1), one({ topic, micros: 0 })).failing).toBe(true);
  });

  test.each(['processed', 'reviewed'])('is over once a webhook carries %s', (status) => {
    expect(both(failed(0), one({ topic: 'end_user.files_changed', status, micros: 1 })).failing).toBe(false);
  });

  test('is not over by anything else', () => {
    expect(both(failed(0), one({ topic: 'end_user.files_changed', status: 'ready', micros: 1 })).failing).toBe(true);
  });

  test('is answered by a failure that carries success', () => {
    expect(fold([failed(0, 'processed')])?.failing).toBe(false);
  });
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

  test('still where, in one microsecond, the review carries an earlier status', () => {
    for (const _ of Array(8)) expect(both(asks(0, 'failed'), reviews(0, 'new')).review_required).toBe(true);
  });

  test('where a webhook carries review_requested, until one carries reviewed', () => {
    const topic = 'end_user.files_changed';
    const asked = one({ topic, status: 'review_requested', micros: 0 });
    expect(fold([asked])?.review_required).toBe(true);
    expect(both(asked, one({ topic, status: 'reviewed', micros: 1 })).review_required).toBe(false);
  });

  test('no more where what asks for it carries reviewed', () => {
    expect(fold([asks(0, 'reviewed')])?.review_required).toBe(false);
  });

  test('without changing the status', () => {
    expect(both(one({ micros: 0 }), asks(1)).status).toBe('processed');
  });
});

describe('the id and the metadata', () => {
  test('come from the greatest event of the end user itself that has them', () => {
    const older = one({ micros: 0, end_user_id: 'old', meta: { owner: 'old' } });
    const newer = one({ topic: 'end_user.reviewed', micros: 1, end_user_id: 'new', meta: {} });
    const pdf = one({ topic: 'pdf.parsed', micros: 2, end_user_id: 'another', meta: { pages: 'two' } });
    const without = one({ micros: 3 });
    for (const order of [
      [older, newer, pdf, without],
      [without, pdf, newer, older],
      [pdf, newer, without, older],
    ])
      expect(fold(order)).toMatchObject({ end_user_id: 'new', meta: '{}' });
  });

  test('of another resource: its id where there is no other, its metadata never', () => {
    const pdf = (micros: number, end_user_id: string) =>
      one({ topic: 'pdf.parsed', micros, end_user_id, meta: { pages: 'two' } });
    expect(both(pdf(0, 'acme'), pdf(1, 'acme-2'))).toMatchObject({ end_user_id: 'acme-2', meta: null });
    expect(both(pdf(1, 'acme'), one({ micros: 0, end_user_id: 'own' }))).toMatchObject({ end_user_id: 'own' });
  });
});

describe('the time of an event', () => {
  test('keeps its microseconds: the first and the last are those of the least and the greatest', () => {
    expect(both(one({ micros: 999_999 }), one({ micros: SECOND }))).toMatchObject({
      first_event_at: at(999_999),
      last_event_at: at(SECOND),
      last_event: { created: at(SECOND) },
    });
  });

  test('is one moment in either shape', () => {
    const state = both(one({ micros: 137_886, shape: 'naive' }), one({ micros: 137_886, shape: 'offset' }));
    expect(state.first_event_at).toBe(state.last_event_at);
  });

  test('is created where that is a day ahead of its arrival, and its arrival where it is more', () => {
    const salt = 7_000;
    const arrival = salt * SECOND;
    expect(fold([one({ micros: arrival + DAY, salt })])?.status_at).toBe(at(arrival + DAY));
    const state = fold([one({ micros: arrival + DAY + 1, salt })]);
    expect(state).toMatchObject({
      status_at: at(arrival),
      processed_at: at(arrival),
      first_event_at: at(arrival),
      last_event_at: at(arrival),
      last_event: { created: at(arrival) },
    });
  });

  test('that a wrong clock made up does not hold the end user for ever', () => {
    const [wrong, next] = [
      one({ micros: 30 * DAY, salt: 8_000 }),
      one({ topic: 'end_user.reviewed', micros: 9_000 * SECOND }),
    ];
    expect(both(wrong, next).status).toBe('reviewed');
  });
});

test('the state before is left as it was', () => {
  const before = fold([one({ meta: { owner: 'Zoë' } })])!;
  const copy = structuredClone(before);
  const next = eventFrom(one({ micros: 1, end_user_id: 'acme' }));
  if (concernsEndUser(next)) expect(evolve(before, next).event_count).toBe(2);
  expect(before).toEqual(copy);
});
