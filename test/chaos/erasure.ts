import { setTimeout as sleep } from 'node:timers/promises';
import { heron } from '../end-to-end/local.ts';

const AGAIN_MS = 1_000;

/**
 * Runs `heron forget` until it says that all is erased, as whoever was asked to would.
 * @param isLate whether to give up. @returns what it said in the end where it did not.
 */
export async function forget(heronId: string, env: NodeJS.ProcessEnv, isLate: () => boolean): Promise<string | null> {
  for (;;) {
    const { stdout, stderr } = await heron(['forget', heronId, '--by', 'chaos', '--json'], env);
    // It exits 1 also where there was nothing to erase.
    if (/"incomplete": ?false/.test(stdout)) return null;
    if (isLate()) return `heron forget ${heronId}: ${(stdout || stderr).trim()}`;
    await sleep(AGAIN_MS);
  }
}
