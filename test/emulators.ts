import { randomUUID } from 'node:crypto';
import { inject } from 'vitest';
import { EMULATOR_VARIABLE } from '../functions/local/emulators.ts';

const emulators = inject('emulators');

/** Whether each emulator runs; suites that need it are skipped where it does not (see global-setup.ts). */
export const hasPubSub = emulators['Pub/Sub'] !== null;
export const hasFirestore = emulators.Firestore !== null;

/** Google's own variables, for clients in this process and for child processes. */
export const emulatorEnv: Readonly<Record<string, string>> = {
  ...(emulators['Pub/Sub'] === null ? {} : { [EMULATOR_VARIABLE['Pub/Sub']]: emulators['Pub/Sub'] }),
  ...(emulators.Firestore === null ? {} : { [EMULATOR_VARIABLE.Firestore]: emulators.Firestore }),
  METADATA_SERVER_DETECTION: 'none',
};
Object.assign(process.env, emulatorEnv);

/** A Google Cloud project of a test's own: the emulators keep projects apart. */
export function newProject(): string {
  return `test-${randomUUID().slice(0, 20)}`.replace(/-$/, '0');
}
