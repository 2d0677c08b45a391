import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventId } from '../../functions/events/event.ts';
import { findEmulator } from '../../functions/local/emulators.ts';
import vectors from '../heron/vectors.json' with { type: 'json' };
import { pause } from '../pause.ts';
import { until } from '../until.ts';
import { HERON, heron, type Local, startLocal, twoPorts, withInstalledEmulators, withoutEmulators } from './local.ts';

const SECRET = vectors.secret;
const [example] = vectors.accept;

const installed = (['Pub/Sub', 'Firestore'] as const).every(
  (name) => findEmulator(name, withInstalledEmulators()).kind === 'installed',
);

const hasCurl = spawnSync('curl', ['--version']).status === 0;

type Vector = { readonly body_base64: string; readonly signature: string | null };

function bodyOf(vector: Vector | undefined): Buffer {
  return Buffer.from(vector?.body_base64 ?? '', 'base64');
}

async function post(local: Local, vector: Vector): Promise<number> {
  const headers: Record<string, string> = vector.signature === null ? {} : { 'Heron-Signature': vector.signature };
  const response = await fetch(local.webhook, { method: 'POST', headers, body: bodyOf(vector) });
  await response.arrayBuffer();
  return response.status;
}

async function get(local: Local, path: string) {
  const response = await fetch(new URL(path, local.query));
  return { status: response.status, json: (await response.json()) as Record<string, unknown> };
}

/** What is true however it is run. */
function mainJob(start: () => Promise<Local>): () => Local {
  let local: Local;
  beforeAll(async () => {
    local = await start();
  });

  it('turns the specification’s own webhook into the end user’s status', async () => {
    expect(await post(local, example as Vector)).toBe(200);
    for (const id of ['myenduser', 'eus_Eqio3Y4dhyNiMphrXwG58p'])
      await expect
        .poll(async () => (await get(local, `/end-users/${id}`)).json)
        .toMatchObject({ status: 'processed', status_at: '2021-05-20T09:23:53Z' });
  });

  it('has every accepted vector in the log with exactly its bytes, and no rejected one', async () => {
    for (const vector of vectors.accept) expect(await post(local, vector)).toBe(200);
    for (const vector of vectors.reject) expect(await post(local, vector)).toBe(401);
    const accepted = new Set(vectors.accept.map((vector) => eventId(bodyOf(vector))));
    for (const vector of vectors.accept) {
      const url = new URL(`/events/${eventId(bodyOf(vector))}/body`, local.query);
      await expect.poll(async () => (await fetch(url)).status).toBe(200);
      expect(Buffer.from(await (await fetch(url)).arrayBuffer()).equals(bodyOf(vector))).toBe(true);
    }
    await sleep(200);
    for (const vector of vectors.reject) {
      const id = eventId(bodyOf(vector));
      // Some forgeries carry the body of an accepted one.
      if (!accepted.has(id)) expect((await get(local, `/events/${id}`)).status).toBe(404);
    }
  });

  it('answers 1,000 webhooks at 32 at a time with 200, and has 1,000 events in the log', async () => {
    const args = ['send', 'transactions.updated', '--end-user', 'busy', '--count', '1000', '--secret', SECRET];
    const sent = await heron([...args, '--url', local.webhook, '--json']);
    expect(JSON.parse(sent.stdout)).toMatchObject({ sent: 1000, failed: 0, statuses: { 200: 1000 } });
    expect(sent.code).toBe(0);
    await expect.poll(async () => (await get(local, '/end-users/busy')).json.event_count).toBe(1000);
  });

  it('takes a webhook by any name, and lets nobody ask by a stranger’s', async () => {
    const by = (address: string, body?: Buffer) =>
      new Promise<number | undefined>((resolve, reject) => {
        const headers = {
          Host: 'evil.example',
          ...(body && { 'Heron-Signature': (example as Vector).signature ?? '' }),
        };
        request(address, { method: body ? 'POST' : 'GET', headers }, (response) => {
          response.resume();
          resolve(response.statusCode);
        })
          .on('error', reject)
          .end(body);
      });
    expect(await by(local.webhook, bodyOf(example))).toBe(200);
    expect(await by(new URL('/end-users/myenduser', local.query).href)).toBe(403);
  });

  it('tells by the CLI where an end user stands', async () => {
    const status = await heron(['status', 'myenduser', '--url', local.query]);
    expect(status).toMatchObject({ code: 0, stdout: expect.stringMatching(/status +processed/) });
    expect(await heron(['status', 'nobody', '--url', local.query])).toMatchObject({ code: 1, stdout: '' });
  });
  return () => local;
}

describe('npm start without emulators', () => {
  const local = mainJob(() => startLocal({ ...withoutEmulators(), HERON_SHARED_SECRET: SECRET }));

  it('says what is in memory, and how to get the emulators', () => {
    expect(local().backing).toMatch(/in memory/);
    expect(local().output()).toMatch(/no Google Cloud SDK was found \(https:/);
  });

  it('stops at Ctrl-C with exit code 0', async () => {
    expect(await local().interrupt()).toEqual({ code: 0, left: [] });
  });
});

describe.skipIf(!installed)('npm start with emulators', () => {
  const local = mainJob(() => startLocal({ ...withInstalledEmulators(), HERON_SHARED_SECRET: SECRET }));
  afterAll(() => local().interrupt('SIGTERM'));

  const send = async (topic: string) => {
    const sent = await heron(['send', topic, '--secret', SECRET, '--url', local().webhook, '--json']);
    return { statuses: JSON.parse(sent.stdout).statuses };
  };

  it('says where the emulators are', () => {
    expect(local().backing).toMatch(/Pub\/Sub emulator at .*, Firestore emulator at/);
  });

  it('goes on answering 200 while Firestore is paused, and the states catch up', async () => {
    const firestore = local().process('firestore');
    await pause(firestore);
    try {
      const args = ['send', 'end_user.reviewed', '--end-user', 'patient', '--secret', SECRET, '--count', '20'];
      const sent = await heron([...args, '--url', local().webhook, '--json']);
      expect(JSON.parse(sent.stdout).statuses).toEqual({ 200: 20 });
    } finally {
      process.kill(firestore, 'SIGCONT');
    }
    await expect.poll(async () => (await get(local(), '/end-users/patient')).json.event_count).toBe(20);
  });

  it('answers 503 while Pub/Sub is paused, and 200 again', async () => {
    const pubsub = local().process('pubsub');
    await pause(pubsub);
    try {
      expect(await post(local(), example as Vector)).toBe(503);
    } finally {
      process.kill(pubsub, 'SIGCONT');
    }
    await expect.poll(() => post(local(), example as Vector)).toBe(200);
  });

  it('says in a line that an emulator was killed, and answers 503', async () => {
    process.kill(local().process('pubsub'), 'SIGKILL');
    await expect.poll(() => local().output()).toMatch(/^The Pub\/Sub emulator ended \(SIGKILL\): .*503.*$/m);
    expect((await send('end_user.created')).statuses).toEqual({ 503: 1 });
  });

  it('leaves no process behind at Ctrl-C, Java included', async () => {
    expect(await local().interrupt()).toEqual({ code: 0, left: [] });
  });
});

describe.each([
  ['without emulators', true, withoutEmulators()],
  ['with emulators', installed, withInstalledEmulators()],
])('what npm start prints, %s', (_, isHere, env) => {
  it.skipIf(!isHere || !hasCurl)('sends a webhook and says where its end user stands, pasted at once', async () => {
    const args = [HERON, 'dev', '--port', String(await twoPorts())];
    const child = spawn(process.execPath, args, { env: { ...env, HERON_SHARED_SECRET: SECRET }, stdio: 'pipe' });
    const ended = once(child, 'close');
    try {
      let printed = '';
      child.stdout.setEncoding('utf8').on('data', (text) => {
        printed += text;
      });
      await until(() => printed.includes('Ctrl-C stops everything') || child.exitCode !== null);
      const commands = printed.match(/^ {2}curl .*$/gm) ?? [];
      expect(commands).toHaveLength(2);
      const { stdout } = await promisify(execFile)('sh', ['-c', commands.join('\n')]);
      expect(stdout).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
      expect(stdout).toMatch(/"end_user_id":"myenduser","status":"processed"/);
      // What heron send makes up is about the same end user: two with one id would be a 409.
      const webhook = /http:\S+/.exec(printed)?.[0] ?? '';
      const url = /http:[^']+(?=end-users)/.exec(commands[1] ?? '')?.[0] ?? '';
      const sent = await heron(['send', 'end_user.failed', '--url', webhook], { ...env, HERON_SHARED_SECRET: SECRET });
      expect(sent.code).toBe(0);
      const waited = await heron(['wait', 'myenduser', '--for', 'failed', '--url', url], env);
      expect(waited).toMatchObject({ code: 0 });
    } finally {
      child.kill('SIGINT');
      await ended;
    }
  });
});

describe('npm start, where it cannot', () => {
  it('says that the port is taken, in a line', async () => {
    const env = { ...withoutEmulators(), HERON_SHARED_SECRET: SECRET };
    const first = await startLocal(env);
    const { port } = new URL(first.webhook);
    const second = await heron(['dev', '--port', port], env);
    expect(second).toMatchObject({
      code: 1,
      stderr: `heron: Port ${port} is taken: stop what uses it, or choose others with --port N.\n`,
    });
    await first.interrupt();
  });

  it('says that the emulator which the environment names does not answer', async () => {
    const env = { ...withoutEmulators(), PUBSUB_EMULATOR_HOST: '127.0.0.1:1', FIRESTORE_EMULATOR_HOST: '127.0.0.1:1' };
    const { code, stderr } = await heron(['dev', '--port', '29998'], env);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^heron: (PUBSUB|FIRESTORE)_EMULATOR_HOST is 127\.0\.0\.1:1, where nothing answers: .*\n$/);
  });

  it('says that the project is not one', async () => {
    const env = { ...withoutEmulators(), GOOGLE_CLOUD_PROJECT: 'X' };
    const { code, stderr } = await heron(['dev', '--port', '29998'], env);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^heron: GOOGLE_CLOUD_PROJECT is .*\n$/);
  });

  it('says that the secret is empty', async () => {
    const { code, stderr } = await heron(['dev', '--port', '29998'], {
      ...withoutEmulators(),
      HERON_SHARED_SECRET: ' ',
    });
    expect(code).toBe(2);
    expect(stderr).toMatch(/^heron: HERON_SHARED_SECRET is empty.*\n$/);
  });
});
