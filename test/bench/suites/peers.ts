import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Figure, Suite } from '../figure.ts';
import { scaled } from '../figure.ts';
import { environment, floor, newProject, topicOnly } from '../stack.ts';
import type { Command } from '../subject.ts';
import { inTurn } from './ingest.ts';

const PEERS = join(import.meta.dirname, '..', 'peers');
const CASES = [
  { connections: 1, bytes: 200, count: 1_000 },
  { connections: 8, bytes: 200, count: 3_000 },
  { connections: 64, bytes: 200, count: 6_000 },
];

type Peer = {
  readonly name: string;
  readonly needs: string;
  readonly make: (folder: string, projectId: string) => Command;
};

const quiet = { stdio: 'ignore' } as const;

function python(folder: string, projectId: string): Command {
  const venv = join(folder, 'venv');
  execFileSync('python3', ['-m', 'venv', venv], quiet);
  execFileSync(join(venv, 'bin', 'pip'), ['install', '-q', '-r', join(PEERS, 'python', 'requirements.txt')], quiet);
  const source = join(PEERS, 'python', 'main.py');
  return (port) => ({
    program: join(venv, 'bin', 'functions-framework'),
    args: ['--target=ingest', `--source=${source}`, `--port=${port}`, '--host=127.0.0.1'],
    env: environment(projectId),
  });
}

function go(batching: 'default' | 'none') {
  return (folder: string, projectId: string): Command => {
    const program = join(folder, 'peer');
    if (!existsSync(program)) execFileSync('go', ['build', '-o', program, '.'], { ...quiet, cwd: join(PEERS, 'go') });
    return (port) => ({
      program,
      args: [],
      env: { ...environment(projectId), PORT: String(port), BATCHING: batching },
    });
  };
}

const ALL: readonly Peer[] = [
  { name: 'Python', needs: 'python3', make: python },
  { name: 'Go, the client’s batches', needs: 'go', make: go('default') },
  { name: 'Go, each message at once', needs: 'go', make: go('none') },
];

/** What a user might pick instead: the same job in other languages with Google's own clients, beside the same floor. */
export const peersSuite: Suite = async function* (surroundings) {
  const folder = mkdtempSync(join(tmpdir(), 'bench-peers-'));
  try {
    for (const { name, needs, make } of ALL) {
      try {
        execFileSync(needs, [needs === 'go' ? 'version' : '--version'], quiet);
      } catch {
        surroundings.note(`peers: ${name} is left out: there is no ${needs} on PATH`);
        continue;
      }
      const projectId = newProject();
      await topicOnly(projectId);
      const commands = [floor('bare', projectId), make(folder, projectId)] as const;
      const warmUp = { connections: 16, bytes: 200, count: scaled(1_000, surroundings) };
      const figures: Figure[] = [];
      const peerSurroundings = { ...surroundings, rounds: Math.min(3, surroundings.rounds) };
      await inTurn(commands, peerSurroundings, warmUp, CASES, ({ connections }, rounds) => {
        const at = `${connections} connection${connections === 1 ? '' : 's'}`;
        for (const [key, what, unit] of [
          ['cpu', 'CPU a webhook', 'µs'],
          ['rate', 'webhooks a second', '1/s'],
        ] as const)
          figures.push({
            suite: 'peers',
            name: `${name}: ${what} at ${at}`,
            unit,
            ours: rounds.map(([, peer]) => peer[key]),
            floor: rounds.map(([least]) => least[key]),
          });
      });
      yield* figures;
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};
