import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HERON_TOPICS } from '../../functions/heron/topics.ts';
import { isHeronId, parseWebhook, type Webhook } from '../../functions/heron/webhook.ts';
import vectors from './vectors.json' with { type: 'json' };

const bytes = (text: string): Uint8Array => Buffer.from(text);
const parse = (json: unknown): Webhook => parseWebhook(bytes(JSON.stringify(json)));

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

describe('a body that is not JSON says nothing', () => {
  test.each([
    ['empty', bytes('')],
    ['text', bytes('hello')],
    ['cut off', bytes('{"topic":"end_user.processed"')],
    ['followed by something', bytes('{"topic":"end_user.processed"} {}')],
    ['with a raw line feed in a text', bytes('{"topic":"end_user.\nprocessed"}')],
    ['with NaN, which Python writes', bytes('{"topic":"end_user.processed","data":{"score":NaN}}')],
    ['with bytes that are no UTF-8', Buffer.concat([bytes('{"topic":"'), Buffer.from([0xc3, 0x28]), bytes('"}')])],
    ['with a surrogate as bytes', Buffer.concat([bytes('{"topic":"'), Buffer.from([0xed, 0xa0, 0x80]), bytes('"}')])],
    ['in UTF-16', Buffer.from('\ufeff{"topic":"end_user.processed"}', 'utf16le')],
    ['opened ten thousand times', bytes('['.repeat(10_000))],
  ])('%s', (_, body) => {
    expect(parseWebhook(body)).toEqual({ ...NOTHING, json: false, undocumented: 'the body is not JSON' });
  });

  test('and leaves no trace in the next', () => {
    parseWebhook(Buffer.from([0xc3]));
    expect(parse(webhook()).topic).toBe('end_user.processed');
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

  test.each([null, '', 7, {}, ['processed'], '\ud800'])('%j says nothing', (status) => {
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

  test.each([
    ['of 1,025 bytes', 'a'.repeat(1025)],
    ['of 1,024 letters but more bytes', `${'a'.repeat(1023)}é`],
    ['with half a surrogate pair', 'a\ud83d'],
    ['with a surrogate pair the wrong way round', '\ude00\ud83d'],
    ['that is empty', ''],
    ['that is a number', 12345],
  ])('%s is left out', (_, text) => {
    expect(idOf(text)).toBeNull();
  });
});

describe('meta', () => {
  const metaOf = (meta: unknown): unknown => JSON.parse(parse({ meta }).meta ?? 'null');
  const nested = (levels: number): object => JSON.parse(`${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`) as object;
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

  test('a number that JSON cannot write back is null, as it will be when it is stored', () => {
    expect(parseWebhook(bytes('{"meta":{"big":1e400,"zero":-0}}')).meta).toBe('{"big":null,"zero":0}');
  });
});

describe('never throws', () => {
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
