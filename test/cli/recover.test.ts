import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { provision } from '../../functions/bus/provision.ts';
import { topology } from '../../functions/bus/topology.ts';
import { DEPRECATED_TOPICS, HERON_TOPICS } from '../../functions/heron/topics.ts';
import { hasFirestore, hasPubSub, newProject } from '../emulators.ts';
import { HERON, heron } from '../end-to-end/local.ts';
import { HeronStandIn, type StandInAttempt } from '../recover/heron-stand-in.ts';
import { until } from '../until.ts';

/** What gives a program a terminal (util-linux). */
const hasScript = process.platform === 'linux' && spawnSync('script', ['--version']).status === 0;

let standIn: HeronStandIn;
let env: NodeJS.ProcessEnv;

beforeEach(async () => {
  standIn = new HeronStandIn();
  const url = await standIn.start();
  env = { ...process.env, GOOGLE_CLOUD_PROJECT: newProject(), HERON_API_KEY: 'key_test', HERON_API_URL: url };
});
afterEach(() => standIn.stop());

describe.skipIf(!hasFirestore || !hasPubSub)('heron recover', { timeout: 120_000 }, () => {
  const attempt = (n: number, payload: unknown = null): StandInAttempt => ({
    heron_id: `evt_${n}`,
    topic: 'end_user.processed',
    created: new Date(Date.now() - 2_700_000).toISOString(),
    next_retry_at: null,
    payload,
  });
  const webhook = (n: number) => ({
    topic: 'end_user.processed',
    created: `2026-11-25T11:00:0${n}`,
    data: { heron_id: `eus_${n}`, status: 'processed' },
  });

  it('publishes what Heron gave up, once, and remembers it', async () => {
    const projectId = String(env.GOOGLE_CLOUD_PROJECT);
    const { topics } = topology('projector', 'http://projector.invalid/');
    await provision({ projectId, topicPrefix: '' }, { topics, subscriptions: [] });
    standIn.attempts = [attempt(1, webhook(1)), attempt(2, webhook(2)), attempt(3)];

    const dry = await heron(['recover', '--dry-run', '--json'], env);
    expect(dry.code).toBe(0);
    expect(JSON.parse(dry.stdout)).toMatchObject({ recovered: 2, resend_requested: 1, dry_run: true });
    expect(standIn.resent).toEqual([]);

    const lines = (...words: string[]) =>
      words.map((word, n) => `${word} +end_user\\.processed +evt_${n + 1}\\n`).join('');
    expect((await heron(['recover', '--dry-run'], env)).stdout).toMatch(
      new RegExp(
        `^${lines('to bring in', 'to bring in', 'to ask for again')}3 failed attempts .*: 2 would be brought in, 1 would`,
      ),
    );

    standIn.attempts.push(attempt(4, webhook(4)));
    const first = await heron(['recover'], env);
    expect(first.code).toBe(0);
    expect(first.stdout).toMatch(
      new RegExp(
        `^${lines('brought in', 'brought in', 'asked for again', 'brought in')}4 failed attempts .*: 3 brought in, 1 asked`,
      ),
    );
    standIn.attempts.push(attempt(5, webhook(5)));
    const second = await heron(['recover', '--json'], env);
    expect({ code: second.code, ...JSON.parse(second.stdout) }).toMatchObject({
      code: 0,
      attempts: 5,
      recovered: 1,
      settled: 4,
      complete: true,
    });
    const again = await heron(['recover'], env);
    expect(again).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^5 failed attempts .* 5 dealt with before/),
    });
    expect(standIn.resent).toEqual(['evt_3']);
  });

  it('says in one line that the key is refused', async () => {
    const { code, stdout, stderr } = await heron(['recover'], { ...env, HERON_API_KEY: 'wrong' });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/heron: GET \/webhooks\/deliveries: Heron's API answered 403 .*HERON_API_KEY/);
    expect(stderr).not.toMatch(/wrong|\n {4}at /);
  });

  it('without a key says what to set', async () => {
    const { HERON_API_KEY: _, ...without } = env;
    expect(await heron(['recover'], without)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('HERON_API_KEY'),
    });
  });
});

describe('heron webhooks', () => {
  const HERE = 'https://ingest.example/';

  beforeEach(() => {
    standIn.topics = ['end_user.processed', 'end_user.failed', 'end_user.transactions_updated'];
    standIn.webhooks = [
      { heron_id: 'wbh_a', topic: 'end_user.processed', url: HERE, is_enabled: false },
      { heron_id: 'wbh_b', topic: 'pdf.processed', url: HERE, is_enabled: true },
      { heron_id: 'wbh_c', topic: 'end_user.failed', url: 'https://elsewhere.example/', is_enabled: true },
    ];
  });

  it('lists what Heron sends where', async () => {
    const { code, stdout } = await heron(['webhooks', 'list'], env);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^end_user\.failed +on +https:\/\/elsewhere\.example\/$/m);
    expect(stdout).toMatch(/^end_user\.processed +off +https:\/\/ingest\.example\/$/m);
  });

  it('says how many topics go nowhere, and how they are sent: not of those that Heron asks to leave', async () => {
    const wanted = HERON_TOPICS.filter((topic) => !DEPRECATED_TOPICS.includes(topic));
    expect(wanted.length).toBeLessThan(HERON_TOPICS.length);
    const note = `${wanted.length - 2} of ${wanted.length} topics .* nowhere: heron webhooks register --all --url URL`;
    expect((await heron(['webhooks', 'list'], env)).stderr).toMatch(new RegExp(`^${note}`));
    standIn.webhooks = wanted.map((topic) => ({ heron_id: `wbh_${topic}`, topic, url: HERE, is_enabled: true }));
    expect((await heron(['webhooks', 'list'], env)).stderr).toBe('');
  });

  it('shows a plan and changes nothing until it is agreed to', async () => {
    const args = ['webhooks', 'register', '--all', '--url', HERE];
    const dry = await heron([...args, '--dry-run'], env);
    expect(dry).toMatchObject({ code: 0 });
    expect(dry.stdout).toMatch(/^enable +end_user\.processed$/m);
    expect(dry.stdout).toMatch(/^create +end_user\.failed$/m);
    expect(dry.stdout).not.toContain('transactions_updated');
    expect(dry.stdout).toMatch(/\n2 changes to make, and none made: leave out --dry-run for that\.\n$/);
    expect(await heron(args, env)).toMatchObject({ code: 2, stderr: expect.stringContaining('--yes') });
    expect(standIn.webhooks).toHaveLength(3);

    expect(await heron([...args, '--yes'], env)).toMatchObject({ code: 0 });
    const here = standIn.webhooks.filter(({ url }) => url === HERE);
    expect(here.map(({ topic, is_enabled }) => [topic, is_enabled])).toEqual([
      ['end_user.processed', true],
      ['pdf.processed', true],
      ['end_user.failed', true],
    ]);
    expect(await heron([...args, '--yes'], env)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Nothing to change'),
    });
  });

  it.skipIf(!hasScript).each([
    ['n', 1, /Nothing was changed, as you wish/, ['pdf.processed']],
    ['y', 0, /2 changes made/, ['end_user.processed', 'pdf.processed', 'end_user.failed']],
  ])('asks whoever sits at a terminal, and does as it is told: %s', async (reply, code, told, sent) => {
    const line = `'${process.execPath}' '${HERON}' webhooks register --all --url ${HERE}`;
    const child = spawn('script', ['-qec', line, '/dev/null'], { env, stdio: 'pipe' });
    let printed = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      printed += text;
    });
    const ended = once(child, 'close');
    await until(() => printed.includes('[y/N]') || child.exitCode !== null);
    child.stdin.write(`${reply}\n`);
    expect(await ended).toEqual([code, null]);
    expect(printed).toMatch(told);
    const here = standIn.webhooks.filter(({ url, is_enabled }) => url === HERE && is_enabled);
    expect(here.map(({ topic }) => topic)).toEqual(sent);
  });

  it('deletes only where it is told to, and nothing that leads elsewhere', async () => {
    const args = [
      'webhooks',
      'register',
      '--topics',
      'end_user.processed',
      '--url',
      HERE,
      '--yes',
      '--delete-others',
      '--json',
    ];
    expect(JSON.parse((await heron(args, env)).stdout)).toMatchObject({ changed: 2, failed: 0 });
    expect(standIn.webhooks.map(({ heron_id }) => heron_id)).toEqual(['wbh_a', 'wbh_c']);
  });

  it('one topic that Heron refuses holds up no other', async () => {
    standIn.refusedTopics.add('end_user.failed');
    const { code, stdout, stderr } = await heron(['webhooks', 'register', '--all', '--url', HERE, '--yes'], env);
    expect({ code, stdout }).toMatchObject({ code: 1, stdout: expect.stringContaining('1 change made, 1 failed') });
    expect(stderr).toContain('end_user.failed: POST /webhooks');
  });

  it.each([
    [['--topics', 'no.such', '--url', HERE], /Heron does not send no\.such/],
    [['--all', '--topics', 'end_user.failed', '--url', HERE], /--topics.*--all/],
    [['--all', '--url', 'http://ingest.example/'], /https/],
  ])('refuses %j', async (args, told) => {
    const { code, stderr } = await heron(['webhooks', 'register', ...args], env);
    expect(code).toBe(2);
    expect(stderr).toMatch(told);
  });
});
