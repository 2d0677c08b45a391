import { clock } from '../clock.ts';
import { type Env, storeConfig } from '../config.ts';
import { FirestoreUpkeep } from '../store/firestore-upkeep.ts';
import type { Upkeep } from '../store/upkeep.ts';
import { CommandFailed, isOutage, reasonOf } from './failure.ts';

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
