import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';

/**
 * Which programs a line of shell calls, each with its words, as bash has them; none is there, and each does nothing.
 * Whatever else it would call, or where it is no line that bash can read, is a failure.
 */
export function callsOf(line: string, programs: readonly string[]): readonly (readonly string[])[] {
  // Each takes what is piped to it, or whoever writes that would be ended.
  const functions = programs.map(
    (name) => `${name}() { printf '%s\\0' ${name} "$@" '' >&3; while read -r; do :; done; }`,
  );
  const { status, stderr, output } = spawnSync(
    '/bin/bash',
    ['-euo', 'pipefail', '-c', [...functions, line].join('\n')],
    {
      env: { PATH: '/nowhere', HERON_SHARED_SECRET: 'sec_x' },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      encoding: 'utf8',
    },
  );
  expect({ line, status, stderr }).toEqual({ line, status: 0, stderr: '' });
  const calls = String(output[3]).split('\0\0').slice(0, -1);
  return calls.map((call) => call.split('\0'));
}

type Command = {
  readonly commands: Readonly<Record<string, Command>>;
  /** What each takes: `bool`, or a value. */
  readonly flags: Readonly<Record<string, unknown>>;
};

/** All commands of gcloud, as the Google Cloud SDK has them for a shell's completions; null where there is no SDK. */
export function gcloudCommands(): Command | null {
  try {
    const gcloud = execFileSync('/bin/sh', ['-c', 'command -v gcloud'], { encoding: 'utf8' }).trim();
    const root = dirname(dirname(realpathSync(gcloud)));
    const file = join(root, 'data', 'cli', 'gcloud_completions.py');
    if (!existsSync(file)) return null;
    const python = readFileSync(file, 'utf8');
    return JSON.parse(python.slice(python.indexOf('{'))); // a dict of texts, as JSON writes it
  } catch {
    return null;
  }
}

/** What gcloud would not understand of a call's words. */
export function unknownTo(root: Command, words: readonly string[]): readonly string[] {
  let command = root;
  let at = 0;
  for (; command.commands[words[at] ?? '']; at++) command = command.commands[words[at] ?? ''] as Command;
  if (Object.keys(command.commands).length > 0) return [`${words.slice(0, at + 1).join(' ')} is no command`];
  return words.slice(at).flatMap((word) => {
    if (!word.startsWith('-')) return [];
    const [flag = '', value] = word.split(/=(.*)/s, 2);
    const kind = command.flags[flag] ?? root.flags[flag];
    const isRight = kind !== undefined && (kind === 'bool') === (value === undefined);
    return isRight ? [] : [`${words.slice(0, at).join(' ')} takes no ${word}`];
  });
}
