import { deflateSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HERON_TOPICS } from '../../functions/heron/topics.ts';
import { isHeronId, parseWebhook, type Webhook } from '../../functions/heron/webhook.ts';
import vectors from './vectors.json' with { type: 'json' };

const bytes = (text: string): Uint8Array => Buffer.from(text);
const parse = (json: unknown): Webhook => parseWebhook(bytes(JSON.stringify(json)));

/** Behind so many a body is not read by JSON.parse, and says the same. */
const SPACES = ' '.repeat(8 * 32 * 1024);
const parseLeniently = (json: unknown): Webhook => parseWebhook(bytes(`${JSON.stringify(json)}${SPACES}`));

/** A body of the documented shape, but for what is given. */
const webhook = (given: object = {}) => ({
  topic: 'end_user.processed',
  created: '2021-05-20T09:23:53+00:00',
  data: { heron_id: 'eus_Eqio3Y4dhyNiMphrXwG58p', end_user_id: 'myenduser', status: 'processed' },
  meta: null,
  ...given,
});

const NOTHING: Webhook = {
  topic: null,
  created: null,
  heron_id: null,
  end_user_id: null,
  status: null,
  meta: null,
  json: true,
  undocumented: null,
};

test("the specification's example says all that it can", () => {
  const example = vectors.accept.find(({ name }) => name === "the specification's own example");
  expect(parseWebhook(Buffer.from(example?.body_base64 ?? '', 'base64'))).toEqual({
    topic: 'end_user.processed',
    created: '2021-05-20T09:23:53.000000Z',
    heron_id: 'eus_Eqio3Y4dhyNiMphrXwG58p',
    end_user_id: 'myenduser',
    status: 'processed',
    meta: null,
    json: true,
    undocumented: null,
  });
});

test.each(vectors.accept)('what Heron sent is documented: $name', ({ body_base64 }) => {
  const { topic, created, undocumented } = parseWebhook(Buffer.from(body_base64, 'base64'));
  expect({ topic, created, undocumented }).toEqual({
    topic: expect.any(String),
    created: expect.any(String),
    undocumented: null,
  });
});

describe('a body that is not JSON is read as far as it goes', () => {
  const WHOLE = JSON.stringify(webhook({ meta: { owner: 'Zoë' } }));
  const ALL = { ...parse(webhook()), json: false };
  const latin1 = (text: string) => Buffer.from(text, 'latin1');
  const LATIN1 = 'the body is not UTF-8';
  const NAN = 'the body is not JSON: it has NaN or Infinity';
  const CUT = 'the body is not JSON: its end is missing';
  const MORE = 'the body is not JSON: something follows its end';
  const with_ = (member: string) => bytes(WHOLE.replace('"data":{', `"data":{${member},`));

  test.each<[string, Uint8Array, string]>([
    ['NaN, which Python writes', with_('"score":NaN'), NAN],
    ['Infinity', with_('"score":-Infinity'), NAN],
    ['NaN deep inside', with_('"scores":[{"a":[1,NaN]}]'), NAN],
    ['NaN outside of data', bytes(WHOLE.replace('{', '{"x":NaN,')), NAN],
    ['a Latin-1 byte in meta', latin1(WHOLE), LATIN1],
    ['NUL behind', bytes(`${WHOLE}\0`), MORE],
    ['something behind', bytes(`${WHOLE} {}`), MORE],
    ['a raw line feed in a text of another', with_('"note":"a\nb"'), 'the body is not JSON'],
    ['a bad escape in a text of another', with_('"note":"\\x41 \\\\"'), 'the body is not JSON'],
    ['what JSON has not, and a line feed behind', bytes(`{"x":True,${WHOLE.slice(1)} \n`), 'the body is not JSON'],
    ['a comma too many', with_('"list":[1,],"object":{"a":1,}'), 'the body is not JSON'],
    ['a comma too few', bytes(WHOLE.replace('",', '" ')), 'the body is not JSON'],
    ['a value that is missing', with_('"a":'), 'the body is not JSON'],
    ['True, as Python prints it', with_('"ok":True'), 'the body is not JSON'],
    ['a number that JSON has not', with_('"n":+1,"m":.5,"k":0x1F,"l":01'), 'the body is not JSON'],
    ['no closing bracket', bytes(WHOLE.slice(0, -1)), CUT],
    ['its end missing within meta', bytes(WHOLE.slice(0, -5)), CUT],
    [
      'over 1,000 levels',
      with_(`"deep":${'['.repeat(1_000)}${']'.repeat(1_000)}`),
      'the body is nested over 1000 levels',
    ],
  ])('%s', (_, body, undocumented) => {
    expect(parseWebhook(body)).toEqual({ ...ALL, undocumented });
  });

  test('999 levels are none too many', () => {
    const body = with_(`"deep":${'['.repeat(998)}${']'.repeat(998)}`);
    expect(parseWebhook(body)).toMatchObject({ json: true, undocumented: null, heron_id: ALL.heron_id });
  });

  test('without a status where it is cut off before data closes: the rest may have said another', () => {
    for (let length = WHOLE.indexOf('"data"'); length < WHOLE.indexOf('},"meta"'); length++) {
      const { topic, created, status, undocumented } = parseWebhook(bytes(WHOLE.slice(0, length)));
      expect({ topic, created, status, undocumented }).toEqual({
        topic: 'end_user.processed',
        created: ALL.created,
        status: null,
        undocumented: CUT,
      });
    }
    expect(parseWebhook(bytes(WHOLE.slice(0, WHOLE.indexOf('},"meta"') + 1))).status).toBe('processed');
    expect(parseWebhook(bytes('{"topic":"end_user.processed","created"')).status).toBeNull();
  });

  test('with the ids that stand before the cut, and no half of one', () => {
    const { heron_id, end_user_id } = webhook().data;
    const upTo = (text: string) => parseWebhook(bytes(WHOLE.slice(0, WHOLE.indexOf(text) + text.length)));
    expect(upTo(`"${heron_id}"`)).toMatchObject({ heron_id, end_user_id: null });
    expect(upTo(heron_id)).toMatchObject({ heron_id: null });
    expect(upTo(`"${end_user_id}"`)).toMatchObject({ heron_id, end_user_id });
    expect(upTo(end_user_id)).toMatchObject({ heron_id, end_user_id: null });
    expect(parseWebhook(bytes('{"data":{"end_user_id":123'))).toMatchObject({ end_user_id: null });
    expect(parseWebhook(bytes('{"data":{"end_user_id":123,'))).toMatchObject({ end_user_id: '123' });
  });

  test('without a text that has bytes which are none: they may have been anything', () => {
    const body = latin1(
      '{"topic":"a.b","data":{"end_user_id":"caf\xe9","status":"ready","end_user_heron_id":"eus_a"}}',
    );
    expect(parseWebhook(body)).toMatchObject({ end_user_id: null, status: 'ready', heron_id: 'eus_a' });
    expect(parseWebhook(latin1('{"data":{"end_user_id":""},"x":"\xe9"}')).end_user_id).toBeNull();
  });

  test('and what is named in it by escapes, or like something else, is told apart', () => {
    const body =
      '{"x":{"topic":"no"},"y":"\\"topic\\":\\"no\\"","\\u0074opic":"yes","data":{"a":{"heron_id":"eus_no"},"heron_id":"eus_a"},"z":NaN}';
    expect(parseWebhook(bytes(body))).toMatchObject({ topic: 'yes', heron_id: 'eus_a', json: false });
  });

  test('of a repeated key the last counts', () => {
    const body = '{"topic":"a.b","data":{"heron_id":"eus_a"},"topic":"c.d","data":{"heron_id":"eus_b"},"n":NaN}';
    expect(parseWebhook(bytes(body))).toMatchObject({ topic: 'c.d', heron_id: 'eus_b' });
  });

  test.each([
    ['empty', bytes(''), 'the body is not JSON'],
    ['text', bytes('hello'), 'the body is not JSON'],
    ['a list', bytes(`[${WHOLE},NaN]`), 'the body is not JSON'],
    ['a text that is not closed', bytes(`"${WHOLE.replaceAll('"', '')}`), 'the body is not JSON'],
    ['in UTF-16', Buffer.from(`\ufeff${WHOLE}`, 'utf16le'), LATIN1],
    ['brackets alone', bytes('{{{{'), CUT],
    ['colons alone', bytes('{:::'), CUT],
  ])('%s: it says nothing', (_, body, undocumented) => {
    expect(parseWebhook(body)).toEqual({ ...NOTHING, json: false, undocumented });
  });

  test('and leaves no trace in the next', () => {
    parseWebhook(Buffer.from([0xc3]));
    expect(parse(webhook()).topic).toBe('end_user.processed');
  });

  test('the cause quotes nothing of it', () => {
    const secret = 'PRIVATE';
    for (const body of [`${secret}`, `{"${secret}`, `{"a":${secret}}`, `{"a":1}${secret}`, `{"a":"${secret}\n"}`])
      expect(parseWebhook(bytes(body)).undocumented).not.toContain(secret);
  });
});

test.each(['null', 'true', '0', '"end_user.processed"', '[]', '[{"topic":"end_user.processed"}]'])(
  'JSON that is no object says nothing: %s',
  (text) => {
    expect(parseWebhook(bytes(text))).toEqual({ ...NOTHING, undocumented: 'the body is not a JSON object' });
  },
);

test('a byte order mark is not part of the body', () => {
  expect(parseWebhook(bytes(`\ufeff${JSON.stringify(webhook())}`))).toEqual(parse(webhook()));
});

describe('what is not of the documented shape still keeps what can be read', () => {
  const { topic, created, heron_id, end_user_id, status } = parse(webhook());
  const all = { topic, created, heron_id, end_user_id, status, meta: null, json: true };
  const noData = { heron_id: null, end_user_id: null };

  test.each<[string, object, Partial<Webhook>]>([
    ['no topic', { topic: undefined }, { topic: null, undocumented: 'topic is not a text of 1 to 1,024 bytes' }],
    [
      'a topic of another type',
      { topic: ['end_user.processed'] },
      { topic: null, undocumented: 'topic is not a text of 1 to 1,024 bytes' },
    ],
    ['an empty topic', { topic: '' }, { topic: null, undocumented: 'topic is not a text of 1 to 1,024 bytes' }],
    ['no created', { created: undefined }, { created: null, undocumented: 'created is not a time' }],
    ['created as a number', { created: 1786710278 }, { created: null, undocumented: 'created is not a time' }],
    ['created on no day', { created: '2021-02-29T00:00:00' }, { created: null, undocumented: 'created is not a time' }],
    ['no data', { data: undefined }, { ...noData, undocumented: 'data is not an object' }],
    ['data null', { data: null }, { ...noData, undocumented: 'data is not an object' }],
    ['data a list', { data: [webhook().data] }, { ...noData, undocumented: 'data is not an object' }],
    ['data a text', { data: 'eus_1' }, { ...noData, undocumented: 'data is not an object' }],
    ['meta a list', { meta: [] }, { undocumented: 'meta is neither null nor an object' }],
    ['meta a text', { meta: 'x' }, { undocumented: 'meta is neither null nor an object' }],
    ['meta false', { meta: false }, { undocumented: 'meta is neither null nor an object' }],
  ])('%s', (_, given, expected) => {
    expect(parse(webhook(given))).toEqual({ ...all, ...expected });
    expect(parseLeniently(webhook(given))).toEqual({ ...all, ...expected });
  });
});

test.each([
  { meta: undefined },
  { meta: null },
  { meta: {} },
  { more: 1 },
  { topic: 'submission.archived' },
  { data: {} },
])('the documented shape: %j', (given) => {
  expect(parse(webhook(given)).undocumented).toBeNull();
  expect(parseLeniently(webhook(given)).undocumented).toBeNull();
});

test('of a key that is there twice the last counts', () => {
  expect(parseWebhook(bytes('{"topic":"a.b","topic":"c.d","data":{"status":"new","status":"ready"}}'))).toMatchObject({
    topic: 'c.d',
    status: 'ready',
  });
});

describe('which end user an event belongs to', () => {
  const longest = `eus_${'a'.repeat(64)}`;
  test.each<[string, object, string | null]>([
    ['data.heron_id', { heron_id: 'eus_a' }, 'eus_a'],
    ['every letter that an id may have', { heron_id: 'eus_Az09_-' }, 'eus_Az09_-'],
    ['the longest id', { heron_id: longest }, longest],
    [
      'data.heron_id before all else',
      { heron_id: 'eus_a', end_user_heron_id: 'eus_b', end_user: { heron_id: 'eus_c' } },
      'eus_a',
    ],
    ["another resource's own id is not the end user's", { heron_id: 'pdf_1', end_user_heron_id: 'eus_b' }, 'eus_b'],
    ['data.end_user_heron_id', { end_user_heron_id: 'eus_b' }, 'eus_b'],
    [
      'data.end_user_heron_id before data.end_user',
      { end_user_heron_id: 'eus_b', end_user: { heron_id: 'eus_c' } },
      'eus_b',
    ],
    ['data.end_user.heron_id', { end_user: { heron_id: 'eus_c' } }, 'eus_c'],
    [
      "data.end_user.heron_id beside another resource's",
      { heron_id: 'pdf_1', end_user: { heron_id: 'eus_c' } },
      'eus_c',
    ],
    [
      'data.end_user.heron_id where the other is null',
      { end_user_heron_id: null, end_user: { heron_id: 'eus_c' } },
      'eus_c',
    ],
    [
      'data.end_user.heron_id where the other is empty',
      { end_user_heron_id: '', end_user: { heron_id: 'eus_c' } },
      'eus_c',
    ],
    [
      'data.end_user.heron_id where the other is no text',
      { end_user_heron_id: 7, end_user: { heron_id: 'eus_c' } },
      'eus_c',
    ],
    ['none', {}, null],
    ["only another resource's", { heron_id: 'txn_1' }, null],
    ['ids in a list', { transactions: [{ heron_id: 'eus_a' }] }, null],
    ['end_user a list', { end_user: [{ heron_id: 'eus_c' }] }, null],
    ['end_user a text', { end_user: 'eus_c' }, null],
    ['no prefix', { end_user_heron_id: 'Eqio3Y4dhyNiMphrXwG58p' }, null],
    ['the prefix in capitals', { heron_id: 'EUS_a' }, null],
    ['the prefix alone', { heron_id: 'eus_' }, null],
    ['too long', { heron_id: `${longest}a` }, null],
    ['a path', { heron_id: 'eus_a/events/x' }, null],
    ['a step up', { end_user_heron_id: '..' }, null],
    ['letters of another script', { heron_id: 'eus_東京' }, null],
    ['a line feed behind', { heron_id: 'eus_a\n' }, null],
    ['NUL', { heron_id: 'eus_a\0' }, null],
    ['a broken id does not fall through to a good one', { heron_id: 'eus_a/b', end_user_heron_id: 'eus_b' }, null],
    ['a broken second id does not, either', { end_user_heron_id: 'eus_a/b', end_user: { heron_id: 'eus_c' } }, null],
    ['an object', { heron_id: { heron_id: 'eus_a' } }, null],
  ])('%s', (_, data, expected) => {
    const { heron_id } = parse(webhook({ topic: 'pdf.processed', data }));
    expect(heron_id).toBe(expected);
    expect(parseLeniently(webhook({ topic: 'pdf.processed', data })).heron_id).toBe(expected);
    expect(heron_id === null || isHeronId(heron_id)).toBe(true);
  });

  test('it may be named by escapes', () => {
    expect(parseWebhook(bytes('{"data":{"heron_\\u0069d":"\\u0065us_a"}}')).heron_id).toBe('eus_a');
  });
});

describe('keys that every object seems to have', () => {
  test('__proto__ hands nothing down', () => {
    const body =
      '{"__proto__":{"topic":"a.b","data":{"heron_id":"eus_a"}},"data":{"__proto__":{"heron_id":"eus_a","status":"new"}}}';
    expect(parseWebhook(bytes(body))).toMatchObject({ topic: null, heron_id: null, status: null });
    expect(Object.hasOwn(Object.prototype, 'topic')).toBe(false);
  });

  test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])(
    'the topic %s is a text like any other',
    (topic) => {
      expect(parse(webhook({ topic, data: {} }))).toMatchObject({ topic, status: null, undocumented: null });
    },
  );

  test('meta keeps them as they are', () => {
    const text = '{"__proto__":{"a":"b"},"constructor":"c","__x__":"d"}';
    const { meta } = parseWebhook(bytes(`{"meta":${text}}`));
    expect(meta).toBe(text);
  });
});

describe('the status', () => {
  const implied = new Map([
    ['end_user.created', 'new'],
    ['end_user.processed', 'processed'],
    ['end_user.reviewed', 'reviewed'],
    ['end_user.failed', 'failed'],
  ]);

  test.each([...HERON_TOPICS, 'end_user.archived', 'end_user.', 'end_user', ''])(
    '%s implies its own, or none',
    (topic) => {
      expect(parse(webhook({ topic, data: {} })).status).toBe(implied.get(topic) ?? null);
    },
  );

  test.each(HERON_TOPICS)('what data says counts more than what %s implies', (topic) => {
    expect(parse(webhook({ topic, data: { status: 'archived' } })).status).toBe('archived');
  });

  test('may be a number: it stands as its own text', () => {
    expect(parse(webhook({ data: { status: 7 } })).status).toBe('7');
  });

  test.each([null, '', true, {}, ['processed'], '\ud800'])('%j says nothing', (status) => {
    expect(parse(webhook({ topic: 'end_user.reviewed', data: { status } })).status).toBe('reviewed');
    expect(parse(webhook({ topic: 'pdf.processed', data: { status } })).status).toBeNull();
  });

  test('without data the topic still implies it', () => {
    expect(parse(webhook({ topic: 'end_user.failed', data: null })).status).toBe('failed');
  });
});

describe('a text', () => {
  const idOf = (end_user_id: unknown): string | null => parse(webhook({ data: { end_user_id } })).end_user_id;

  test.each([
    ['of 1,024 bytes', 'a'.repeat(1024)],
    ['of 1,024 bytes in 256 letters', '😀'.repeat(256)],
    ['of 140 letters of another script', '東'.repeat(140)],
    ['with NUL', 'a\0b'],
    ['of a space', ' '],
    ['with a replacement character', '\ufffd'],
  ])('%s is kept as it is', (_, text) => {
    expect(idOf(text)).toBe(text);
  });

  test.each(['0', '12345678901234567890', '1.10', '-1e400', '9'.repeat(1024)])(
    'that is a number stands as it was written: %s',
    (number) => {
      expect(parseWebhook(bytes(`{"data":{"end_user_id":${number}}}`)).end_user_id).toBe(number);
    },
  );

  test('of 1,024 bytes may be written in escapes', () => {
    const read = (bytes_: number) => parseWebhook(bytes(`{"topic":"${'\\u0061'.repeat(bytes_)}"}${SPACES}`)).topic;
    expect(read(1024)).toBe('a'.repeat(1024));
    expect(read(1025)).toBeNull();
  });

  test.each([
    ['of 1,025 bytes', 'a'.repeat(1025)],
    ['of 1,024 letters but more bytes', `${'a'.repeat(1023)}é`],
    ['with half a surrogate pair', 'a\ud83d'],
    ['with a surrogate pair the wrong way round', '\ude00\ud83d'],
    ['that is empty', ''],
  ])('%s is left out', (_, text) => {
    expect(idOf(text)).toBeNull();
  });
});

describe('meta', () => {
  const metaOf = (meta: unknown): unknown => {
    const read = parse({ meta }).meta;
    expect(parseLeniently({ meta }).meta).toBe(read);
    return JSON.parse(read ?? 'null');
  };
  const nested = (levels: number): object => JSON.parse(`${'{"a":'.repeat(levels)}"x"${'}'.repeat(levels)}`) as object;
  const KIB = 1024;

  test.each([
    ['empty', {}],
    ["a customer's", { owner: 'Zoë', region: 'EU' }],
    ['of 32 KiB', { a: 'x'.repeat(32 * KIB - '{"a":""}'.length) }],
    ['100 levels deep', nested(100)],
    ['with half a surrogate pair', { a: '\ud83d' }],
  ])('%s is kept as it is', (_, meta) => {
    expect(metaOf(meta)).toEqual(meta);
  });

  test.each([
    ['over 32 KiB', { a: 'x'.repeat(32 * KIB - '{"a":""}'.length + 1) }],
    ['over 32 KiB in fewer letters', { a: 'é'.repeat(16 * KIB) }],
    ['101 levels deep', nested(101)],
    ['a list', [{}]],
    ['a text', 'x'],
  ])('%s is left out', (_, meta) => {
    expect(metaOf(meta)).toBeNull();
  });

  test.each(['{"a":', '['])('nested a hundred thousand times by %s is left out', (open) => {
    const close = open === '[' ? ']' : '}';
    const deep = `${open.repeat(100_000)}1${close.repeat(100_000)}`;
    expect(parseWebhook(bytes(`{"topic":"a.b","meta":{"deep":${deep}}}`))).toMatchObject({ topic: 'a.b', meta: null });
  });

  test('keeps numbers as they were written, also those that no double holds', () => {
    const numbers = '{"a":12345678901234567890,"b":9007199254740993,"c":1.10,"d":1e400,"e":[-0,1E+2,0.1e-7]}';
    for (const meta of [numbers, `{"text":"x","numbers":${numbers}}`])
      expect(parseWebhook(bytes(`{"meta":${meta}}`)).meta).toBe(meta);
  });

  test('is compact, and of a repeated key has the last', () => {
    expect(parseWebhook(bytes('{"meta": { "a" : 1 ,\n "b": [ ] , "a": "\\u005a" } }')).meta).toBe('{"a":"Z","b":[]}');
  });

  test('may have spaces up to 256 KiB, whatever is in it', () => {
    const spaced = (length: number) => `{"meta":{"a":"x"${' '.repeat(length - '{"a":"x"}'.length)}}}`;
    expect(parseWebhook(bytes(spaced(256 * KIB))).meta).toBe('{"a":"x"}');
    expect(parseWebhook(bytes(spaced(256 * KIB + 1))).meta).toBeNull();
  });
});

describe('never throws', () => {
  const NOTHING_READ = { topic: null, created: null, heron_id: null, end_user_id: null, status: null };
  /** Every key the reader looks for, with anything under it. */
  const keys = [
    'topic',
    'created',
    'data',
    'meta',
    'heron_id',
    'end_user_heron_id',
    'end_user',
    'end_user_id',
    'status',
    '__proto__',
    'constructor',
  ];
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      fc.jsonValue({ maxDepth: 1 }),
      fc.constantFrom('eus_a', 'end_user.created', '2021-05-20T09:23:53', '\ud800', ''),
      fc.dictionary(fc.constantFrom(...keys), tie('value')),
    ),
  }));

  const isSound = ({ topic, created, heron_id, end_user_id, status, meta }: Webhook): void => {
    for (const text of [topic, end_user_id, status]) {
      if (text === null) continue;
      expect(text.isWellFormed()).toBe(true);
      expect(Buffer.byteLength(text)).toBeGreaterThan(0);
      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(1024);
    }
    expect(heron_id === null || isHeronId(heron_id)).toBe(true);
    expect(created ?? '2021-05-20T09:23:53.000000Z').toHaveLength(27);
    expect(meta === null || JSON.stringify(JSON.parse(meta)) !== 'null').toBe(true);
  };

  test('on any bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (body) => isSound(parseWebhook(body))));
  });

  test('on any JSON', () => {
    fc.assert(fc.property(fc.jsonValue(), (json) => isSound(parse(json))));
  });

  test('on any JSON with the keys that are looked for', () => {
    fc.assert(
      fc.property(value, (json) => isSound(parse(json))),
      { numRuns: 500 },
    );
  });

  test('and any JSON says the same when a byte behind it makes it none', () => {
    fc.assert(
      fc.property(value, (json) => {
        const text = JSON.stringify(json) ?? '';
        const { meta, undocumented, json: _, ...strict } = parseWebhook(bytes(text));
        expect(parseWebhook(bytes(`${text}\0`))).toMatchObject(text.startsWith('{') ? strict : NOTHING_READ);
      }),
      { numRuns: 500 },
    );
  });

  test('and any JSON says the same however long the spaces behind it are, which decide how it is read', () => {
    const raw = fc.constantFrom(
      '1.10',
      '-0',
      '1e400',
      '"\\ud800"',
      '"\\u0065us_a"',
      '"12"',
      '[1]',
      '{"a":[]}',
      '{"__proto__":1}',
    );
    const webhook = fc.record({ topic: raw, created: raw, end_user_id: raw, status: raw, heron_id: raw, meta: raw });
    fc.assert(
      fc.property(
        fc.oneof(
          value.map((json) => JSON.stringify(json) ?? ''),
          webhook.map(
            ({ topic, created, meta, ...data }) =>
              `{"topic":${topic},"created":${created},"meta":${meta},"data":{${Object.entries(data).map(([key, text]) => `"${key}": ${text}`)}}}`,
          ),
        ),
        (text) => {
          expect(parseWebhook(bytes(text))).toEqual(parseWebhook(bytes(`${text}${SPACES}`)));
        },
      ),
      { numRuns: 500 },
    );
  });

  test('any JSON with the keys that are looked for says what a strict reader finds', () => {
    const keyed = fc.record(
      {
        topic: value,
        created: value,
        data: fc.oneof(value, fc.dictionary(fc.constantFrom(...keys), value)),
        meta: value,
      },
      { requiredKeys: [] },
    );
    const textIn = (found: unknown) =>
      (typeof found === 'string' && found !== '' && found.isWellFormed()) || typeof found === 'number'
        ? String(found)
        : null;
    fc.assert(
      fc.property(keyed, fc.constantFrom(undefined, 1, '\t'), (json, indent) => {
        const { topic, data, meta } = JSON.parse(JSON.stringify(json));
        const isRecord = typeof data === 'object' && data !== null && !Array.isArray(data);
        const read = parseWebhook(bytes(JSON.stringify(json, null, indent)));
        expect(read.topic).toBe(typeof topic === 'string' ? textIn(topic) : null);
        expect(read.end_user_id).toBe(isRecord && Object.hasOwn(data, 'end_user_id') ? textIn(data.end_user_id) : null);
        const isMeta = typeof meta === 'object' && meta !== null && !Array.isArray(meta);
        expect(read.meta).toBe(isMeta ? JSON.stringify(meta) : null);
        expect(read.json).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  test('on a webhook cut off or changed anywhere', () => {
    const whole = bytes(JSON.stringify(webhook()));
    fc.assert(
      fc.property(fc.nat(whole.length), fc.nat(whole.length - 1), fc.nat(255), (length, at, byte) => {
        isSound(parseWebhook(whole.subarray(0, length)));
        const changed = Uint8Array.from(whole);
        changed[at] = byte;
        isSound(parseWebhook(changed));
      }),
    );
  });
});

describe.each([
  ['gzip', gzipSync],
  ['deflate', deflateSync],
] as const)('a body compressed with %s', (_, compress) => {
  test('is read as what it was before, but for data and meta', () => {
    const read = parseWebhook(compress(JSON.stringify(webhook({ meta: { plan: 'gold' } }))));
    const plain = parseWebhook(bytes(JSON.stringify(webhook({ meta: { plan: 'gold' } }))));
    expect(read).toEqual({ ...plain, meta: null, json: false, undocumented: 'the body is compressed' });
  });

  test('of which the end is missing, or that comes to more than 10 MB, says nothing', () => {
    const whole = compress(JSON.stringify(webhook()));
    const nothing = parseWebhook(bytes('x'));
    const told = { ...nothing, json: false, undocumented: 'the body is compressed' };
    expect(parseWebhook(whole.subarray(0, whole.length - 12))).toEqual(told);
    const padded = (length: number) => compress(JSON.stringify(webhook()).padEnd(length));
    expect(parseWebhook(padded(10_000_000)).topic).toBe('end_user.processed');
    expect(parseWebhook(padded(10_000_001))).toEqual(told);
  });
});

test.each([
  ['begins as deflate may', [0x78, 0x7b], 'the body is not JSON'],
  ['has the first byte of gzip alone', [0x1f, 0x78], 'the body is not JSON'],
  ['has the second byte of gzip alone', [0x7b, 0x8b], 'the body is not UTF-8'],
])('a body that only %s is no compressed one', (_, first, undocumented) => {
  expect(parseWebhook(Buffer.from(first)).undocumented).toBe(undocumented);
});
