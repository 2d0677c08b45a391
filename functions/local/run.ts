import { type Emulator, type EmulatorName, findEmulator } from './emulators.ts';
import type { Running, RunOptions } from './running.ts';

/**
 * Runs all functions on this machine: over Google's emulators where both are found, else over the in-memory twins.
 * @returns null where it was stopped before it was ready.
 * @throws NotStarted
 */
export async function run(options: RunOptions, stopping: Promise<undefined>): Promise<Running | null> {
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
