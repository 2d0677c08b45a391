import { once } from 'node:events';
import { connect } from 'node:net';
import { busConfig, type Env, storeConfig } from '../config.ts';
import { EMULATOR_VARIABLE, type EmulatorName } from '../local/emulators.ts';
import { CommandFailed } from './failure.ts';
import { note } from './output.ts';

/** The environment, with the project that the command line names. @throws CommandFailed where neither names one. */
export function envOf(env: Env, project: string | undefined): Env {
  if (project !== undefined) return { ...env, GOOGLE_CLOUD_PROJECT: project };
  if (env.GOOGLE_CLOUD_PROJECT) return env;
  throw new CommandFailed(
    'GOOGLE_CLOUD_PROJECT is not set: name the Google Cloud project with --project, or set it.',
    'misconfigured',
  );
}

/**
 * Says on which project, database and prefix a command works: a wrong one may look like an empty one.
 * @throws CommandFailed where an emulator that the environment names is not there.
 */
export async function announce(env: Env, services: readonly EmulatorName[]): Promise<void> {
  const { projectId, databaseId } = storeConfig(env);
  const { topicPrefix } = busConfig(env);
  const emulators = services.flatMap((name) => {
    const host = env[EMULATOR_VARIABLE[name]];
    return host ? [{ name, host }] : [];
  });
  const facts = [
    `Project ${projectId}`,
    `database ${databaseId}`,
    topicPrefix === '' ? 'no topic prefix' : `topic prefix ${topicPrefix}`,
    ...emulators.map(({ name, host }) => `${name} emulator at ${host}`),
  ];
  note(`${facts.join(', ')}.`);
  if (emulators.length === 0) return;
  // Google's libraries would look for a metadata server, in vain.
  process.env.METADATA_SERVER_DETECTION ??= 'none';
  await Promise.all(emulators.map(({ name, host }) => reach(name, host)));
}

const CONNECT_MS = 5_000;

/** @throws CommandFailed where nothing listens there. */
export async function reach(name: EmulatorName, address: string): Promise<void> {
  const [, host = '', port = ''] = /^\[?([^\]]*?)\]?:(\d+)$/.exec(address) ?? [];
  const socket = connect({ host, port: Number(port) });
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(CONNECT_MS) });
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? 'no port';
    throw new CommandFailed(
      `Nothing listens at ${address} (${why}), which ${EMULATOR_VARIABLE[name]} names: start the ${name} emulator, or unset the variable.`,
      'unreachable',
    );
  } finally {
    socket.destroy();
  }
}
