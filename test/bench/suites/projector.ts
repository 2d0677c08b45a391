import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { deployed } from '../deployed.ts';
import { type Figure, type Suite, scaled } from '../figure.ts';
import { load } from '../load.ts';
import { environment, newProject, ours, topicOnly } from '../stack.ts';
import { Subject } from '../subject.ts';

const TRANSACTIONS = join(import.meta.dirname, '..', 'floors', 'transactions.js');
/** As many as Pub/Sub pushes at once, and as the bare program runs transactions. */
const AT_ONCE = 20;
const CASES: readonly {
  readonly endUsers: number;
  readonly events: number;
  readonly rate?: Figure['must'];
  readonly cpu?: Figure['must'];
}[] = [
  { endUsers: 1_000, events: 3_000, rate: { least: 0.75 }, cpu: { most: 1.3 } },
  { endUsers: 1, events: 1_000 },
];

type Measured = { readonly rate: number; readonly cpu: number };

/** The same reads and writes by a program that does nothing else. */
async function bare(projectId: string, events: readonly (readonly [number, number])[]): Promise<Measured[]> {
  const env = { ...process.env, ...environment(projectId) };
  const child = spawn(process.execPath, [TRANSACTIONS, ...events.flat().map(String)], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [lines, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  if (code !== 0) throw new Error(`The bare transactions ended with ${code}.`);
  return lines
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Measured);
}

/** The projector, pushed to, beside bare transactions with the same reads and writes. */
export const projectorSuite: Suite = async function* (surroundings) {
  const source = await deployed();
  for (const { endUsers, events, rate, cpu } of CASES) {
    const count = scaled(events, surroundings);
    const warm = scaled(500, surroundings);
    const rounds: { floor: Measured; ours: Measured }[] = [];
    for (let round = 0; round < surroundings.rounds; round++) {
      const [, least] = await bare(newProject(), [
        [warm, 1_000],
        [count, endUsers],
      ]);
      const projectId = newProject();
      await topicOnly(projectId);
      const subject = await Subject.start(ours('projector', projectId, source));
      const push = (n: number, of: number, onStart?: () => void) =>
        load({ port: subject.port, connections: AT_ONCE, count: n, of: { kind: 'push', endUsers: of } }, onStart);
      await push(warm, 1_000);
      let before = 0;
      const { seconds, failed } = await push(count, endUsers, () => {
        before = subject.cpu();
      });
      const measured = { rate: count / seconds, cpu: ((subject.cpu() - before) / count) * 1e6 };
      await subject.stop();
      if (failed > 0 || least === undefined) throw new Error(`${failed} of ${count} events were refused.`);
      rounds.push({ floor: least, ours: measured });
    }
    const over = `over ${endUsers === 1 ? 'one end user' : `${endUsers.toLocaleString('en')} end users`}`;
    const figure = (name: string, unit: string, key: keyof Measured, must?: Figure['must']): Figure => ({
      suite: 'projector',
      name: `${name} ${over}`,
      unit,
      ours: rounds.map((round) => round.ours[key]),
      floor: rounds.map((round) => round.floor[key]),
      ...(must === undefined ? {} : { must }),
    });
    yield figure('events a second', '1/s', 'rate', rate);
    yield figure('CPU an event', 'µs', 'cpu', cpu);
  }
};
