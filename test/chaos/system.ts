import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  accepts,
  EMULATOR_VARIABLE,
  type EmulatorName,
  findEmulator,
  freePort,
  startEmulator,
} from '../../functions/local/emulators.ts';
import { proxyTo, type TcpProxy } from '../proxy.ts';
import { type GrpcProxy, grpcProxyTo } from './grpc-proxy.ts';
import { SECRET } from './webhooks.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const FRAMEWORK = join(dirname(createRequire(import.meta.url).resolve('@google-cloud/functions-framework')), 'main.js');
const START_MS = 60_000;
/** Functions drain for up to 8 s after SIGTERM: what takes so long hangs, however busy the machine is. */
const DRAIN_MS = 60_000;
/** Of the 6 s that a webhook has. */
const SLOW_MS = 4_000;

export const PROJECT = 'heron-chaos';

/** What can be made to fail, and in which ways. A fault resolves, once it is there, with what lifts it. */
export type Target = { readonly name: string; readonly faults: Readonly<Record<string, Fault>> };
type Fault = () => Promise<() => Promise<void> | void>;

export type System = {
  /** Where Heron posts to, whichever of the processes of ingest are alive. */
  readonly webhookUrl: string;
  readonly pushEndpoint: string;
  /** Where clients ask, whichever of the processes of query are alive. */
  readonly queryUrl: string;
  /** The processes of query. */
  readonly queries: readonly Departing[];
  /** Of the functions, and of whoever works on the same project through the same ways. */
  readonly env: NodeJS.ProcessEnv;
  readonly targets: readonly Target[];
  close(): Promise<void>;
};

/** A process with an address, that can be told to end. */
export type Departing = {
  readonly name: string;
  readonly address: string | null;
  /** Resolves with how it ended after SIGTERM, once another has taken its place. */
  replace(): Promise<number | NodeJS.Signals | null>;
};

export type Watcher = {
  /** What a function's process writes, line by line. */
  log(name: string, line: string): void;
  /** What must not happen, whatever fails around it. */
  problem(text: string): void;
};

/** The emulators that a run starts for itself, as it pauses them; or why it cannot. */
export function ownEmulators() {
  const env = { ...process.env, [EMULATOR_VARIABLE['Pub/Sub']]: undefined, [EMULATOR_VARIABLE.Firestore]: undefined };
  return { 'Pub/Sub': findEmulator('Pub/Sub', env), Firestore: findEmulator('Firestore', env) };
}

/**
 * Two processes each of `ingest`, `projector` and `query`, over emulators of their own, with a proxy on every way
 * between them. In this process, Google's libraries find the emulators themselves, past the proxies.
 */
export async function startSystem(watcher: Watcher): Promise<System> {
  const children = new Set<ChildProcess>();
  const proxies: (TcpProxy | GrpcProxy)[] = [];
  const killAll = () => {
    for (const child of children) child.kill('SIGKILL');
  };
  // Whatever ends this process, nothing stays behind.
  process.once('exit', killAll);
  const close = async () => {
    const exits = [...children].filter(isAlive).map((child) => once(child.removeAllListeners('exit'), 'exit'));
    killAll();
    await Promise.all(exits);
    await Promise.all(proxies.map((proxy) => proxy.close()));
  };
  const proxied = async (target: string | (() => string | null)) => {
    const proxy = await proxyTo(target);
    proxies.push(proxy);
    return proxy;
  };
  const emulator = async (name: EmulatorName) => {
    const found = ownEmulators()[name];
    if (found.kind !== 'installed') throw new Error(`The ${name} emulator is not installed here.`);
    const { host, child, ready } = await startEmulator(name, found.command);
    children.add(child);
    await ready;
    process.env[EMULATOR_VARIABLE[name]] = host;
    child.once('exit', () => watcher.problem(`The ${name} emulator ended.`));
    const service = await grpcProxyTo(host);
    proxies.push(service);
    return { child, service, proxy: await proxied(service.host) };
  };

  try {
    process.env.METADATA_SERVER_DETECTION = 'none';
    const [pubsub, firestore] = await Promise.all([emulator('Pub/Sub'), emulator('Firestore')]);
    const env: NodeJS.ProcessEnv = {
      PATH: process.env.PATH,
      NODE_ENV: 'production',
      METADATA_SERVER_DETECTION: 'none',
      GOOGLE_CLOUD_PROJECT: PROJECT,
      HERON_SHARED_SECRET: SECRET,
      [EMULATOR_VARIABLE['Pub/Sub']]: pubsub.proxy.host,
      [EMULATOR_VARIABLE.Firestore]: firestore.proxy.host,
    };
    const replicasOf = (target: string) =>
      [1, 2].map((n) => new Replica(target, `${target} ${n}`, env, watcher, children));
    const [ingest, projector, query] = [replicasOf('ingest'), replicasOf('projector'), replicasOf('query')];
    const all = [...ingest, ...projector, ...query];
    const webhooks = await proxied(inTurn(ingest));
    const pushes = await proxied(inTurn(projector));
    const questions = await proxied(inTurn(query));
    await Promise.all(all.map((replica) => replica.start()));
    return {
      webhookUrl: `http://${webhooks.host}/`,
      pushEndpoint: `http://${pushes.host}/`,
      queryUrl: `http://${questions.host}/`,
      queries: query,
      env,
      targets: [
        ...all.map((replica) => replica.target()),
        wayTo('ingest', webhooks),
        // Pub/Sub gives a push up at its ack deadline; its emulator would wait for ever, and in the end push no more.
        wayTo('projector', pushes, async () => {
          await pushes.cut();
          await pushes.restore();
        }),
        wayTo('query', questions),
        wayTo('Pub/Sub', pubsub.proxy),
        wayTo('Firestore', firestore.proxy),
        { name: 'Pub/Sub', faults: { paused: paused(() => pubsub.child), ...strained(pubsub.service) } },
        { name: 'Firestore', faults: { paused: paused(() => firestore.child), ...strained(firestore.service) } },
      ],
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** One process of a function, and those that come after it. */
class Replica {
  readonly #function: string;
  readonly #name: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #watcher: Watcher;
  readonly #children: Set<ChildProcess>;
  #child: ChildProcess | undefined;
  /** `host:port` while it listens. */
  address: string | null = null;

  constructor(target: string, name: string, env: NodeJS.ProcessEnv, watcher: Watcher, children: Set<ChildProcess>) {
    this.#function = target;
    this.#name = name;
    this.#env = env;
    this.#watcher = watcher;
    this.#children = children;
  }

  async start(): Promise<void> {
    const port = await freePort();
    const args = [FRAMEWORK, `--target=${this.#function}`, `--port=${port}`, `--source=${ROOT}`];
    // In a group of its own: Ctrl-C reaches this process only.
    const child = spawn(process.execPath, args, { env: this.#env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    this.#child = child;
    this.#children.add(child);
    createInterface({ input: child.stdout }).on('line', (line) => this.#read(line));
    createInterface({ input: child.stderr }).on('line', (line) => this.#watcher.problem(`${this.#name}: ${line}`));
    child.once('exit', (code, signal) => {
      this.#children.delete(child);
      if (this.#child !== child) return; // it was meant to
      this.address = null;
      this.#watcher.problem(`${this.#name} ended by itself (${signal ?? `code ${code}`}).`);
    });
    for (const deadline = Date.now() + START_MS; !(await accepts(port)); await sleep(50)) {
      if (!isAlive(child)) throw new Error(`${this.#name} did not start.`);
      if (Date.now() > deadline) throw new Error(`${this.#name} did not listen within ${START_MS / 1000} s.`);
    }
    this.address = `127.0.0.1:${port}`;
  }

  target(): Target {
    return {
      name: this.#name,
      faults: {
        killed: () => this.#ended('SIGKILL'),
        replaced: () => this.#ended('SIGTERM'),
        paused: paused(() => this.#child),
      },
    };
  }

  get name(): string {
    return this.#name;
  }

  async replace(): Promise<number | NodeJS.Signals | null> {
    const child = this.#child;
    const begin = await this.#ended('SIGTERM');
    await begin();
    return child?.exitCode ?? child?.signalCode ?? null;
  }

  async #ended(signal: 'SIGKILL' | 'SIGTERM') {
    const child = this.#child;
    this.#child = undefined;
    this.address = null;
    if (child !== undefined && isAlive(child)) {
      const exit = once(child, 'exit');
      child.kill(signal);
      const overdue = setTimeout(() => {
        this.#watcher.problem(`${this.#name} did not end within ${DRAIN_MS / 1000} s of SIGTERM.`);
        child.kill('SIGKILL');
      }, DRAIN_MS);
      await exit;
      clearTimeout(overdue);
    }
    return () => this.start();
  }

  #read(line: string): void {
    this.#watcher.log(this.#name, line);
    if (line.includes('"severity":"CRITICAL"')) this.#watcher.problem(`${this.#name}: ${line}`);
  }
}

/** A service that answers, and late, or with how much is asked of it: neither is an outage. */
function strained(service: GrpcProxy): Readonly<Record<string, Fault>> {
  return {
    'slow to answer': async () => {
      service.slow(SLOW_MS);
      return service.restore;
    },
    'out of quota': async () => {
      service.exhaust();
      return service.restore;
    },
  };
}

/** Sends each connection to the next of those that listen, as a load balancer does. */
function inTurn(replicas: readonly Replica[]): () => string | null {
  let turn = 0;
  return () => {
    const addresses = replicas.flatMap(({ address }) => address ?? []);
    return addresses[turn++ % addresses.length] ?? null;
  };
}

/** @param revive what ends a silence: by itself only for connections made after it. */
function wayTo(name: string, proxy: TcpProxy, revive = () => proxy.restore()): Target {
  const restore = () => proxy.restore();
  return {
    name: `the way to ${name}`,
    faults: {
      cut: async () => {
        await proxy.cut();
        return restore;
      },
      slow: async () => {
        proxy.delay(200);
        return restore;
      },
      silent: async () => {
        proxy.silence();
        return revive;
      },
      'half-open': async () => {
        proxy.halfOpen();
        return revive;
      },
    },
  };
}

function paused(child: () => ChildProcess | undefined): Fault {
  return async () => {
    const stopped = child();
    stopped?.kill('SIGSTOP');
    return () => {
      stopped?.kill('SIGCONT');
    };
  };
}

function isAlive({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode === null && signalCode === null;
}
