import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse, request as send } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { freePort } from '../../functions/local/emulators.ts';
import { buildKit } from '../../functions/subscriber/kit/build.ts';
import { DEATH, type Death } from './example/death.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const EXAMPLE = join(import.meta.dirname, 'example');
const FRAMEWORK = join(dirname(createRequire(import.meta.url).resolve('@google-cloud/functions-framework')), 'main.js');

const exec = promisify(execFile);

/** The example in a folder of its own, with the package installed as it was built. Resolves with the folder. */
export async function installExample(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'example-'));
  await buildKit(directory);
  const folder = join(directory, 'underwriting');
  await cp(EXAMPLE, folder, { recursive: true, filter: (path) => !path.endsWith('.ts') });
  const args = ['install', '../heron-events.tgz', '--no-save', '--no-audit', '--no-fund', '--offline'];
  await exec('npm', args, { cwd: folder });
  await symlink(join(ROOT, 'node_modules', '@google-cloud'), join(folder, 'node_modules', '@google-cloud'));
  return folder;
}

export async function removeExample(folder: string): Promise<void> {
  await rm(dirname(folder), { recursive: true, force: true });
}

/** What `topics` in Terraform must say, as the service itself has it. */
export async function patternsOf(folder: string, env: NodeJS.ProcessEnv): Promise<readonly string[]> {
  const program = "const { service } = await import('./index.js'); console.log(JSON.stringify(service.patterns()))";
  const { stdout } = await exec(process.execPath, ['--input-type=module', '-e', program], { cwd: folder, env });
  return JSON.parse(stdout);
}

/** Another service, which takes all that it is told. */
export async function receiver(told: (eventId: string) => void) {
  const server = createServer((request, response) => {
    told(String(request.headers['ce-id']));
    request.resume().once('end', () => response.writeHead(204).end());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, close };
}

/** A push, and how the service answered it. */
export type Answered = { readonly id: string; readonly topic: string; readonly subscription: string; status: number };

/**
 * The example on the functions framework, behind what Cloud Run would be: a request waits until a process takes it, one
 * whose process dies is answered 503, and a process that has died is followed by another.
 */
export class ServedExample {
  readonly answered: Answered[] = [];
  /** Those that no process has answered yet. */
  readonly waiting = new Set<string>();
  /** How those that have died came to it. */
  readonly died: Death[] = [];
  readonly #acknowledged = new Map<string, number>();
  readonly name: string;
  readonly #folder: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #port: number;
  readonly #deaths: Death[];
  readonly #front = createServer((request, response) => void this.#forward(request, response));
  #child: ChildProcess | undefined;
  #isClosed = false;

  private constructor(folder: string, name: string, env: NodeJS.ProcessEnv, port: number, deaths: readonly Death[]) {
    this.#folder = folder;
    this.name = name;
    this.#env = env;
    this.#port = port;
    this.#deaths = [...deaths];
  }

  static async start(folder: string, name: string, env: NodeJS.ProcessEnv, deaths: readonly Death[] = []) {
    const served = new ServedExample(folder, name, { ...env, NAME: name }, await freePort(), deaths);
    served.#front.listen(0, '127.0.0.1');
    await once(served.#front, 'listening');
    served.#launch();
    return served;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#front.address() as AddressInfo).port}/`;
  }

  /** Ends the process: the one after it has these variables beside. */
  redeploy(env: NodeJS.ProcessEnv): void {
    Object.assign(this.#env, env);
    this.#child?.kill('SIGKILL');
  }

  /** How often each event was acknowledged. */
  get acknowledged(): ReadonlyMap<string, number> {
    return this.#acknowledged;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#front.close();
    this.#front.closeAllConnections();
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  #launch(): void {
    const death = this.#deaths.shift();
    const loaded = death === undefined ? [] : ['--import', pathToFileURL(join(EXAMPLE, 'death.ts')).href];
    const args = [...loaded, FRAMEWORK, `--target=${this.name}`, `--port=${this.#port}`, `--source=${this.#folder}`];
    const env = { ...this.#env, ...(death !== undefined && { [DEATH]: JSON.stringify(death) }) };
    this.#child = spawn(process.execPath, args, { cwd: this.#folder, env, stdio: ['ignore', 'ignore', 'inherit'] });
    this.#child.once('exit', () => {
      if (this.#isClosed) return;
      if (death !== undefined) this.died.push(death);
      this.#launch();
    });
  }

  async #forward(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { 'ce-id': id, 'ce-type': topic, 'x-goog-pubsub-subscription-name': subscription } = request.headers;
    const body = await buffer(request);
    const waiting = `${id} of ${subscription}, since ${new Date().toISOString()}`;
    this.waiting.add(waiting);
    const status = await this.#answerOf(request, body);
    this.waiting.delete(waiting);
    this.answered.push({ id: String(id), topic: String(topic), subscription: String(subscription), status });
    if (status === 204) this.#acknowledged.set(String(id), (this.#acknowledged.get(String(id)) ?? 0) + 1);
    response.writeHead(status).end();
  }

  async #answerOf({ method, headers }: IncomingMessage, body: Buffer): Promise<number> {
    while (!this.#isClosed) {
      try {
        return await new Promise<number>((resolve, reject) => {
          const options = { host: '127.0.0.1', port: this.#port, method, headers, agent: false };
          const sent = send(options, (answer) => {
            answer
              .resume()
              .once('end', () => resolve(answer.statusCode ?? 0))
              .once('error', reject);
          });
          sent.once('error', reject).end(body);
        });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ECONNREFUSED') return 503;
        await sleep(50); // none is there yet
      }
    }
    return 503;
  }
}
