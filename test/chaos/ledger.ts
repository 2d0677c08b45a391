import { isDeepStrictEqual } from 'node:util';
import type { Answer } from './heron.ts';
import { type State, statesOf } from './oracle.ts';
import type { Webhook } from './webhooks.ts';

/** What a run has seen from outside, once everything is whole again and has come to rest. */
export type Seen = {
  readonly webhooks: readonly Webhook[];
  /** What the attempts of each delivery were answered; a webhook may be delivered more than once. */
  readonly deliveries: readonly { readonly id: string; readonly answers: readonly Answer[] }[];
  /** Ids of messages that the projector can never take. */
  readonly poison: readonly string[];
  /** Ids of all messages that Pub/Sub had, of the dead letters, and of those that still wait, as often as each. */
  readonly published: readonly string[];
  readonly deadLetters: readonly string[];
  readonly leftOver: readonly string[];
  /** What the log has under each id: the id that its bytes would have. */
  readonly log: ReadonlyMap<string, string>;
  readonly states: ReadonlyMap<string, State>;
  /** End users that were erased, and what was found of them in the end. */
  readonly forgotten: ReadonlyMap<string, readonly string[]>;
};

export type Ledger = {
  /** Webhooks that Heron signed, and forged ones. */
  readonly sent: number;
  readonly forged: number;
  /** Of all attempts at both, by what they were answered. */
  readonly answers: Readonly<Record<string, number>>;
  /** Signed webhooks that were answered 2xx: those that must be in the log. */
  readonly answered: number;
  /** Distinct messages that Pub/Sub had, poison included, and how many more of the same. */
  readonly published: number;
  readonly copies: number;
  readonly recorded: number;
  /** Recorded events that a state counts; the others concern no end user. */
  readonly folded: number;
  readonly deadLettered: number;
  /** End users erased, and signed webhooks about them. */
  readonly forgotten: number;
  readonly erased: number;
  /** Answered 2xx, and not in the log with exactly their bytes. */
  readonly lost: number;
  /** All that must not be, losses included, in words. */
  readonly problems: readonly string[];
};

/** What an attempt may be answered while things fail, and Heron repeats. */
const FAILURES: readonly Answer[] = ['none', 408, 503];

const MOST_LISTED = 5;

/**
 * Compares what was seen with what was promised. The log holds every signed webhook that was answered 2xx; it may hold
 * signed ones whose answer was lost, and nothing else. All that was published is recorded or, where it is poison,
 * dead-lettered, and nothing waits. The states are the oracle's of what is in the log. Of a forgotten end user nothing is
 * left anywhere, answered or not.
 */
export function reconcile(seen: Seen): Ledger {
  const { webhooks, deliveries, poison, leftOver, log, states } = seen;
  const signed = new Map(webhooks.flatMap(({ id, facts }) => (facts === null ? [] : [[id, { id, ...facts }]])));
  const about = new Set(webhooks.flatMap((each) => (seen.forgotten.has(each.about) ? each.id : [])));
  // A body that is not as documented may name its end user where only a better reader finds it.
  const erased = new Set([...about].filter((id) => signed.get(id)?.heron_id));
  const answered = new Set(deliveries.flatMap(({ id, answers }) => (answers.some(isSuccess) ? id : [])));
  const published = new Set(seen.published);
  const deadLetters = new Set(seen.deadLetters);
  const lost = [...answered].filter((id) => signed.has(id) && !about.has(id) && log.get(id) !== id);
  const unexpected = deliveries.flatMap(({ id, answers }) => {
    const others = answers.filter(
      (answer) => !FAILURES.includes(answer) && !(signed.has(id) ? isSuccess(answer) : answer === 401),
    );
    return others.map((answer) => `${id}, ${answer}`);
  });
  const expected = statesOf([...log.keys()].flatMap((id) => signed.get(id) ?? []));
  const differing = [...new Set([...expected.keys(), ...states.keys()])].filter(
    (id) => !isDeepStrictEqual(states.get(id), expected.get(id)),
  );

  const findings: readonly (readonly [string, Iterable<string>])[] = [
    ['LOST, answered 2xx but not in the log with its bytes', lost],
    ['answered as it never should be', unexpected],
    ['in the log, but not signed', [...log.keys()].filter((id) => !signed.has(id))],
    ['in the log with other bytes', [...log].flatMap(([id, bytes]) => (bytes === id ? [] : id))],
    ['in the log, but never published', [...log.keys()].filter((id) => !published.has(id))],
    ['published, but not recorded', published.difference(new Set([...log.keys(), ...poison, ...about]))],
    ['poison, but not dead-lettered', new Set(poison).difference(deadLetters)],
    ['dead-lettered, but no poison', deadLetters.difference(new Set(poison))],
    ['erased, but in the log', [...log.keys()].filter((id) => erased.has(id))],
    ['erased, but found', [...seen.forgotten].flatMap(([id, paths]) => paths.map((path) => `${id}, ${path}`))],
    ['not acknowledged by the projector', leftOver],
    ['a state that is not that of the log', differing.map((id) => difference(states.get(id), expected.get(id)))],
  ];
  const answers = deliveries.flatMap((delivery) => delivery.answers);
  return {
    sent: signed.size,
    forged: webhooks.length - signed.size,
    answers: Object.fromEntries([...Map.groupBy(answers, String)].map(([answer, { length }]) => [answer, length])),
    answered: [...answered].filter((id) => signed.has(id)).length,
    published: published.size,
    copies: seen.published.length - published.size,
    recorded: log.size,
    folded: [...states.values()].reduce((sum, { event_count }) => sum + event_count, 0),
    deadLettered: deadLetters.size,
    forgotten: seen.forgotten.size,
    erased: erased.size,
    lost: lost.length,
    problems: findings.flatMap(([what, which]) => listed(what, [...which])),
  };
}

function isSuccess(answer: Answer): boolean {
  return answer !== 'none' && answer >= 200 && answer < 300;
}

function listed(what: string, ids: readonly string[]): readonly string[] {
  const rest = ids.length > MOST_LISTED ? [`${what}: ${ids.length - MOST_LISTED} more`] : [];
  return [...ids.slice(0, MOST_LISTED).map((id) => `${what}: ${id}`), ...rest];
}

function difference(is: State | undefined, should: State | undefined): string {
  if (is === undefined || should === undefined) return `${(is ?? should)?.heron_id} ${is ? 'exists' : 'is missing'}`;
  const keys = (Object.keys(should) as (keyof State)[]).filter((key) => !isDeepStrictEqual(is[key], should[key]));
  const parts = keys.map((key) => `${key} is ${JSON.stringify(is[key])}, not ${JSON.stringify(should[key])}`);
  return `${should.heron_id}: ${parts.join('; ')}`;
}
