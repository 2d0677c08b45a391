import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { accepts, freePort } from '../../functions/local/emulators.ts';

const FRAMEWORK = join(dirname(createRequire(import.meta.url).resolve('@google-cloud/functions-framework')), 'main.js');
const READY_MS = 30_000;
/** Of what `/proc` counts CPU time in. Source: `getconf CLK_TCK`, 100 on every Linux that Node runs on. */
const TICKS_A_SECOND = 100;

/** How a server is started that listens on a port. */
export type Command = (port: number) => {
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
};

/** A function on the functions framework, found in a folder. @param nodeOptions as deployed, beside its configuration. */
export function framework(source: string, target: string, env: Readonly<Record<string, string>> = {}): Command {
  return (port) => ({
    program: process.execPath,
    args: [FRAMEWORK, `--target=${target}`, `--port=${port}`, `--source=${source}`],
    env: { ...env, FUNCTION_TARGET: target, NODE_ENV: 'production' },
    cwd: source, // which what runtime.json names is relative to
  });
}

/** A server in a process of its own, whose costs the operating system counts. */
export class Subject {
  readonly port: number;
  readonly #child: ChildProcess;

  private constructor(port: number, child: ChildProcess) {
    this.port = port;
    this.#child = child;
  }

  /** Resolves as soon as it accepts connections. */
  static async start(command: Command): Promise<Subject> {
    const port = await freePort();
    const { program, args, env, cwd } = command(port);
    // Its lines are read by nobody, but written: a log costs what it costs.
    const child = spawn(program, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const subject = new Subject(port, child);
    const late = performance.now() + READY_MS;
    while (!(await accepts(port))) {
      if (child.exitCode !== null || performance.now() > late) {
        child.kill('SIGKILL');
        throw new Error(`${program} ${args.join(' ')} did not start.`);
      }
      await sleep(1);
    }
    return subject;
  }

  /** CPU seconds so far, of all its threads and of what it has started, in user and kernel mode. */
  cpu(): number {
    return cpuOf(this.pid);
  }

  /** Resident memory now, in bytes. */
  rss(): number {
    return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))?.[1]) * 1024;
  }

  /** The most resident memory so far, in bytes. */
  peakRss(): number {
    return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))?.[1]) * 1024;
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('It did not start.');
    return this.#child.pid;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exit;
  }
}

function cpuOf(pid: number): number {
  // The name, in parentheses, may hold spaces; utime and stime are the 14th and 15th fields, children's the next two.
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
  const own = Number(fields[11]) + Number(fields[12]);
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ').filter(Boolean);
  return own / TICKS_A_SECOND + children.reduce((sum, child) => sum + cpuOf(Number(child)), 0);
}
