import { setTimeout as sleep } from 'node:timers/promises';

/** Longer than any machine is busy for: over only where what is waited for does not come. */
const PATIENCE_MS = 150_000;

/** Waits for a fact. Unlike `expect.poll` it can be used in concurrent tests. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS; !(await holds()); await sleep(5))
    if (performance.now() > end) throw new Error(`Not within ${PATIENCE_MS / 1000} s: ${holds}`);
}
