import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { PubSub } from '@google-cloud/pubsub';
import { afterEach, beforeAll, describe, expect, it, onTestFailed } from 'vitest';
import { freePort } from '../../functions/local/emulators.ts';
import { hasPubSub, newProject } from '../emulators.ts';
import { leaveOut } from '../left-out.ts';
import { pushed, type Sent } from './given.ts';
import { type Push, pushes } from './vectors.ts';

const HERE = join(import.meta.dirname, 'receivers');
const ROOT = join(import.meta.dirname, '..', '..');
/** What the receivers need is kept from run to run. */
const CACHE = join(ROOT, 'node_modules', '.cache', 'receivers');
/** Fetching and building from nothing, on a busy machine. */
const PREPARING_MS = 15 * 60_000;

const exec = promisify(execFile);

type Receiver = {
  readonly language: string;
  /** What succeeds where what it takes is there; absent where Node is enough. */
  readonly needs?: readonly [program: string, ...args: string[]];
  /** Fetches what it needs, and says how to start it. */
  readonly prepare: (port: number) => Promise<readonly [string, ...string[]]>;
};

const FRAMEWORK = join(ROOT, 'node_modules', '@google-cloud', 'functions-framework', 'build', 'src', 'main.js');

const receivers: readonly Receiver[] = [
  { language: 'javascript', prepare: async () => [process.execPath, join(HERE, 'javascript', 'receiver.js')] },
  {
    language: 'framework',
    prepare: async (port) => {
      const source = join(HERE, 'framework', 'receiver.js');
      return [process.execPath, FRAMEWORK, '--target=receiver', `--source=${source}`, `--port=${port}`];
    },
  },
  {
    language: 'python',
    needs: ['python3', '-c', 'import ensurepip, venv'],
    prepare: async () => {
      const python = join(CACHE, 'python', 'bin', 'python');
      await exec('python3', ['-m', 'venv', join(CACHE, 'python')]);
      const install = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r'];
      await exec(python, [...install, join(HERE, 'python', 'requirements.txt')]);
      return [python, join(HERE, 'python', 'receiver.py')];
    },
  },
  {
    language: 'go',
    needs: ['go', 'version'],
    prepare: async () => {
      const program = join(CACHE, 'go', 'receiver');
      await mkdir(join(CACHE, 'go'), { recursive: true });
      await exec('go', ['build', '-buildvcs=false', '-o', program, '.'], { cwd: join(HERE, 'go') });
      return [program];
    },
  },
];

function isThere([program, ...args]: readonly [string, ...string[]]): boolean {
  try {
    execFileSync(program, args, { stdio: 'ignore' });
    return true;
  } catch (error) {
    const command = [program, ...args].join(' ');
    leaveOut(`\`${command}\` does not run`, 'the tests of the receiver that needs it', { cause: error });
    return false;
  }
}

/** Whether something listens; asks nothing of it, as it may take any request for an event. */
const listens = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });

describe.each(receivers)('the receiver in $language', ({ language, needs, prepare }) => {
  const missing = needs !== undefined && !isThere(needs);
  const running = new Set<ChildProcess>();
  let command: readonly [string, ...string[]];
  let port: number;
  beforeAll(async () => {
    if (missing) return;
    port = await freePort();
    command = await prepare(port);
  }, PREPARING_MS);
  afterEach(async () => {
    for (const child of running) {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    }
  });

  /** Starts it, and resolves once it answers. */
  const start = async (failures = 0) => {
    const [program, ...args] = command;
    const env = { ...process.env, PORT: String(port), FAILURES: String(failures) };
    const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const errors: string[] = [];
    createInterface({ input: child.stderr }).on('line', (line) => errors.push(line));
    onTestFailed(() => console.error(errors.join('\n')));
    running.add(child);
    child.once('exit', () => running.delete(child));
    const got: { id: string; type: string; data: unknown }[] = [];
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('{"')) got.push(JSON.parse(line));
    });
    const send = async ({ headers, body }: Sent) => {
      const answer = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', headers, body: Buffer.from(body) });
      await answer.arrayBuffer();
      return answer.status;
    };
    await expect.poll(() => listens(port)).toBe(true);
    return { got, send };
  };

  const differs = (vector: Push) => vector.differs?.[language] ?? vector.differs?.['*'];
  const sentOf = ({ headers, body_base64 }: Push): Sent => ({ headers, body: Buffer.from(body_base64, 'base64') });

  it.skipIf(missing)('gets what was sent, and refuses the rest, but where its SDK differs', async () => {
    const { got, send } = await start();
    const vectors = pushes.filter(({ kind }) => kind === 'unwrapped');
    const statuses: Record<string, string> = {};
    const expected: Record<string, string> = {};
    for (const vector of vectors) {
      const status = await send(sentOf(vector));
      const taken = (vector.event !== undefined) !== (differs(vector) !== undefined);
      statuses[vector.name] = status < 300 ? 'taken' : 'refused';
      expected[vector.name] = taken ? 'taken' : 'refused';
    }
    expect(statuses).toEqual(expected);
    const read = vectors.filter(({ event, undocumented }) => event !== undefined && undocumented === undefined);
    const ids = read.flatMap(({ event }) => event?.id ?? []);
    await expect.poll(() => got.map(({ id }) => id)).toEqual(expect.arrayContaining(ids));
    for (const { event, headers, body_base64 } of read) {
      const found = got.find(({ id }) => id === event?.id);
      expect(found).toMatchObject({ type: headers['ce-type'] });
      if (!headers['content-type']?.includes('json')) continue;
      expect(JSON.stringify(found?.data)).toBe(
        JSON.stringify(JSON.parse(Buffer.from(body_base64, 'base64').toString())),
      );
    }
  });

  it.skipIf(missing)('answers what makes Pub/Sub try again, and handles what comes twice once', async () => {
    const { got, send } = await start(1);
    const sent = pushed('end_user.processed');
    expect(await send(sent)).toBe(500);
    expect(await send(sent)).toBeLessThan(300);
    expect(await send(sent)).toBeLessThan(300);
    // What is told in order, and ends with another event, has no second telling of the first to come.
    const last = pushed('end_user.failed');
    expect(await send(last)).toBeLessThan(300);
    await expect.poll(() => got.at(-1)?.id).toBe(last.headers['ce-id']);
    expect(got.map(({ id }) => id)).toEqual([sent.headers['ce-id'], last.headers['ce-id']]);
  });

  it.skipIf(missing || !hasPubSub)(
    'gets what was published from an unwrapped subscription, though it refuses it at first',
    async () => {
      const { got } = await start(1);
      const pubsub = new PubSub({ projectId: newProject() });
      const [topic] = await pubsub.createTopic('end_user.processed');
      const [subscription] = await topic.createSubscription('ledger.end_user.processed', {
        pushConfig: { pushEndpoint: `http://127.0.0.1:${port}/`, noWrapper: { writeMetadata: true } },
      });
      try {
        const { headers, body } = pushed('end_user.processed', { heron_id: 'eus_1', end_user_id: 'Zoë' });
        const context = Object.entries(headers).filter(([name]) => name.startsWith('ce-'));
        const attributes = { ...Object.fromEntries(context), 'Content-Type': 'application/json' };
        await topic.publishMessage({ data: Buffer.from(body), attributes });
        await expect.poll(() => got.length).toBe(1);
        const data = JSON.parse(Buffer.from(body).toString());
        expect(got).toEqual([{ id: headers['ce-id'], type: 'end_user.processed', data }]);
      } finally {
        await subscription.delete();
        await pubsub.close();
      }
    },
  );
});
