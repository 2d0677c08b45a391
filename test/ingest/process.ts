import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../functions/local/emulators.ts';
import { until } from '../until.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const FRAMEWORK = `${ROOT}node_modules/.bin/functions-framework`;

/** A function as a process of its own, started as in production. */
export class FunctionProcess {
  readonly port: number;
  readonly #child: ChildProcess;
  stdout = '';
  stderr = '';
  readonly exited: Promise<number | NodeJS.Signals>;

  private constructor(target: string, port: number, env: NodeJS.ProcessEnv, args: readonly string[]) {
    this.port = port;
    const child = spawn(process.execPath, [FRAMEWORK, `--target=${target}`, `--port=${port}`, ...args], {
      cwd: ROOT,
      env: { PATH: process.env.PATH, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.on('data', (chunk) => {
      this.stdout += chunk;
    });
    child.stderr.on('data', (chunk) => {
      this.stderr += chunk;
    });
    this.exited = new Promise((resolve) => {
      child.on('close', (code, signal) => resolve(code ?? signal ?? 'SIGKILL'));
    });
    this.#child = child;
  }

  /** @param afterTest what ends it, where it still runs. */
  static async spawn(
    target: string,
    env: NodeJS.ProcessEnv,
    afterTest: (callback: () => void) => void,
    args: readonly string[] = [],
  ): Promise<FunctionProcess> {
    const started = new FunctionProcess(target, await freePort(), env, args);
    afterTest(() => started.kill('SIGKILL'));
    return started;
  }

  /** Until it listens. */
  async ready(): Promise<this> {
    await until(() => this.stdout.includes('URL: '));
    return this;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Its memory at most so far, in MB (Linux only). */
  peak(): number {
    return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.#child.pid}/status`, 'utf8'))?.[1]) / 1024;
  }

  log(): Record<string, unknown>[] {
    const lines = this.stdout.split('\n').filter((line) => line.startsWith('{'));
    return lines.map((line) => JSON.parse(line));
  }
}
