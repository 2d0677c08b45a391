import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { GooglePublisher } from '../bus/google.ts';
import { GoogleSubscriber } from '../bus/google-subscriber.ts';
import { provision, UNTIRING } from '../bus/provision.ts';
import { clock } from '../clock.ts';
import { busConfig, type Env } from '../config.ts';
import { within } from '../deadline.ts';
import { eventOf } from '../events/event.ts';
import { sampleWebhook } from '../heron/sample.ts';
import { PROJECTOR } from '../projector/projector.ts';
import { FirestoreStore } from '../store/firestore.ts';
import {
  accepts,
  answers,
  EMULATOR_VARIABLE,
  type Emulator,
  type EmulatorName,
  freePort,
  startEmulator,
} from './emulators.ts';
import { appliesFilters, FILTER_PROBE, filterNotes } from './filters.ts';
import { type LocalSubscriber, NotStarted, type Running, type RunOptions, topologies } from './running.ts';
import { bytesNote, keepsBytes } from './unwrapped.ts';

const SERVE = join(import.meta.dirname, 'serve.ts');

/** What takes longer than this to start is told of: on a busy machine all is slow, and nothing is given up for that. */
const PATIENCE_MS = 15_000;
/** Functions drain for up to 8 s. */
const DRAIN_MS = 9_000;

/**
 * Each function in a process of its own, as in production, over Google's emulators.
 * @returns null where it was stopped before it was ready.
 */
export async function runProcesses(
  emulators: Readonly<Record<EmulatorName, Emulator>>,
  { env, webhookPort, queryPort, subscribers, onLog, onNote }: RunOptions,
  stopping: Promise<undefined>,
): Promise<Running | null> {
  const functions: ChildProcess[] = [];
  const servers: ChildProcess[] = [];
  let stopped = false;
  let fail: (why: string) => void = () => {};
  const failed = new Promise<string>((resolve) => {
    fail = resolve;
  });
  // Whatever ends this process, nothing stays behind.
  const kill = () => {
    for (const child of [...functions, ...servers]) child.kill('SIGKILL');
  };
  process.once('exit', kill);
  const stop = async () => {
    stopped = true;
    await end(functions, DRAIN_MS);
    await end(servers, 2_000);
    process.off('exit', kill);
  };

  const emulator = async (name: EmulatorName): Promise<string> => {
    const found = emulators[name];
    switch (found.kind) {
      case 'running':
        // On a busy machine one that runs is slow; where there is none that is known at once.
        if (await answers(`http://${found.host}/`, PATIENCE_MS)) return found.host;
        throw new NotStarted(
          `${found.variable} is ${found.host}, where nothing answers: start that emulator, or unset the variable.`,
        );
      case 'installed': {
        onNote(`Starting the ${name} emulator …`);
        const { host, child, ready } = await startEmulator(name, found.command);
        servers.push(child);
        if (stopped) child.kill('SIGKILL');
        await ready;
        child.once('exit', (code, signal) => {
          if (stopped) return;
          const consequence = name === 'Pub/Sub' ? 'webhooks are answered 503' : 'states can be neither kept nor read';
          onNote(
            `The ${name} emulator ended (${signal ?? `code ${code}`}): ${consequence}. Stop this and start again.`,
          );
        });
        return host;
      }
      case 'missing':
        throw new NotStarted(`The ${name} emulator is missing: ${found.why}.`);
      default:
        return found satisfies never;
    }
  };

  const start = async () => {
    const [pubsub, firestore, projectorPort] = await Promise.all([
      emulator('Pub/Sub'),
      emulator('Firestore'),
      freePort(),
    ]);
    const hosts = { [EMULATOR_VARIABLE['Pub/Sub']]: pubsub, [EMULATOR_VARIABLE.Firestore]: firestore };
    // Google's libraries look for the emulators, and for a metadata server that is not there, in the environment.
    Object.assign(process.env, hosts, { METADATA_SERVER_DETECTION: 'none' });
    const childEnv = { ...env, ...hosts, METADATA_SERVER_DETECTION: 'none', NODE_ENV: 'production' };

    const launch = async (target: string, port: number) => {
      const args = [SERVE, `--target=${target}`, `--port=${port}`];
      // In a group of its own: Ctrl-C reaches this process only, which stops the others in order.
      const child = spawn(process.execPath, args, { env: childEnv, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
      functions.push(child);
      if (stopped) child.kill('SIGKILL');
      for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', onLog);
      child.once('exit', (code, signal) => {
        if (!stopped) fail(`${target} ended (${signal ?? `code ${code}`}), and with it everything.`);
      });
      const slow = setTimeout(() => onNote(`Still waiting for ${target} to start …`), PATIENCE_MS);
      try {
        for (; !stopped && !(await accepts(port)); await sleep(20))
          if (child.exitCode !== null || child.signalCode !== null) throw new NotStarted(`${target} did not start.`);
      } finally {
        clearTimeout(slow);
      }
    };
    // Nobody waits for what is found out about the emulator: it is told when it is known.
    const tell = (line: string) => {
      if (!stopped) onNote(line);
    };
    void tellOfFilters(subscribers, childEnv, tell);
    const warm = warmUp(() => stopped).catch(() => {});
    await Promise.all([
      within(PATIENCE_MS, warm, () =>
        tell('The Firestore emulator has not made its first transaction yet: states are there once it has.'),
      ),
      ...topologies(projectorPort, subscribers).map((each) => provision(busConfig(env), each, UNTIRING)),
      launch('ingest', webhookPort),
      launch('query', queryPort),
      launch(PROJECTOR, projectorPort),
    ]);
    await answers(`http://127.0.0.1:${queryPort}/end-users/myenduser`);
    void tellOfBytes(subscribers, childEnv, tell);
    return `Pub/Sub emulator at ${pubsub}, Firestore emulator at ${firestore}.`;
  };

  try {
    const backing = await Promise.race([start(), stopping]);
    if (backing !== undefined) return { backing, failed, stop };
  } catch (error) {
    await stop();
    if (error instanceof NotStarted) throw error;
    throw new NotStarted(error instanceof Error ? error.message : String(error));
  }
  await stop();
  return null;
}

/**
 * Firestore's emulator takes seconds for its first transaction, on a busy machine many, and the first webhook should not.
 * In a project of its own, which the emulator keeps apart.
 */
async function warmUp(isStopped: () => boolean): Promise<void> {
  const store = new FirestoreStore({ projectId: 'heron-warm-up', databaseId: '(default)' }, clock);
  const webhook = sampleWebhook('end_user.created', 'warm-up', Date.now());
  const event = eventOf(Buffer.from(JSON.stringify(webhook)), clock());
  const attempt = () => store.append([event]).catch(() => null);
  try {
    while (!isStopped() && (await attempt()) === null) await sleep(200);
  } finally {
    await store.close();
  }
}

/** Finds out whether the emulator keeps all bytes, where there is a subscriber. Tells nothing where it cannot. */
async function tellOfBytes(
  subscribers: readonly LocalSubscriber[],
  env: Env,
  onNote: (line: string) => void,
): Promise<void> {
  if (subscribers.length === 0) return;
  const config = { projectId: `heron-probe-${randomUUID().slice(0, 8)}`, topicPrefix: '' };
  const publisher = new GooglePublisher(config, env);
  try {
    if ((await keepsBytes(publisher, (each) => provision(config, each))) === false)
      onNote(bytesNote(subscribers.map(({ name }) => name)));
  } catch {
    // What runs is no worse for it.
  } finally {
    await publisher.close().catch(() => {});
  }
}

/** Finds out whether the emulator applies filters, where a subscriber has one. Never rejects. */
async function tellOfFilters(
  subscribers: readonly LocalSubscriber[],
  env: Env,
  onNote: (line: string) => void,
): Promise<void> {
  if (!subscribers.some(({ filter }) => filter !== undefined)) return;
  // Of its own: who starts at the same time over the same emulator would take what is published here.
  const config = { projectId: `heron-probe-${randomUUID().slice(0, 8)}`, topicPrefix: '' };
  const [publisher, subscriber] = [new GooglePublisher(config, env), new GoogleSubscriber(config)];
  try {
    const applies = await provision(config, FILTER_PROBE)
      .then(() => appliesFilters(publisher, subscriber))
      .catch(() => null);
    for (const each of filterNotes(subscribers, 'this Pub/Sub emulator', applies)) onNote(each);
  } finally {
    await Promise.allSettled([publisher.close(), subscriber.close()]);
  }
}

/** Asks processes to end, and makes them after a while. */
async function end(children: readonly ChildProcess[], patience: number): Promise<void> {
  const living = children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
  const exits = Promise.all(living.map((child) => once(child, 'exit')));
  for (const child of living) child.kill('SIGTERM');
  const overdue = setTimeout(() => {
    for (const child of living) child.kill('SIGKILL');
  }, patience);
  await exits;
  clearTimeout(overdue);
}
