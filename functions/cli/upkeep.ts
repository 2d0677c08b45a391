import { clock } from '../clock.ts';
import { storeConfig } from '../config.ts';
import { codeOf } from '../grpc.ts';
import { FirestoreUpkeep } from '../store/firestore-upkeep.ts';
import type { Upkeep } from '../store/upkeep.ts';
import { CommandFailed } from './output.ts';

export type Env = Readonly<Record<string, string | undefined>>;

/** The environment, with the project that the command line names. */
export function envOf(env: Env, project: string | undefined): Env {
  return project === undefined ? env : { ...env, GOOGLE_CLOUD_PROJECT: project };
}

/** Goes to Firestore itself: what operators do to the store is no function's business. */
export async function withUpkeep<T>(env: Env, work: (upkeep: Upkeep) => Promise<T>): Promise<T> {
  if (env.FIRESTORE_EMULATOR_HOST) process.env.METADATA_SERVER_DETECTION ??= 'none';
  const upkeep = new FirestoreUpkeep(storeConfig(env), clock);
  try {
    return await work(upkeep);
  } catch (error) {
    if (isOutage(error)) throw new CommandFailed(`Firestore: ${reasonOf(error)}. Run it again: it goes on from there.`);
    throw error;
  } finally {
    await upkeep.close();
  }
}

/** Whether Google refused or could not be reached, whatever was asked. */
export function isOutage(error: unknown): boolean {
  return codeOf(error) !== undefined;
}

export function reasonOf(error: unknown): string {
  const { details, message } = error as { details?: unknown; message?: unknown };
  const [line = ''] = String(details || message || error).split('\n', 1);
  return line.replace(/\.$/, '');
}

export function counted(count: number, what: string): string {
  return `${count.toLocaleString('en')} ${what}${count === 1 ? '' : 's'}`;
}
