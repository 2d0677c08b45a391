import { describe, expect, it } from 'vitest';
import { reconcile, type Seen } from './ledger.ts';
import { type Facts, statesOf } from './oracle.ts';
import type { Webhook } from './webhooks.ts';

const facts: Facts = {
  topic: 'end_user.processed',
  micros: 1,
  heron_id: 'eus_a',
  end_user_id: null,
  status: null,
  meta: null,
};
const webhook = (id: string, signed: boolean): Webhook => ({
  id,
  body: Buffer.from(id),
  signature: null,
  about: 'eus_a',
  facts: signed ? facts : null,
});

/** Three webhooks, one of them forged, and poison; all went well. */
const well: Seen = {
  webhooks: [webhook('one', true), webhook('two', true), webhook('forged', false)],
  deliveries: [
    { id: 'one', answers: [503, 200] },
    { id: 'two', answers: ['none', 408, 'none', 503] },
    { id: 'forged', answers: [401] },
  ],
  poison: ['poison'],
  published: ['one', 'one', 'poison'],
  deadLetters: ['poison'],
  leftOver: [],
  log: new Map([['one', 'one']]),
  states: statesOf([{ id: 'one', ...facts }]),
  forgotten: new Map(),
};
const both = statesOf([
  { id: 'one', ...facts },
  { id: 'two', ...facts },
]);
const problemsOf = (seen: Partial<Seen>) => reconcile({ ...well, ...seen }).problems.join('\n');

describe('a ledger', () => {
  it('has no problem where what was answered 2xx is recorded, and nothing else', () => {
    expect(reconcile(well)).toMatchObject({ sent: 2, answered: 1, recorded: 1, folded: 1, lost: 0, problems: [] });
  });

  it('has none where a webhook is recorded whose answer was lost', () => {
    const log = new Map([...well.log, ['two', 'two']]);
    expect(problemsOf({ published: ['one', 'two', 'poison'], log, states: both })).toBe('');
  });

  it('has none where an end user is forgotten, and nothing of it is left', () => {
    expect(problemsOf({ forgotten: new Map([['eus_a', []]]), log: new Map(), states: new Map() })).toBe('');
  });

  it.each<[string, Partial<Seen>, string]>([
    ['a webhook answered 2xx is not in the log', { log: new Map(), states: new Map() }, 'LOST'],
    ['one is in the log with other bytes', { log: new Map([['one', 'other']]) }, 'LOST'],
    ['one that was published is not recorded', { published: ['one', 'two', 'poison'] }, 'published, but not recorded'],
    ['a forged one is recorded', { log: new Map([...well.log, ['forged', 'forged']]) }, 'not signed'],
    [
      'a forged one is answered 2xx',
      { deliveries: [{ id: 'forged', answers: [200] }] },
      'never should be: forged, 200',
    ],
    ['a signed one is answered 401', { deliveries: [{ id: 'two', answers: [401] }] }, 'never should be: two, 401'],
    ['a state counts an event twice', { states: both }, 'event_count is 2, not 1'],
    ['a state is missing', { states: new Map() }, 'eus_a is missing'],
    ['poison vanishes', { deadLetters: [] }, 'not dead-lettered: poison'],
    ['a good message is dead-lettered', { deadLetters: ['poison', 'one'] }, 'no poison: one'],
    ['an erased event is in the log', { forgotten: new Map([['eus_a', []]]) }, 'erased, but in the log: one'],
    [
      'something else of an erased end user is found',
      { forgotten: new Map([['eus_a', ['a/b']]]) },
      'found: eus_a, a/b',
    ],
    ['a message waits for ever', { leftOver: ['one'] }, 'not acknowledged by the projector: one'],
  ])('says so where %s', (_, seen, problem) => {
    expect(problemsOf(seen)).toContain(problem);
  });
});
