import type { Env } from '../config.ts';

/** Everything that runs on this machine, by either way of running it. */
export type Running = {
  /** In words, for people. */
  readonly backing: string;
  stop(): Promise<void>;
  /** Resolves, with why, when it cannot go on. */
  readonly failed: Promise<string>;
};

export type RunOptions = {
  readonly env: Env;
  readonly webhookPort: number;
  readonly queryPort: number;
  /** A line of a function's log. */
  readonly onLog: (line: string) => void;
  /** Something a person should know meanwhile. */
  readonly onNote: (line: string) => void;
};

/** It cannot run here: `message` says why and what to do. */
export class NotStarted extends Error {
  override readonly name = 'NotStarted';
}
