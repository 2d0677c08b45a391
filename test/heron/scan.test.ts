import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isDeep, MAX_LEVELS, mayBeDeep, NOTHING, scan, textOf, type Wanted } from '../../functions/heron/scan.ts';

const WANTED: Wanted = new Map<string, Wanted>([
  ['a', NOTHING],
  ['o', new Map([['b', NOTHING]])],
]);
const membersOf = (text: string) =>
  Object.fromEntries([...scan(text, WANTED).members].map(([name, { raw }]) => [name, raw]));

describe('any JSON', () => {
  const { json } = fc.letrec<{ json: unknown }>((tie) => ({
    json: fc.oneof(
      { depthSize: 'medium' },
      fc.constantFrom(null, true, 0, -1.5e300, '', '"', '\\', '{[', 'NaN', 'é\n'),
      fc.array(tie('json'), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom('a', 'b', 'o', '"', 'Infinity'), tie('json'), { maxKeys: 3 }),
    ),
  }));
  const indent = fc.constantFrom(undefined, 1, '\t');
  const isObject = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  const levelsOf = (value: unknown): number =>
    typeof value === 'object' && value !== null ? 1 + Math.max(0, ...Object.values(value).map(levelsOf)) : 0;

  test('is found whole, with its levels and the members that are wanted of it, and what stands behind', () => {
    fc.assert(
      fc.property(json, indent, fc.constantFrom(WANTED, NOTHING), (value, indent, wanted) => {
        const text = JSON.stringify(value, null, indent);
        const { members, ...found } = scan(` \ufeff${text}\n x`, wanted);
        expect(found).toEqual({ raw: text, whole: true, levels: levelsOf(value), hasNaN: false, rest: '\n x' });
        const there = isObject(value) ? [...wanted.keys()].filter((name) => Object.hasOwn(value, name)) : [];
        expect([...members.keys()].sort()).toEqual(there);
        for (const [name, { raw }] of members)
          expect(JSON.parse(raw)).toEqual((value as Record<string, unknown>)[name]);
        const { o } = isObject(value) ? value : {};
        expect([...(members.get('o')?.members.keys() ?? [])]).toEqual(
          members.has('o') && isObject(o) && Object.hasOwn(o, 'b') ? ['b'] : [],
        );
      }),
      { numRuns: 1_000 },
    );
  });

  test('in brackets is not whole as long as one of them is open', () => {
    fc.assert(
      fc.property(fc.array(json), indent, fc.nat(), fc.constantFrom(WANTED, NOTHING), (list, indent, at, wanted) => {
        const text = JSON.stringify({ list }, null, indent);
        const raw = text.slice(0, 1 + (at % (text.length - 1)));
        const { levels, members, ...found } = scan(raw, wanted);
        expect(found).toEqual({ raw, whole: false, hasNaN: false, rest: '' });
        expect(levels).toBeLessThanOrEqual(levelsOf({ list }));
      }),
      { numRuns: 1_000 },
    );
  });
});

test.each([
  ['a name that has no value', '{"a"}', {}],
  ['a text before a name', '{"x" "a":1}', { a: '1' }],
  ['a list in the place of a name', '{[]:"a":1}', { a: '1' }],
  ['a list without a name', '{["a":1]}', {}],
  ['an object without a name', '{{"a":1}}', {}],
  ['a text right behind a value', '{"x":1"a":2}', { a: '2' }],
  ['a bracket that closes nothing', '{"a":1]}', { a: '1' }],
  ['a member that is not wanted', '{"b":1,"a":2}', { a: '2' }],
  ['a name twice', '{"a":1,"a":2}', { a: '2' }],
  ['a name in escapes', '{"\\u0061":1}', { a: '1' }],
  ['a name with a bad escape', '{"\\x":2,"a":1}', { a: '1' }],
  ['a byte order mark between', '{\ufeff"a"\ufeff:\ufeff1}', { a: '1' }],
])('%s: %s', (_, text, members) => {
  expect(membersOf(text)).toEqual(members);
});

test.each([
  ['"x"', true],
  ['"x', false],
  ['1 ', true],
  ['1', false],
])('whether the end of %j is there is %s: a number may go on', (text, whole) => {
  expect(scan(text, NOTHING).whole).toBe(whole);
});

test.each(['NaN', '-Infinity', '[NaN]', '{"x":[1,{"y":Infinity}]}', '{"x":-Infinity', '[NaN'])(
  'what Python writes for no number is seen in %s, and not in a text',
  (text) => {
    expect(scan(text, WANTED).hasNaN).toBe(true);
    expect(scan(text, NOTHING).hasNaN).toBe(true);
    expect(scan(`{"x":${JSON.stringify(text)}}`, WANTED).hasNaN).toBe(false);
  },
);

test.each([
  ['"a"', 'a'],
  ['"\\u0061\\n"', 'a\n'],
  ['"a', null],
  ['a"', null],
  [' "a"', null],
  ['"\\x"', null],
  ['"a\nb"', null],
  ['7', null],
])('the text in %j is %j', (raw, text) => {
  expect(textOf(raw)).toBe(text);
});

describe('a text is nested too deep', () => {
  const half = MAX_LEVELS / 2;
  const nested = (pairs: number) => `${'[{"x":'.repeat(pairs)}1${'}]'.repeat(pairs)}`;

  test('from the first level over the bound, whichever brackets', () => {
    expect(isDeep(nested(half))).toBe(false);
    expect(isDeep(`${nested(half)}[]`)).toBe(false);
    expect(isDeep(`[${nested(half)}]`)).toBe(true);
    expect(isDeep(`[${nested(half)}`)).toBe(true);
  });

  test('not for brackets side by side, nor in a text', () => {
    expect(isDeep(`[${'[],'.repeat(MAX_LEVELS)}[]]`)).toBe(false);
    expect(isDeep(`["${'['.repeat(MAX_LEVELS + 1)}"]`)).toBe(false);
  });

  test('never where it has not even so many brackets', () => {
    expect(mayBeDeep('{}')).toBe(false);
    expect(mayBeDeep(nested(half))).toBe(false);
    expect(mayBeDeep(`{${nested(half)}`)).toBe(true);
    expect(mayBeDeep(`${nested(half)}[]`)).toBe(true);
  });
});
