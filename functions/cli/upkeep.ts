import { clock } from '../clock.ts';
import { type Env, storeConfig } from '../config.ts';
import { within } from '../deadline.ts';
import { FirestoreUpkeep } from '../store/firestore-upkeep.ts';
import type { Upkeep } from '../store/upkeep.ts';
import { CommandFailed, firestoreFailure, isOutage } from './failure.ts';
import { sayWaiting } from './output.ts';

/** A Firestore that has said nothing after this is told of, before anything is begun. */
const FIRST_ANSWER_MS = 20_000;

/** Goes to Firestore itself: what operators do to the store is no function's business. */
export async function withUpkeep<T>(env: Env, work: (upkeep: Upkeep) => Promise<T>): Promise<T> {
  const config = storeConfig(env);
  const { projectId } = config;
  const upkeep = new FirestoreUpkeep(config, clock);
  const hush = sayWaiting(`Firestore of ${projectId}`);
  try {
    await within(FIRST_ANSWER_MS, upkeep.checkpoint(), () => {
      throw new CommandFailed(
        `Firestore of ${projectId} did not answer within ${FIRST_ANSWER_MS / 1000} s: check the network, and run it again.`,
        'unreachable',
      );
    });
    return await work(upkeep);
  } catch (error) {
    if (!isOutage(error)) throw error;
    const again = 'Run it again: it goes on from there.';
    throw firestoreFailure(error, config, { role: 'roles/datastore.user', again });
  } finally {
    hush();
    await upkeep.close();
  }
}
