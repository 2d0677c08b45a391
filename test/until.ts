import { setTimeout as sleep } from 'node:timers/promises';

/** Longer than any machine is busy for: over only where what is waited for does not come. */
const PATIENCE_MS = 150_000;

/**
 * Waits for a fact. Unlike `expect.poll` it can be used in concurrent tests.
 * @param moved what changes while it is on its way, so that there is patience for more of it.
 */
export async function until(holds: () => boolean | Promise<boolean>, moved: () => number = () => 0): Promise<void> {
  let [seen, end] = [moved(), performance.now() + PATIENCE_MS];
  for (; !(await holds()); await sleep(5)) {
    if (moved() !== seen) [seen, end] = [moved(), performance.now() + PATIENCE_MS];
    if (performance.now() > end) throw new Error(`Not within ${PATIENCE_MS / 1000} s: ${holds}`);
  }
}
