import { type Instant, instantOf } from './heron/instant.ts';

/** What time it is. It may be set back, and says nothing of how long something took. */
export type Clock = () => Instant;

/** Milliseconds since some moment, never set back: for deadlines and durations, and for nothing else. */
export type Stopwatch = () => number;

export const clock: Clock = () => instantOf(Date.now());

export const stopwatch: Stopwatch = () => performance.now();
