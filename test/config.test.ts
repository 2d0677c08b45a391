import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Firestore } from '@google-cloud/firestore';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  busConfig,
  ConfigError,
  exportsSpans,
  heronApiConfig,
  logSampling,
  parseSecrets,
  retentionDays,
  secretSource,
  storeConfig,
  suspicions,
} from '../functions/config.ts';

const SECRET = 'sec_of_the_tests';
const FOLDER = tmpdir();

function fileWith(contents: string | Uint8Array): string {
  const folder = mkdtempSync(join(FOLDER, 'config-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'secret'), contents);
  return join(folder, 'secret');
}

afterEach(() => {
  vi.unstubAllEnvs();
});

/** The error, which must be one line that names the variable, says what to do, and holds no secret. */
function refusal(read: () => unknown, variable: string): string {
  let refused: unknown;
  expect(() => {
    try {
      read();
    } catch (error) {
      refused = error;
      throw error;
    }
  }).toThrow(ConfigError);
  const { message } = refused as ConfigError;
  expect(message).toContain(variable);
  expect(message).toMatch(/^.{20,350}\.$/);
  expect(message).not.toContain(SECRET);
  return message;
}

describe('the shared secret', () => {
  test('is one, or several, one a line', () => {
    expect(secretSource({ HERON_SHARED_SECRET: SECRET })).toEqual({ secrets: [SECRET] });
    expect(parseSecrets(' sec_a \r\n\n\tsec_b\nsec_c\n', '')).toEqual(['sec_a', 'sec_b', 'sec_c']);
    expect(parseSecrets('\ufeffsec_a', '')).toEqual(['sec_a']);
  });

  test('is read from a file, which is remembered', () => {
    const file = fileWith(`${SECRET}\nsec_other\n`);
    expect(secretSource({ HERON_SHARED_SECRET_FILE: file })).toEqual({ secrets: [SECRET, 'sec_other'], file });
  });

  test('must be there', () => {
    refusal(() => secretSource({}), 'HERON_SHARED_SECRET');
    refusal(() => secretSource({ HERON_SHARED_SECRET_FILE: '' }), 'HERON_SHARED_SECRET_FILE');
    for (const empty of ['', ' ', '\n\r\n\t'])
      expect(refusal(() => secretSource({ HERON_SHARED_SECRET: empty }), 'HERON_SHARED_SECRET')).toContain('empty');
    refusal(() => secretSource({ HERON_SHARED_SECRET_FILE: fileWith('\n') }), 'HERON_SHARED_SECRET_FILE');
  });

  test('must be text, in UTF-8: what is not could be guessed', () => {
    for (const bytes of [Buffer.from([0xff, 0xfe, 0x80]), Buffer.from(SECRET, 'utf16le'), `${SECRET}\u0000`])
      expect(refusal(() => secretSource({ HERON_SHARED_SECRET_FILE: fileWith(bytes) }), '_FILE')).toContain('text');
    refusal(() => secretSource({ HERON_SHARED_SECRET: `${SECRET}\u0007x` }), 'HERON_SHARED_SECRET');
  });

  test('must be in a file that can be read, and what the variable says is not repeated: it may be the secret', () => {
    expect(refusal(() => secretSource({ HERON_SHARED_SECRET_FILE: SECRET }), '_FILE')).toContain('ENOENT');
    expect(refusal(() => secretSource({ HERON_SHARED_SECRET_FILE: FOLDER }), '_FILE')).toContain('EISDIR');
    refusal(() => secretSource({ HERON_SHARED_SECRET_FILE: `${SECRET}\u0000` }), 'HERON_SHARED_SECRET_FILE');
  });

  test('must not come from both', () => {
    const both = { HERON_SHARED_SECRET: SECRET, HERON_SHARED_SECRET_FILE: '/etc/hostname' };
    refusal(() => secretSource(both), 'HERON_SHARED_SECRET_FILE');
  });
});

test.each([
  ['"sec_a"', 'quotes'],
  ["'sec_a'", 'quotes'],
  ['sec_a,sec_b', 'comma'],
  ['sec_a\\nsec_b', 'backslash'],
  ['HERON_SHARED_SECRET=sec_a', 'name and ='],
  ['export SECRET=sec_a', 'name and ='],
  ['sec_\u200ba', 'cannot be seen'],
  ['sec_a sec_b', 'spaces'],
])('a secret like %j is suspicious, and why is told without it', (secret, why) => {
  const told = suspicions(['sec_good', secret]);
  expect(told[0]).toMatch(new RegExp(`^secret 2 of 2 .*${why}`));
  expect(told.join()).not.toContain('sec_');
});

test.each(['sec_a', 'sec_Eqio3Y4dhyNiMphrXwG58p', 'c2VjcmV0+/c2VjcmV0MTIzNA==', 'x=', 'abc==', 'päßwörd', 'a.b-c~d!'])(
  'a secret like %j is not suspicious',
  (secret) => {
    expect(suspicions([secret])).toEqual([]);
  },
);

const PROJECT = { GOOGLE_CLOUD_PROJECT: 'heron-local' };

test('the defaults are no prefix and the default database', () => {
  expect(busConfig(PROJECT)).toEqual({ projectId: 'heron-local', topicPrefix: '' });
  expect(storeConfig({ ...PROJECT, FIRESTORE_DATABASE: '' })).toEqual({
    projectId: 'heron-local',
    databaseId: '(default)',
  });
});

test.each(['heron-local', 'a12345', 'example.com:heron-1'])('GOOGLE_CLOUD_PROJECT may be %s', (id) => {
  expect(busConfig({ GOOGLE_CLOUD_PROJECT: id }).projectId).toBe(id);
});

test.each([
  undefined,
  '',
  'short',
  'Heron-Local',
  'heron_local',
  '1heron',
  'heron-',
  'a'.repeat(31),
  'heron local',
  'a/../b',
  'heron-local\n',
])('GOOGLE_CLOUD_PROJECT may not be %j', (id) => {
  refusal(() => busConfig({ GOOGLE_CLOUD_PROJECT: id }), 'GOOGLE_CLOUD_PROJECT');
  refusal(() => storeConfig({ GOOGLE_CLOUD_PROJECT: id }), 'GOOGLE_CLOUD_PROJECT');
});

test.each(['heron.', 'Staging-', 'a', `a${'-'.repeat(149)}`])('TOPIC_PREFIX may be %s', (prefix) => {
  expect(busConfig({ ...PROJECT, TOPIC_PREFIX: prefix }).topicPrefix).toBe(prefix);
});

test.each(['1', '-', 'goog', 'google-', 'a/b', 'a b', 'é', `a${'-'.repeat(150)}`, 'a\n'])(
  'TOPIC_PREFIX may not be %j',
  (prefix) => {
    refusal(() => busConfig({ ...PROJECT, TOPIC_PREFIX: prefix }), 'TOPIC_PREFIX');
  },
);

test.each(['(default)', 'heron', 'a--1', `a${'b'.repeat(62)}`])('FIRESTORE_DATABASE may be %s', (id) => {
  expect(storeConfig({ ...PROJECT, FIRESTORE_DATABASE: id }).databaseId).toBe(id);
});

test.each(['abc', 'Heron', '1heron', 'heron-', 'default)', 'a/b1', `a${'b'.repeat(63)}`])(
  'FIRESTORE_DATABASE may not be %j',
  (id) => {
    refusal(() => storeConfig({ ...PROJECT, FIRESTORE_DATABASE: id }), 'FIRESTORE_DATABASE');
  },
);

test.each(['localhost:8080', '127.0.0.1:1', 'emulator', '[::1]:8080'])('FIRESTORE_EMULATOR_HOST may be %s', (host) => {
  vi.stubEnv('FIRESTORE_EMULATOR_HOST', host);
  expect(() => new Firestore()).not.toThrow();
  expect(storeConfig({ ...PROJECT, FIRESTORE_EMULATOR_HOST: host }).projectId).toBe('heron-local');
});

test.each(['::1', 'a b:1', 'http://localhost:8080', 'localhost:99999', 'localhost:1/path'])(
  'FIRESTORE_EMULATOR_HOST may not be %j',
  (host) => {
    vi.stubEnv('FIRESTORE_EMULATOR_HOST', host);
    expect(() => new Firestore()).toThrow('FIRESTORE_EMULATOR_HOST'); // Google's client says so as well, later
    refusal(() => storeConfig({ ...PROJECT, FIRESTORE_EMULATOR_HOST: host }), 'FIRESTORE_EMULATOR_HOST');
  },
);

test.each([
  [undefined, null],
  ['', null],
  ['1', 1],
  ['365', 365],
  ['99999', 99_999],
])('EVENT_RETENTION_DAYS may be %j', (text, days) => {
  expect(retentionDays({ EVENT_RETENTION_DAYS: text })).toBe(days);
});

test.each(['0', '-1', '1.5', '1e3', '007', ' 30', '30d', '100000', 'for ever', '٣'])(
  'EVENT_RETENTION_DAYS may not be %j',
  (text) => {
    refusal(() => retentionDays({ EVENT_RETENTION_DAYS: text }), 'EVENT_RETENTION_DAYS');
  },
);

test.each([
  [undefined, 1],
  ['', 1],
  ['1', 1],
  ['1.0', 1],
  ['0.1', 0.1],
  ['.25', 0.25],
  ['0.0001', 0.0001],
])('LOG_SAMPLING=%s logs a share of %d', (text, share) => {
  expect(logSampling({ LOG_SAMPLING: text })).toBe(share);
});

test.each(['0', '0.0', '1.1', '-0.1', '10%', '1e-3', '0x1', 'NaN', ' ', '0,1'])(
  'LOG_SAMPLING=%s is refused',
  (text) => {
    refusal(() => logSampling({ LOG_SAMPLING: text }), 'LOG_SAMPLING');
  },
);

test.each([
  [{}, false],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: '' }, false],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://localhost:4318' }, true],
  [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://collector.example/v1/traces' }, true],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://localhost:4318', OTEL_SDK_DISABLED: 'true' }, false],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://localhost:4318', OTEL_SDK_DISABLED: 'True' }, false],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://localhost:4318', OTEL_SDK_DISABLED: '1' }, true],
])('%j: spans are exported: %s', (env, exported) => {
  expect(exportsSpans(env)).toBe(exported);
});

test.each(['localhost:4318', 'grpc://localhost:4317', 'yes'])('spans do not go to %s', (address) => {
  for (const name of ['OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'])
    refusal(() => exportsSpans({ [name]: address }), name);
});

describe("the key of Heron's API", () => {
  test('comes from the environment or a file, and goes to Heron where nothing else is said', () => {
    expect(heronApiConfig({ HERON_API_KEY: ' key_a\n' })).toEqual({
      key: 'key_a',
      url: 'https://app.herondata.io/api',
    });
    const file = fileWith('key_b\n');
    expect(heronApiConfig({ HERON_API_KEY_FILE: file, HERON_API_URL: 'http://127.0.0.1:9/api' })).toEqual({
      key: 'key_b',
      file,
      url: 'http://127.0.0.1:9/api',
    });
  });

  test.each([
    ['missing', {}, 'HERON_API_KEY'],
    ['set twice', { HERON_API_KEY: SECRET, HERON_API_KEY_FILE: '/x' }, 'HERON_API_KEY_FILE'],
    ['empty', { HERON_API_KEY: ' ' }, 'HERON_API_KEY'],
    ['two words', { HERON_API_KEY: `${SECRET} x` }, 'HERON_API_KEY'],
    ['in a file that is not there', { HERON_API_KEY_FILE: `/nowhere/${SECRET}` }, 'HERON_API_KEY_FILE'],
  ])('%s, is refused', (_, env, variable) => {
    refusal(() => heronApiConfig(env), variable);
  });

  test.each(['http://app.herondata.io/api', 'ftp://x', 'app.herondata.io'])('is not sent to %s', (url) => {
    refusal(() => heronApiConfig({ HERON_API_KEY: SECRET, HERON_API_URL: url }), 'HERON_API_URL');
  });
});
