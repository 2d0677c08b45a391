import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { until } from '../until.ts';

const ROOT = join(import.meta.dirname, '..', '..');
export const HERON = join(ROOT, 'functions', 'cli', 'main.ts');

type Env = Readonly<Record<string, string | undefined>>;

export type Local = {
  readonly webhook: string;
  readonly query: string;
  readonly backing: string;
  /** All that was printed. */
  readonly output: () => string;
  /** The processes that it started, by a word of their command line. */
  readonly process: (word: string) => number;
  readonly interrupt: (signal?: NodeJS.Signals) => Promise<{ code: number | null; left: string[] }>;
};

/** `heron dev`, as npm start runs it. */
export async function startLocal(env: Env, more: readonly string[] = []): Promise<Local> {
  const child = run(['dev', '--json', '--port', String(await twoPorts()), ...more], env);
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr])
    if (stream) createInterface({ input: stream }).on('line', (line) => lines.push(line));
  const output = () => lines.join('\n');
  const ready = () => lines.find((line) => line.startsWith('{"webhook"'));
  try {
    await until(() => ready() !== undefined || child.exitCode !== null);
  } catch {}
  const found = ready();
  if (found === undefined) {
    // Asked, not killed: it ends what it has started.
    child.kill('SIGTERM');
    if (child.exitCode === null) await once(child, 'exit');
    throw new Error(`heron dev did not start:\n${output()}`);
  }
  const addresses = JSON.parse(found) as { webhook: string; query: string; backing: string };
  const children = () => descendants(child.pid ?? 0);
  return {
    ...addresses,
    output,
    process: (word) => {
      const found = children().find(({ command }) => command.includes(word));
      if (found === undefined) throw new Error(`No process with ${word}.`);
      return found.pid;
    },
    interrupt: async (signal = 'SIGINT') => {
      const pids = children().map(({ pid }) => pid);
      if (child.exitCode === null) {
        child.kill(signal);
        await once(child, 'exit');
      }
      return { code: child.exitCode, left: alive(pids) };
    },
  };
}

/** Runs the CLI to its end. */
export async function heron(args: readonly string[], env: Env = process.env) {
  const child = run(args, env);
  let [stdout, stderr] = ['', ''];
  child.stdout?.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    stderr += chunk;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

function run(args: readonly string[], env: Env): ChildProcess {
  return spawn(process.execPath, [HERON, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
}

/** A PATH on which there is no Google Cloud SDK and no Java. */
export function withoutEmulators(): Env {
  const bin = mkdtempSync(join(tmpdir(), 'bin-'));
  symlinkSync(process.execPath, join(bin, 'node'));
  const { PUBSUB_EMULATOR_HOST, FIRESTORE_EMULATOR_HOST, CLOUDSDK_ROOT_DIR, JAVA_HOME, ...others } = process.env;
  return { ...others, PATH: bin };
}

/** The environment of someone who has the SDK, and no emulator running. */
export function withInstalledEmulators(): Env {
  const { PUBSUB_EMULATOR_HOST, FIRESTORE_EMULATOR_HOST, ...others } = process.env;
  return others;
}

/** A port that is free, and so is the next. */
export async function twoPorts(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    const free = await Promise.all([isFree(port), isFree(port + 1)]);
    if (free.every(Boolean)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false)).listen(port, () => server.close(() => resolve(true)));
  });
}

type ProcessInfo = { pid: number; parent: number; command: string };

/** From /proc, as a slim machine has no ps; from ps where there is no /proc. */
function processes(): ProcessInfo[] {
  const of = (line: string): ProcessInfo[] => {
    const [, pid, parent, command = ''] = /^\s*(\d+)\s+(\d+)\s+(.*)$/s.exec(line) ?? [];
    return pid === undefined ? [] : [{ pid: Number(pid), parent: Number(parent), command }];
  };
  if (!existsSync('/proc/self/stat'))
    return execFileSync('ps', ['-axo', 'pid=,ppid=,args='], { encoding: 'utf8' }).split('\n').flatMap(of);
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.flatMap((pid) => {
    try {
      const [, parent] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
      return of(`${pid} ${parent} ${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')}`);
    } catch {
      return []; // it has ended meanwhile
    }
  });
}

function descendants(root: number): ProcessInfo[] {
  const all = processes();
  const found = new Set([root]);
  for (let before = 0; before < found.size; ) {
    before = found.size;
    for (const { pid, parent } of all) if (found.has(parent)) found.add(pid);
  }
  return all.filter(({ pid }) => pid !== root && found.has(pid));
}

function alive(pids: readonly number[]): string[] {
  return pids
    .filter((pid) => {
      try {
        process.kill(pid, 0);
        return true;
      } catch {
        return false;
      }
    })
    .map(String);
}
