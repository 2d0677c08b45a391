import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Env } from '../config.ts';
import type { Instant } from '../heron/instant.ts';

/** How far a replay has come, kept on the machine that runs it: it says nothing of any event. */
export type ReplayState = {
  /** What its messages are marked with. */
  readonly id: string;
  readonly started: Instant;
  /** The parts of the log that are through. */
  readonly done: readonly string[];
  /** Where it is in another. */
  readonly at: { readonly part: string; readonly cursor: unknown } | null;
  readonly events: number;
  readonly failed: number;
};

export function loadReplay(name: string, env: Env): ReplayState | null {
  try {
    return JSON.parse(readFileSync(path(name, env), 'utf8')) as ReplayState;
  } catch {
    return null;
  }
}

/** Written aside and renamed: a kill leaves the one or the other whole. */
export function saveReplay(name: string, state: ReplayState, env: Env): void {
  const file = path(name, env);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.${process.pid}`, JSON.stringify(state));
  renameSync(`${file}.${process.pid}`, file);
}

export function forgetReplay(name: string, env: Env): void {
  rmSync(path(name, env), { force: true });
}

/** Source: https://specifications.freedesktop.org/basedir-spec/latest/ */
function path(name: string, env: Env): string {
  const state = env.XDG_STATE_HOME || join(homedir(), '.local', 'state');
  return join(state, 'heron', `replay-${name.replaceAll('/', '_')}.json`);
}
