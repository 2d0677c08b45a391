import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
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
    secrets.some((known) => {
      asked.push(known);
      return known.includes(secret);
    });
  return { folder, file, clock, lines, asked, knows };
}

test('are read again when they are 60 s old, and not before', async ({ mounted: { file, clock, knows } }) => {
  writeFileSync(file, 'sec_second');
  clock.now = 59_999;
  expect(await knows('sec_first')).toBe(true);
  clock.now = 60_000;
  expect(await knows('sec_first')).toBe(false);
  expect(await knows('sec_second')).toBe(true);
});

test('are read again at a mismatch, at most every 5 s', async ({ mounted: { file, clock, knows, asked } }) => {
  writeFileSync(file, 'sec_second');
  clock.now = 4_999;
  expect(await knows('sec_second')).toBe(false);
  expect(asked).toEqual([['sec_first']]);
  clock.now = 5_000;
  expect(await knows('sec_second')).toBe(true);
  expect(asked.slice(1)).toEqual([['sec_first'], ['sec_second']]);
  writeFileSync(file, 'sec_third');
  clock.now = 9_999;
  expect(await knows('sec_third')).toBe(false);
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
  expect(await knows('')).toBe(false);
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([{ severity: 'ERROR', outcome: 'secret_stale' }]);
  expect(lines.join('')).not.toMatch(/sec_/);
  rmSync(file, { recursive: true, force: true });
  writeFileSync(file, 'sec_second');
  clock.now = 120_000;
  expect(await knows('sec_second')).toBe(true);
});

test('are waited for a second only, and a read that hangs is the only one', async ({ mounted }) => {
  const { file, clock, knows, lines } = mounted;
  rmSync(file);
  execFileSync('mkfifo', [file]); // opening it waits for who writes
  clock.now = 60_000;
  const start = performance.now();
  const answers = await Promise.all([knows('sec_first'), knows('sec_second')]);
  expect(answers).toEqual([true, false]);
  expect(performance.now() - start).toBeGreaterThan(900);
  expect(performance.now() - start).toBeLessThan(1_500);
  for (let again = 0; again < 10; again += 1) {
    clock.now += 60_000;
    expect(await knows('sec_first')).toBe(true);
    expect(await knows('sec_forged')).toBe(false);
  }
  expect(performance.now() - start).toBeLessThan(1_600);
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([{ severity: 'ERROR', outcome: 'secret_stale' }]);
  clock.now = 60_000;
  writeFileSync(file, 'sec_second'); // what hung goes on
  await expect.poll(() => knows('sec_second')).toBe(true);
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
  expect(await secrets.some((known) => known.join() === 'sec_first,sec_second')).toBe(true);
  expect(await secrets.some(() => false)).toBe(false);
});
