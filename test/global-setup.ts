import type { TestProject } from 'vitest/node';
import { EMULATOR_VARIABLE, type EmulatorName, findEmulator, startEmulator } from '../functions/local/emulators.ts';
import { leaveOut } from './left-out.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** `host:port` of each emulator, or null where it is missing. */
    emulators: Readonly<Record<EmulatorName, string | null>>;
  }
}

/**
 * Starts Google's emulators once for all suites. Where one is missing its suites are skipped, and a person sees which
 * and how to get it; under CI that is a failure.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const stops: (() => void)[] = [];
  const start = async (name: EmulatorName): Promise<string | null> => {
    const found = findEmulator(name, process.env);
    switch (found.kind) {
      case 'running':
        return found.host;
      case 'installed': {
        const { host, child, ready } = await startEmulator(name, found.command);
        stops.push(() => child.kill('SIGKILL'));
        await ready;
        return host;
      }
      case 'missing': {
        leaveOut(`The ${name} emulator is missing: ${found.why}`, 'the tests that need it');
        return null;
      }
      default:
        return found satisfies never;
    }
  };
  try {
    const [pubsub, firestore] = await Promise.all([start('Pub/Sub'), start('Firestore')]);
    project.provide('emulators', { 'Pub/Sub': pubsub, Firestore: firestore });
    if (pubsub !== null) process.env[EMULATOR_VARIABLE['Pub/Sub']] = pubsub;
    if (firestore !== null) {
      process.env[EMULATOR_VARIABLE.Firestore] = firestore;
      await warmUp();
    }
  } catch (error) {
    for (const stop of stops) stop();
    throw error;
  }
  return async () => {
    for (const stop of stops) stop();
  };
}

/** The first transaction takes the emulator's Java many seconds, where a test's has fewer. */
async function warmUp(): Promise<void> {
  const { Firestore } = await import('@google-cloud/firestore');
  process.env.METADATA_SERVER_DETECTION ??= 'none';
  const db = new Firestore({ projectId: 'warm-up' });
  await db.runTransaction(async (transaction) => {
    const { ref } = await transaction.get(db.doc('warm/up'));
    transaction.set(ref, {});
  });
  await db.terminate();
}
