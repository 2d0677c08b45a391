/** One thing that was measured, ours beside a floor, in rounds that took turns: machines are noisy, ratios less so. */
export type Figure = {
  readonly suite: string;
  readonly name: string;
  readonly unit: string;
  readonly ours: readonly number[];
  /** None where there is nothing to compare with. */
  readonly floor: readonly number[];
  /** What the median ratio must not exceed, or, for a rate, fall below. */
  readonly must?: { readonly most: number } | { readonly least: number };
};

/** Everything that a suite needs to know of its surroundings. */
export type Surroundings = {
  /** How many rounds, and by what all loads are multiplied: less than 1 only to see that it runs. */
  readonly rounds: number;
  readonly scale: number;
  /** Tells a person what goes on. */
  readonly note: (text: string) => void;
};

export type Suite = (surroundings: Surroundings) => AsyncIterable<Figure>;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

/** Ours as a multiple of the floor, round by round. */
export function ratios({ ours, floor }: Figure): number[] {
  return ours.flatMap((value, i) => (floor[i] === undefined ? [] : [value / floor[i]]));
}

/** Whether the goal was reached; undefined where there is none. */
export function isReached(figure: Figure): boolean | undefined {
  if (figure.must === undefined) return undefined;
  const ratio = median(ratios(figure));
  return 'most' in figure.must ? ratio <= figure.must.most : ratio >= figure.must.least;
}

/** A count of the load, at least 1. */
export function scaled(count: number, { scale }: Surroundings): number {
  return Math.max(1, Math.round(count * scale));
}
