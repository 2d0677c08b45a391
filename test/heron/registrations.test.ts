import { describe, expect, it } from 'vitest';
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

describe('Heron’s registrations', () => {
  it('are read, one without is_enabled counting as on', () => {
    const text = '{"webhooks": [{"heron_id": "wbh_1", "topic": "a.b", "url": "https://x/", "headers": {"k": "v"}}]}';
    expect(registrationsOf(text)).toEqual([{ heron_id: 'wbh_1', topic: 'a.b', url: 'https://x/', is_enabled: true }]);
  });

  it.each([['{"hooks": []}'], ['{"webhooks": [{"topic": "a.b"}]}'], ['[]'], ['null']])(
    'are not guessed from %s',
    (text) => {
      expect(() => registrationsOf(text)).toThrow(UnexpectedAnswer);
    },
  );

  it('and its topics that were cut off may be asked for again', () => {
    expect(() => registrationsOf('{"webhooks": [')).toThrow(BrokenAnswer);
    expect(topicsOf('{"topics": ["a.b"]}')).toEqual(['a.b']);
    expect(() => topicsOf('{"topics": [1]}')).toThrow(UnexpectedAnswer);
  });
});
