import { describe, expect, it, test } from 'vitest';
import { BrokenAnswer, UnexpectedAnswer } from '../../functions/heron/answers.ts';
import { planOf, registrationsOf, topicsOf } from '../../functions/heron/registrations.ts';

const HERE = 'https://ingest.example/';
const at = (topic: string, url = HERE, is_enabled = true, heron_id = `wbh_${topic}`) => ({
  heron_id,
  topic,
  url,
  is_enabled,
});
const kinds = (steps: ReturnType<typeof planOf>) => steps.map(({ kind, topic }) => `${kind} ${topic}`);

describe('a plan for Heron’s registrations', () => {
  it('creates what is missing, enables what is off, keeps the rest', () => {
    const registered = [at('a.b'), at('c.d', HERE, false), at('e.f', 'https://elsewhere.example/')];
    expect(kinds(planOf(registered, ['a.b', 'c.d', 'e.f', 'g.h'], HERE, false))).toEqual([
      'keep a.b',
      'enable c.d',
      'create e.f',
      'create g.h',
    ]);
  });

  it('deletes what nobody wants here only when told to, and nothing that leads elsewhere', () => {
    const registered = [at('a.b'), at('c.d'), at('e.f', 'https://elsewhere.example/')];
    expect(kinds(planOf(registered, ['a.b'], HERE, false))).toEqual(['keep a.b']);
    expect(kinds(planOf(registered, ['a.b'], HERE, true))).toEqual(['keep a.b', 'delete c.d']);
  });

  it('knows an address without its last slash, and one of two registrations that is on', () => {
    const registered = [
      at('a.b', 'https://ingest.example', false, 'wbh_1'),
      at('a.b', 'https://ingest.example', true, 'wbh_2'),
    ];
    expect(kinds(planOf(registered, ['a.b', 'a.b'], HERE, false))).toEqual(['keep a.b']);
  });
});

test('what is no address is the same only where it is so by the letter', () => {
  const registered = [at('a.b', 'somewhere'), at('c.d', 'elsewhere'), at('e.f')];
  expect(kinds(planOf(registered, ['a.b', 'c.d'], 'somewhere', true))).toEqual(['keep a.b', 'create c.d']);
  expect(kinds(planOf(registered, ['a.b', 'e.f'], HERE, true))).toEqual(['create a.b', 'keep e.f']);
});

describe('Heron’s registrations', () => {
  it('are read, one without is_enabled counting as on', () => {
    const text = '{"webhooks": [{"heron_id": "wbh_1", "topic": "a.b", "url": "https://x/", "headers": {"k": "v"}}]}';
    expect(registrationsOf(text)).toEqual([{ heron_id: 'wbh_1', topic: 'a.b', url: 'https://x/', is_enabled: true }]);
  });

  it.each([
    [false, false],
    [true, true],
    [null, true],
  ])('that say is_enabled %s are on: %s', (is_enabled, on) => {
    const text = JSON.stringify({ webhooks: [at('a.b'), { ...at('c.d'), is_enabled }] });
    expect(registrationsOf(text)).toEqual([at('a.b'), at('c.d', HERE, on)]);
  });

  const LACKS = 'A webhook of the list lacks heron_id, topic or url.';
  it.each([
    ['{"hooks": []}', 'The list of webhooks has no member webhooks.'],
    ['{"webhooks": {}}', 'The list of webhooks has no member webhooks.'],
    ['{"webhooks": [{"topic": "a.b", "url": "https://x/"}]}', LACKS],
    ['{"webhooks": [{"heron_id": "wbh_1", "url": "https://x/"}]}', LACKS],
    ['{"webhooks": [{"heron_id": "wbh_1", "topic": "a.b"}]}', LACKS],
    ['{"webhooks": ["wbh_1"]}', LACKS],
    ['[]', "What Heron's API answered for the list of webhooks is not an object."],
    ['null', "What Heron's API answered for the list of webhooks is not an object."],
  ])('are not guessed from %s', (text, why) => {
    expect(() => registrationsOf(text)).toThrow(new UnexpectedAnswer(why));
  });

  it('that were cut off may be asked for again', () => {
    expect(() => registrationsOf('{"webhooks": [')).toThrow(BrokenAnswer);
  });
});

describe('Heron’s topics', () => {
  it('are read', () => {
    expect(topicsOf('{"topics": ["a.b", "c.d"]}')).toEqual(['a.b', 'c.d']);
  });

  it.each([
    ['{"topics": ["a.b", 1]}', 'The list of topics has no member topics with texts.'],
    ['{"topics": {}}', 'The list of topics has no member topics with texts.'],
    ['[]', "What Heron's API answered for the list of topics is not an object."],
  ])('are not guessed from %s', (text, why) => {
    expect(() => topicsOf(text)).toThrow(new UnexpectedAnswer(why));
  });
});
