import { randomUUID } from 'node:crypto';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isName, Learned } from '../../functions/cli/learn.ts';

const ajv = new Ajv2020({ strict: false, strictNumbers: false, allErrors: true });

function learned(...examples: readonly unknown[]): Learned {
  const all = new Learned();
  for (const example of examples) all.add(JSON.parse(JSON.stringify(example)));
  return all;
}

function fits(from: Learned, ...examples: readonly unknown[]): readonly boolean[] {
  const validate = ajv.compile(from.schema('a test'));
  return examples.map((example) => validate(JSON.parse(JSON.stringify(example))));
}

const json = fc.jsonValue({ maxDepth: 4 });
const key = fc.oneof(fc.constantFrom('heron_id', 'status', 'amount', 'meta', '__proto__', 'toString'), fc.string());
const tree = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(null, true, 7, 1.5, 'text'),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(key, tie('value'), { maxKeys: 4, noNullPrototype: true }),
  ),
})).value;

describe('what is learned', () => {
  it('fits all that it was learned from', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(json, tree), { minLength: 1, maxLength: 30 }), (examples) => {
        expect(fits(learned(...examples), ...examples)).toEqual(examples.map(() => true));
      }),
    );
  });

  it('is the same in any order, and however often an example comes', () => {
    const canonical = (from: Learned) => JSON.parse(JSON.stringify(from.schema('')));
    fc.assert(
      fc.property(
        fc
          .array(tree, { minLength: 1, maxLength: 12 })
          .chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length }))),
        ([examples, shuffled]) => {
          expect(canonical(learned(...shuffled))).toEqual(canonical(learned(...examples)));
          expect(canonical(learned(...examples, ...shuffled))).toEqual(canonical(learned(...examples)));
        },
      ),
    );
  });

  const pdf = (changes: object = {}) => ({
    topic: 'pdf.processed',
    created: '2026-08-14T12:24:38.137886',
    data: {
      heron_id: 'pdf_1',
      pages: 3,
      score: 0.5,
      owner: { name: 'x' },
      checks: [{ kind: 'a', passed: true }],
      ...changes,
    },
    meta: null,
  });

  it.each([
    ['a text where numbers were', { pages: '3' }],
    ['a fraction where whole numbers were', { pages: 3.5 }],
    ['null where nothing was ever null', { pages: null }],
    ['a new member', { language: 'en' }],
    ['a new member of an inner object', { owner: { name: 'x', phone: 'y' } }],
    ['a member that is missing', { owner: {} }],
    ['another item of a list', { checks: [{ kind: 'a', passed: 'yes' }] }],
    ['a list where an object was', { owner: [] }],
  ])('does not fit %s', (_, changes) => {
    expect(fits(learned(pdf(), pdf()), pdf(), pdf(changes))).toEqual([true, false]);
  });

  it('tells what may be missing or null from what never was, in JSON Schema and TypeScript', () => {
    const from = learned(pdf({ pages: null, note: 'x' }), { ...pdf({ checks: [] }), meta: { own: 1 } });
    expect(from.types('PdfProcessed', 'Learned from 2 events.')).toBe(
      [
        '/** Learned from 2 events. */',
        'export type PdfProcessed = {',
        '  topic: string;',
        '  created: string;',
        '  data: {',
        '    heron_id: string;',
        '    pages: number | null;',
        '    score: number;',
        '    owner: {',
        '      name: string;',
        '    };',
        '    checks: {',
        '      kind: string;',
        '      passed: boolean;',
        '    }[];',
        '    note?: string;',
        '  };',
        '  meta: {',
        '    [key: string]: number;',
        '  } | null;',
        '};',
      ].join('\n'),
    );
    expect(from.schema('')).toMatchObject({
      properties: {
        data: {
          required: ['checks', 'heron_id', 'owner', 'pages', 'score'],
          properties: { pages: { type: ['integer', 'null'] }, score: { type: 'number' }, note: { type: 'string' } },
        },
        meta: { type: ['object', 'null'], additionalProperties: { type: 'integer' } },
      },
    });
  });
});

describe('values are not told,', () => {
  it.each([
    ['heron_id', true],
    ['endUserId', true],
    ['address_line_1', true],
    ['last_12_months', true],
    ['isKYCVerified', true],
    ['balance_90d', true],
    ['eus_Eqio3Y4dhyNiMphrXwG58p', false],
    ['acc_ab12cd34', false],
    ['3f0b2c1e-94d4-4f0e-8d0c-3f5a6b7c8d9e', false],
    ['2026-08-14', false],
    ['2026', false],
    ['jane@example.com', false],
    ['Jane Doe', false],
    ['GB29NWBK60161331926819', false],
    ['+15551234567', false],
    ['Ælfric', false],
    ['__proto__', false],
    ['toString', false],
    ['', false],
    ['a'.repeat(65), false],
  ])('by their look: is %s the name of a field? %s', (text, expected) => {
    expect(isName(text)).toBe(expected);
  });

  const told = (from: Learned) => `${JSON.stringify(from.schema(''))}${from.types('T', '')}`;

  it('whether they stand as values or as keys', () => {
    const secrets: string[] = [];
    const secret = () => {
      const made = randomUUID();
      secrets.push(made, `acc_${made.replaceAll('-', '').slice(0, 20)}`);
      return made;
    };
    const from = learned(
      ...Array.from({ length: 3 }, () => ({
        data: {
          id: secret(),
          at: '2026-08-14T12:24:38Z',
          balances: { [secret()]: { current: 7.25 }, [`acc_${secret()}`]: { current: 1 } },
        },
        meta: { customer: secret(), favourite: 'blue' },
      })),
    );
    const text = told(from);
    expect(secrets.filter((each) => text.includes(each))).toEqual([]);
    for (const value of ['2026', '7.25', 'blue', 'favourite', 'customer']) expect(text).not.toContain(value);
    expect(text).toContain('"current":{"type":"number"}');
    expect(text).not.toMatch(/"(const|enum|examples|default|format|minimum|maxLength)"/);
  });

  it('be they keys that look like names, once there are many', () => {
    const letters = 'abcdefghijklmnopqrstuvwxyz';
    const people = Array.from({ length: 60 }, (_, n) => `p${letters[n % 26]}${letters[Math.floor(n / 26)]}rson`);
    const from = learned(
      ...people.map((person, n) => ({
        data: { shares: { [person]: n, [people[(n + 7) % 60] ?? '']: 0.5, total: 1 } },
      })),
    );
    const text = told(from);
    expect(people.filter((person) => text.includes(person))).toEqual([]);
    expect(text).toContain('"total":{"type":"integer"}');
    expect(
      fits(from, { data: { shares: { somebody: 3, total: 2 } } }, { data: { shares: { somebody: 'x', total: 2 } } }),
    ).toEqual([true, false]);
  });
});

describe('a hostile log', () => {
  it('takes no more room than is set', () => {
    const from = new Learned();
    const wide = (n: number, depth: number): object =>
      Object.fromEntries(
        Array.from({ length: depth === 0 ? 0 : 30 }, (_, i) => [
          `k${'abcdefghij'[i % 10]}${'abcdefghij'[n % 10]}${'abc'[Math.floor(i / 10)]}`,
          wide(n + i, depth - 1),
        ]),
      );
    const examples = Array.from({ length: 4 }, (_, n) => wide(n * 3, 3));
    for (const example of examples) from.add(example);
    expect(JSON.stringify(from.schema('')).match(/additionalProperties/g)?.length).toBeLessThanOrEqual(4_000);
    expect(fits(from, ...examples)).toEqual(examples.map(() => true));
  });

  it('may nest deeper than is looked', () => {
    const deep = JSON.parse(`${'{"a":['.repeat(450)}1${']}'.repeat(450)}`);
    const from = new Learned();
    from.add(deep);
    expect(fits(from, deep)).toEqual([true]);
    expect(JSON.stringify(from.schema('')).length).toBeLessThan(5_000);
  });
});
