import { createServer } from 'node:net';
import { busConfig, type Env, secretSource, storeConfig } from '../config.ts';
import { sampleWebhook } from '../heron/sample.ts';
import { sign } from '../heron/signature.ts';
import { run } from '../local/run.ts';
import { type LocalSubscriber, NotStarted, type RunOptions } from '../local/running.ts';
import { SAMPLE_END_USER } from './arguments.ts';
import { CommandFailed } from './failure.ts';
import { harmless, inLine, note, print, printJson, styled, visible } from './output.ts';
import { LOCAL_PROJECT, LOCAL_SECRET } from './own-secrets.ts';

export type DevOptions = {
  readonly port: number;
  readonly subscriber: readonly LocalSubscriber[];
  /** By name. */
  readonly filter: readonly (readonly [string, string])[];
  readonly json: boolean;
};

/** Runs it all on this machine until it is interrupted. */
export async function dev({ port, subscriber, filter, json }: DevOptions, environment: Env): Promise<number> {
  const filters = new Map(filter);
  const nobody = [...filters.keys()].find((name) => !subscriber.some((each) => each.name === name));
  if (nobody !== undefined)
    throw new CommandFailed(`No --subscriber is named ${inLine(nobody)}, whose filter --filter gives.`, 'misused');
  const subscribers = subscriber.map((each) => {
    const own = filters.get(each.name);
    return own === undefined ? each : { ...each, filter: own };
  });
  const env: Env = {
    ...environment,
    GOOGLE_CLOUD_PROJECT: environment.GOOGLE_CLOUD_PROJECT || LOCAL_PROJECT,
    ...(environment.HERON_SHARED_SECRET_FILE
      ? {}
      : { HERON_SHARED_SECRET: environment.HERON_SHARED_SECRET ?? LOCAL_SECRET }),
  };
  const [webhookPort, queryPort] = [port, port + 1];
  const [secret] = secretSource(env).secrets;
  for (const read of [busConfig, storeConfig]) read(env); // says what is wrong before anything is started
  for (const taken of [webhookPort, queryPort])
    if (!(await isFree(taken)))
      throw new CommandFailed(
        `Port ${taken} is taken: stop what uses it, or choose others with --port N.`,
        'not-started',
      );

  const stopping = interrupted();
  const options: RunOptions = {
    env,
    webhookPort,
    queryPort,
    subscribers,
    onLog: json ? (line) => print(harmless(line)) : (line) => print(readable(line)),
    onNote: note,
  };
  const running = await run(options, stopping).catch((error) => {
    throw error instanceof NotStarted ? new CommandFailed(error.message, 'not-started') : error;
  });
  if (running === null) process.exit(0); // interrupted while it started: nothing is worth waiting for

  const webhook = `http://localhost:${webhookPort}/`;
  const queryApi = `http://localhost:${queryPort}/`;
  if (json) printJson({ webhook, query: queryApi, backing: running.backing, subscribers });
  else print(welcome(webhook, queryApi, running.backing, secret, subscribers));

  const failure = await Promise.race([stopping, running.failed]);
  await running.stop();
  if (failure !== undefined) throw new CommandFailed(failure);
  return 0;
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

function welcome(
  webhook: string,
  queryApi: string,
  backing: string,
  secret: string,
  subscribers: readonly LocalSubscriber[],
): string {
  const body = JSON.stringify(sampleWebhook('end_user.processed', SAMPLE_END_USER, Date.parse('2021-05-20T09:23:53Z')));
  return [
    '',
    `${styled('bold', 'Webhook')}  ${webhook}`,
    `${styled('bold', 'Query')}    ${queryApi}`,
    ...subscribers.map(({ name, url, topics }) => `${styled('bold', name)}  ${url}  ${topicsOf(topics)}`),
    `${styled('dim', backing)}`,
    '',
    'Send a signed webhook, and ask where its end user stands:',
    '',
    `  curl -i ${webhook} -H 'Heron-Signature: ${sign(Buffer.from(body), secret)}' --data-binary '${body}'`,
    // Waiting: pasted together, the second comes before the state of the first is there.
    `  curl '${queryApi}end-users/${SAMPLE_END_USER}?wait_for=processed&timeout=20'`,
    '',
    'More webhooks: npx heron send end_user.failed --end-user anyone. Ctrl-C stops everything.',
    '',
  ].join('\n');
}

function topicsOf(topics: readonly string[]): string {
  return topics.length > 3 ? `${topics.length} topics` : topics.join(', ');
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
    return styled(style, [time, String(name).padEnd(9), message, ...facts, ...took].map(inLine).join(' '));
  } catch {
    return visible(line);
  }
}
