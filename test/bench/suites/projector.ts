import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { deployed } from '../deployed.ts';
import { type Figure, type Suite, scaled } from '../figure.ts';
import { load } from '../load.ts';
import { environment, floor, newProject, ours, topicOnly } from '../stack.ts';
import { type Command, Subject } from '../subject.ts';

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

/** Pushes events to a function in a process and a project of its own, as many at once as Pub/Sub would. */
async function pushed(command: (projectId: string) => Command, warm: number, count: number, endUsers: number) {
  const projectId = newProject();
  await topicOnly(projectId);
  const subject = await Subject.start(command(projectId));
  const push = (n: number, of: number, onStart?: () => void) =>
    load({ port: subject.port, connections: AT_ONCE, count: n, of: { kind: 'push', endUsers: of } }, onStart);
  await push(warm, 1_000);
  let before = 0;
  const { seconds, failed } = await push(count, endUsers, () => {
    before = subject.cpu();
  });
  const measured: Measured = { rate: count / seconds, cpu: ((subject.cpu() - before) / count) * 1e6 };
  await subject.stop();
  if (failed > 0) throw new Error(`${failed} of ${count} events were refused.`);
  return measured;
}

/**
 * The projector, pushed to, beside bare transactions with the same reads and writes, by a program that has a core to
 * itself, and beside a function as short as can be that makes them, which shares it with who pushes as ours does.
 */
export const projectorSuite: Suite = async function* (surroundings) {
  const source = await deployed();
  for (const { endUsers, events, rate, cpu } of CASES) {
    const count = scaled(events, surroundings);
    const warm = scaled(500, surroundings);
    const rounds: { program: Measured; bareFunction: Measured | null; ours: Measured }[] = [];
    for (let round = 0; round < surroundings.rounds; round++) {
      const [, program] = await bare(newProject(), [
        [warm, 1_000],
        [count, endUsers],
      ]);
      if (program === undefined) throw new Error('The bare transactions said nothing.');
      rounds.push({
        program,
        ours: await pushed((projectId) => ours('projector', projectId, source), warm, count, endUsers),
        // Over one end user its transactions only abort each other.
        bareFunction:
          endUsers === 1
            ? null
            : await pushed((projectId) => floor('bare-projector', projectId), warm, count, endUsers),
      });
    }
    const over = `over ${endUsers === 1 ? 'one end user' : `${endUsers.toLocaleString('en')} end users`}`;
    const figure = (
      name: string,
      unit: string,
      key: keyof Measured,
      least: readonly (Measured | null)[],
      must?: Figure['must'],
    ): Figure => ({
      suite: 'projector',
      name,
      unit,
      ours: rounds.map((round) => round.ours[key]),
      floor: least.flatMap((measured) => measured?.[key] ?? []),
      ...(must === undefined ? {} : { must }),
    });
    const programs = rounds.map(({ program }) => program);
    yield figure(`events a second ${over}`, '1/s', 'rate', programs, rate);
    yield figure(`CPU an event ${over}`, 'µs', 'cpu', programs, cpu);
    if (endUsers === 1) continue;
    const functions = rounds.map(({ bareFunction }) => bareFunction);
    yield figure(`events a second ${over}, beside a bare function`, '1/s', 'rate', functions);
    yield figure(`CPU an event ${over}, beside a bare function`, 'µs', 'cpu', functions);
  }
};
