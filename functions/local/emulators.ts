import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Env } from '../config.ts';

export type EmulatorName = 'Pub/Sub' | 'Firestore';

/** How to get one of Google's emulators on this machine: where it runs already, or what to start. */
export type Emulator =
  | { readonly kind: 'running'; readonly variable: string; readonly host: string }
  | { readonly kind: 'installed'; readonly command: (host: string, port: number) => readonly [string, ...string[]] }
  | { readonly kind: 'missing'; readonly why: string };

/** The variables by which Google's client libraries find an emulator. */
export const EMULATOR_VARIABLE: Readonly<Record<EmulatorName, string>> = {
  'Pub/Sub': 'PUBSUB_EMULATOR_HOST',
  Firestore: 'FIRESTORE_EMULATOR_HOST',
};

/** Seconds, alone; a minute on a busy machine. What ends is told at once. */
const READY_MS = 120_000;

/** Looks for an emulator: named by its variable, else inside a Google Cloud SDK. */
export function findEmulator(name: EmulatorName, env: Env): Emulator {
  const variable = EMULATOR_VARIABLE[name];
  const host = env[variable];
  if (host) return { kind: 'running', variable, host };
  const sdk = findSdk(env);
  if (sdk === null)
    return { kind: 'missing', why: 'no Google Cloud SDK was found (https://cloud.google.com/sdk/docs/install)' };
  const command = name === 'Pub/Sub' ? pubsubCommand(sdk) : firestoreCommand(sdk);
  const component = name === 'Pub/Sub' ? 'pubsub-emulator' : 'cloud-firestore-emulator';
  if (command === null)
    return { kind: 'missing', why: `the Google Cloud SDK lacks it (gcloud components install ${component})` };
  const java = findJava(env);
  if (java === null) return { kind: 'missing', why: 'it needs Java 11 or later, and there is none on PATH' };
  // Java itself, not the SDK's scripts: the Firestore one leaves its Java process behind when it is killed.
  return { kind: 'installed', command: (host, port) => [java, ...command(host, port)] };
}

export type Started = {
  /** `host:port` */
  readonly host: string;
  readonly child: ChildProcess;
  /** Resolves once it answers; rejects with an error that says in a line why it does not. */
  readonly ready: Promise<void>;
};

/** Starts an emulator; it is the caller's to end. In a group of its own, so that Ctrl-C does not reach it first. */
export async function startEmulator(
  name: EmulatorName,
  command: (host: string, port: number) => readonly [string, ...string[]],
): Promise<Started> {
  const port = await freePort();
  const [java, ...args] = command('127.0.0.1', port);
  const child = spawn(java, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      output = `${output}${chunk}`.slice(-2_000);
    });
  let failure: string | undefined;
  child.once('error', (error) => {
    failure = error.message;
  });
  child.once('exit', (code, signal) => {
    failure ??= `it ended with ${signal ?? `code ${code}`}: ${output.trim().split('\n').at(-1) ?? ''}`;
  });
  const answered = async () => {
    for (const deadline = Date.now() + READY_MS; !(await answers(`http://127.0.0.1:${port}/`)); await sleep(50)) {
      if (failure !== undefined) throw new Error(`The ${name} emulator did not start: ${failure}`);
      if (Date.now() > deadline) throw new Error(`The ${name} emulator did not answer within ${READY_MS / 1000} s.`);
    }
  };
  return { host: `127.0.0.1:${port}`, child, ready: answered() };
}

/** Whether anything speaks HTTP there, and within so long. */
export async function answers(url: string, milliseconds = 1_000): Promise<boolean> {
  try {
    await (await fetch(url, { signal: AbortSignal.timeout(milliseconds) })).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

/** Whether something listens there: asking over HTTP would show in the function's log. */
export function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const settle = (accepted: boolean) => {
      socket.destroy();
      resolve(accepted);
    };
    socket.once('connect', () => settle(true)).once('error', () => settle(false));
  });
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('No free port.');
  return address.port;
}

function pubsubCommand(sdk: string): ((host: string, port: number) => string[]) | null {
  const lib = join(sdk, 'platform', 'pubsub-emulator', 'lib');
  const jar = existsSync(lib) ? readdirSync(lib).find((file) => file.endsWith('-all.jar')) : undefined;
  return jar === undefined ? null : (host, port) => ['-jar', join(lib, jar), `--host=${host}`, `--port=${port}`];
}

function firestoreCommand(sdk: string): ((host: string, port: number) => string[]) | null {
  const jar = join(sdk, 'platform', 'cloud-firestore-emulator', 'cloud-firestore-emulator.jar');
  const main = 'com.google.cloud.datastore.emulator.firestore.CloudFirestore';
  return existsSync(jar)
    ? (host, port) => ['-Duser.language=en', '-cp', jar, main, `--host=${host}`, `--port=${port}`]
    : null;
}

/** The SDK's root: two folders above the gcloud that PATH leads to. */
function findSdk(env: Env): string | null {
  const gcloud = onPath('gcloud', env);
  const roots = [env.CLOUDSDK_ROOT_DIR, gcloud && dirname(dirname(realpathSync(gcloud)))];
  return roots.find((root) => root && existsSync(join(root, 'platform'))) ?? null;
}

function findJava(env: Env): string | null {
  const home = env.JAVA_HOME ? join(env.JAVA_HOME, 'bin', 'java') : null;
  const java = home !== null && existsSync(home) ? home : onPath('java', env);
  if (java === null) return null;
  try {
    execFileSync(java, ['-version'], { stdio: 'ignore' }); // macOS has a java that only says where to get one
    return java;
  } catch {
    return null;
  }
}

function onPath(program: string, env: Env): string | null {
  const directories = (env.PATH ?? '').split(delimiter).filter((directory) => directory !== '');
  return directories.map((directory) => join(directory, program)).find((file) => existsSync(file)) ?? null;
}
