import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from './random.ts';
import type { Target } from './system.ts';

export type Strike = { readonly target: Target; readonly fault: string; readonly at: number; readonly lasts: number };

/** Between two faults of one target, on average; with a dozen targets, one or two are failing at any time. */
const GAP_MS = 12_000;
const LEAST_MS = 300;
const MOST_MS = 8_000;

/** Faults for a time, in milliseconds; each target has one at a time, and different ones overlap. */
export function planStrikes(random: Random, targets: readonly Target[], duration: number): readonly Strike[] {
  const strikes = targets.flatMap((target) => {
    const own: Strike[] = [];
    const gap = () => -Math.log(1 - random.next()) * GAP_MS;
    for (let at = gap(); at < duration; at += gap()) {
      const length = LEAST_MS + (MOST_MS - LEAST_MS) * random.next() ** 2;
      const lasts = Math.min(length, duration - at);
      own.push({ target, fault: random.pick(Object.keys(target.faults)), at, lasts });
      at += length;
    }
    return own;
  });
  return strikes.sort((a, b) => a.at - b.at);
}

/** Resolves when the last fault has been lifted. */
export async function inflict(strikes: readonly Strike[], onStrike: (strike: Strike) => void): Promise<void> {
  const begun = performance.now();
  const strikeAll = async (own: readonly Strike[]) => {
    for (const strike of own) {
      await sleep(Math.max(0, begun + strike.at - performance.now()));
      onStrike(strike);
      const lift = await strike.target.faults[strike.fault]?.();
      await sleep(strike.lasts);
      await lift?.();
    }
  };
  await Promise.all([...Map.groupBy(strikes, ({ target }) => target).values()].map(strikeAll));
}
