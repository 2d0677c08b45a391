import { createServer } from 'node:net';
import { secretSource } from '../config.ts';
import { sign } from '../heron/signature.ts';
import { type Emulator, type EmulatorName, findEmulator } from './emulators.ts';
import { CommandFailed, note, print, styled } from './output.ts';

type Env = Readonly<Record<string, string | undefined>>;

export type DevOptions = { readonly port: number; readonly json: boolean };

/** Everything that runs, by either way of running it. */
export type Running = {
  /** In words, for people. */
  readonly backing: string;
  stop(): Promise<void>;
  /** Resolves, with why, when it cannot go on. */
  readonly failed: Promise<string>;
};

export type RunOptions = {
  readonly env: Env;
  readonly webhookPort: number;
  readonly queryPort: number;
  /** A line of a function's log. */
  readonly onLog: (line: string) => void;
  /** Something a person should know meanwhile. */
  readonly onNote: (line: string) => void;
};

/** Runs it all on this machine until it is interrupted. */
export async function dev({ port, json }: DevOptions, environment: Env): Promise<number> {
  const env: Env = {
    ...environment,
    GOOGLE_CLOUD_PROJECT: environment.GOOGLE_CLOUD_PROJECT || 'heron-local',
    ...(environment.HERON_SHARED_SECRET_FILE
      ? {}
      : { HERON_SHARED_SECRET: environment.HERON_SHARED_SECRET ?? 'sec_local' }),
  };
  const [webhookPort, queryPort] = [port, port + 1];
  const [secret] = secretSource(env).secrets;
  for (const taken of [webhookPort, queryPort])
    if (!(await isFree(taken)))
      throw new CommandFailed(`Port ${taken} is taken: stop what uses it, or choose others with --port N.`);

  const stopping = interrupted();
  const options: RunOptions = {
    env,
    webhookPort,
    queryPort,
    onLog: json ? print : (line) => print(readable(line)),
    onNote: note,
  };
  const running = await run(options, stopping);
  if (running === null) process.exit(0); // interrupted while it started: nothing is worth waiting for

  const webhook = `http://localhost:${webhookPort}/`;
  const queryApi = `http://localhost:${queryPort}/`;
  if (json) print(JSON.stringify({ webhook, query: queryApi, backing: running.backing }));
  else print(welcome(webhook, queryApi, running.backing, secret));

  const failure = await Promise.race([stopping, running.failed]);
  await running.stop();
  if (failure !== undefined) throw new CommandFailed(failure);
  return 0;
}

async function run(options: RunOptions, stopping: Promise<undefined>): Promise<Running | null> {
  const found: Readonly<Record<EmulatorName, Emulator>> = {
    'Pub/Sub': findEmulator('Pub/Sub', options.env),
    Firestore: findEmulator('Firestore', options.env),
  };
  const missing = Object.entries(found).flatMap(([name, emulator]) =>
    emulator.kind === 'missing' ? [`${name}'s emulator: ${emulator.why}`] : [],
  );
  if (missing.length === 0) return (await import('./processes.ts')).runProcesses(found, options, stopping);
  for (const why of missing) options.onNote(`Running in memory, without ${why}.`);
  return (await import('./in-memory.ts')).runInMemory(options);
}

/** Resolves when a person or the system wants it to stop. */
function interrupted(): Promise<undefined> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve(undefined));
  });
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false)).listen(port, () => server.close(() => resolve(true)));
  });
}

function welcome(webhook: string, queryApi: string, backing: string, secret: string): string {
  const body =
    '{"topic": "end_user.processed", "created": "2021-05-20T09:23:53+00:00", "data": {"heron_id": "eus_Eqio3Y4dhyNiMphrXwG58p", "end_user_id": "myenduser", "status": "processed"}, "meta": null}';
  return [
    '',
    `${styled('bold', 'Webhook')}  ${webhook}`,
    `${styled('bold', 'Query')}    ${queryApi}`,
    `${styled('dim', backing)}`,
    '',
    'Send a signed webhook, and ask where its end user stands:',
    '',
    `  curl -i ${webhook} -H 'Heron-Signature: ${sign(Buffer.from(body), secret)}' --data-binary '${body}'`,
    `  curl ${queryApi}end-users/myenduser`,
    '',
    'More webhooks: npx heron send end_user.failed --end-user anyone. Ctrl-C stops everything.',
    '',
  ].join('\n');
}

/** A log line for people: the time, the function, what happened to what. */
function readable(line: string): string {
  try {
    const entry = JSON.parse(line) as Record<string, unknown>;
    const { severity, message, function: name, topic, heron_id, error, milliseconds } = entry;
    const style = severity === 'INFO' ? 'dim' : severity === 'WARNING' ? 'yellow' : 'red';
    const facts = [topic, heron_id, error].filter((fact) => typeof fact === 'string');
    const took = typeof milliseconds === 'number' ? [`${milliseconds} ms`] : [];
    const time = new Date().toTimeString().slice(0, 8);
    return styled(style, [time, String(name).padEnd(9), message, ...facts, ...took].join(' '));
  } catch {
    return line;
  }
}
