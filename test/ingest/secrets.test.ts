import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test as base, expect } from 'vitest';
import { secretSource } from '../../functions/config.ts';
import { Secrets } from '../../functions/ingest/secrets.ts';
import { cloudLog } from '../../functions/log.ts';

/** Secrets in a file, and a clock that stands still until it is moved. */
const test = base.extend<{ mounted: ReturnType<typeof mount> }>({
  mounted: ({ onTestFinished }, use) => {
    const mounted = mount();
    onTestFinished(() => rmSync(mounted.folder, { recursive: true }));
    return use(mounted);
  },
});

function mount() {
  const folder = mkdtempSync(join(tmpdir(), 'secret-'));
  const file = join(folder, 'secret');
  writeFileSync(file, 'sec_first\n');
  const clock = { now: 0 };
  const lines: string[] = [];
  const secrets = new Secrets(
    secretSource({ HERON_SHARED_SECRET_FILE: file }),
    cloudLog('ingest', (line) => lines.push(line)),
    () => clock.now,
  );
  const asked: (readonly string[])[] = [];
  const knows = (secret: string) =>
    secrets.find((known) => {
      asked.push(known);
      return known.includes(secret) || null;
    });
  const log = () => lines.map((line) => JSON.parse(line));
  return { folder, file, clock, lines, log, asked, knows };
}

test('are read again when they are 60 s old, and not before', async ({ mounted: { file, clock, knows } }) => {
  writeFileSync(file, 'sec_second');
  clock.now = 59_999;
  expect(await knows('sec_first')).toBe(true);
  clock.now = 60_000;
  expect(await knows('sec_first')).toBeNull();
  expect(await knows('sec_second')).toBe(true);
});

test('are read again at a mismatch, at most every 5 s', async ({ mounted: { file, clock, knows, asked } }) => {
  writeFileSync(file, 'sec_second');
  clock.now = 4_999;
  expect(await knows('sec_second')).toBeNull();
  expect(asked).toEqual([['sec_first']]);
  clock.now = 5_000;
  expect(await knows('sec_second')).toBe(true);
  expect(asked.slice(1)).toEqual([['sec_first'], ['sec_second']]);
  writeFileSync(file, 'sec_third');
  clock.now = 9_999;
  expect(await knows('sec_third')).toBeNull();
  clock.now = 10_000;
  expect(await knows('sec_third')).toBe(true);
});

test('are read once for a hundred mismatches at once, and each of them is judged by what was read', async ({
  mounted: { file, clock, knows, asked },
}) => {
  writeFileSync(file, 'sec_second\r\n\n  sec_third  ');
  clock.now = 5_000;
  const answers = await Promise.all(Array.from({ length: 100 }, () => knows('sec_third')));
  expect(answers).toEqual(Array(100).fill(true));
  expect(new Set(asked).size).toBe(2);
});

test.for<[string, (file: string) => void]>([
  ['empty', (file) => writeFileSync(file, ' \n')],
  ['missing', (file) => rmSync(file)],
  [
    'a folder',
    (file) => {
      rmSync(file);
      mkdirSync(file);
    },
  ],
  ['no text', (file) => writeFileSync(file, Buffer.from([0xff, 0xfe, 0xfd]))],
])('stay the last good ones where the file turns %s, and an error says so', async ([, turn], { mounted }) => {
  const { file, clock, knows, lines } = mounted;
  turn(file);
  clock.now = 60_000;
  expect(await knows('sec_first')).toBe(true);
  expect(await knows('')).toBeNull();
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([{ severity: 'ERROR', outcome: 'secret_stale' }]);
  expect(lines.join('')).not.toMatch(/sec_/);
  rmSync(file, { recursive: true, force: true });
  writeFileSync(file, 'sec_second');
  clock.now = 120_000;
  expect(await knows('sec_second')).toBe(true);
});

test('are waited for a second only, and a read that hangs is the only one for half a minute', async ({ mounted }) => {
  const { file, clock, knows, log } = mounted;
  rmSync(file);
  execFileSync('mkfifo', [file]); // opening it waits for who writes
  clock.now = 60_000;
  expect(await Promise.all([knows('sec_first'), knows('sec_second')])).toEqual([true, null]);
  expect(log()).toMatchObject([{ severity: 'ERROR', outcome: 'secret_stale' }]);
  clock.now += 29_999;
  expect([await knows('sec_first'), await knows('sec_forged')]).toEqual([true, null]);
  expect(log()).toHaveLength(1); // each read that hangs would say so
  writeFileSync(file, 'sec_second'); // what hung goes on
  await expect.poll(() => knows('sec_second')).toBe(true);
});

test('are read all the same once a read has hung for half a minute, and what hung changes nothing when it ends', async ({
  mounted,
}) => {
  const { file, clock, knows } = mounted;
  rmSync(file);
  execFileSync('mkfifo', [`${file}.old`]);
  renameSync(`${file}.old`, file);
  clock.now = 60_000;
  expect(await knows('sec_first')).toBe(true);
  renameSync(file, `${file}.old`);
  writeFileSync(file, 'sec_second');
  clock.now += 30_000;
  expect(await knows('sec_second')).toBe(true);
  writeFileSync(`${file}.old`, 'sec_first'); // what hung goes on
  clock.now += 60_000;
  await expect.poll(async () => (await knows('sec_second')) === true && (await knows('sec_first')) === null).toBe(true);
  writeFileSync(file, 'sec_third');
  clock.now += 60_000;
  expect(await knows('sec_third')).toBe(true);
});

test('have two reads that hang at most: threads are few', async ({ mounted }) => {
  const { file, clock, knows, log } = mounted;
  rmSync(file);
  execFileSync('mkfifo', [file]);
  clock.now = 60_000;
  for (let again = 0; again < 5; again += 1) {
    expect(await knows('sec_first')).toBe(true);
    clock.now += 60_000;
  }
  expect(log()).toHaveLength(2);
  renameSync(file, `${file}.old`);
  writeFileSync(file, 'sec_second');
  expect(await knows('sec_second')).toBeNull();
  writeFileSync(`${file}.old`, 'sec_first'); // both go on
  await expect.poll(() => knows('sec_second')).toBe(true);
});

test('tell in one line when they change, how many there are and which, but not what they are', async ({ mounted }) => {
  const { file, clock, knows, lines, log } = mounted;
  clock.now = 60_000;
  expect(await knows('sec_first')).toBe(true);
  expect(lines).toEqual([]); // read again, and the same
  writeFileSync(file, 'sec_first\nsec_second');
  clock.now = 120_000;
  expect(await knows('sec_second')).toBe(true);
  const [{ severity, outcome, message }] = log();
  expect([log().length, severity, outcome]).toEqual([1, 'NOTICE', 'secret_changed']);
  const [, first, again, second] =
    /: 1 \(([0-9a-f]{8})\) before, 2 \(([0-9a-f]{8}), ([0-9a-f]{8})\) now\.$/.exec(message) ?? [];
  expect(first).toBe(again);
  expect(second).not.toBe(first);
  expect(message).not.toContain('sec_');
});

test('that look wrong are warned about, at the start and when they replace good ones', async ({ mounted }) => {
  const { file, clock, knows, lines, log } = mounted;
  const start: string[] = [];
  new Secrets(
    { secrets: ['"sec_quoted"'] },
    cloudLog('ingest', (line) => start.push(line)),
    () => 0,
  );
  writeFileSync(file, 'sec_new,sec_old');
  clock.now = 60_000;
  expect(await knows('sec_new,sec_old')).toBe(true);
  expect(JSON.parse(start.join())).toMatchObject({ severity: 'WARNING', outcome: 'secret_suspicious' });
  expect(log()).toMatchObject([
    { severity: 'NOTICE', outcome: 'secret_changed' },
    { severity: 'WARNING', outcome: 'secret_suspicious', message: expect.stringContaining('comma') },
  ]);
  expect([...start, ...lines].join('')).not.toMatch(/sec_/);
});

test('from the environment are never read again', async () => {
  const clock = { now: 0 };
  const source = secretSource({ HERON_SHARED_SECRET: 'sec_first\nsec_second' });
  const secrets = new Secrets(
    source,
    () => {},
    () => clock.now,
  );
  clock.now = 1e9;
  expect(await secrets.find((known) => known.join())).toBe('sec_first,sec_second');
  expect(await secrets.find(() => null)).toBeNull();
});
