import { deployed } from '../deployed.ts';
import { type Figure, type Suite, type Surroundings, scaled } from '../figure.ts';
import { load, percentile } from '../load.ts';
import { floor, newProject, ours, topicOnly } from '../stack.ts';
import { type Command, Subject } from '../subject.ts';

type Case = {
  readonly connections: number;
  readonly bytes: number;
  readonly count: number;
  readonly cpu?: number;
  readonly rate?: number;
};

const CASES: readonly Case[] = [
  { connections: 1, bytes: 200, count: 2_000, cpu: 2.4 },
  { connections: 8, bytes: 200, count: 8_000, cpu: 1.2 },
  { connections: 64, bytes: 200, count: 20_000, cpu: 0.95, rate: 1 },
  { connections: 512, bytes: 200, count: 20_000 },
  { connections: 64, bytes: 10_000, count: 8_000 },
  { connections: 8, bytes: 1_000_000, count: 80 },
];
const MEMORY = { connections: 64, bytes: 200 };
/** After how many webhooks memory is looked at. */
const LOOKS = [{ after: 60_000, must: { most: 0.75 } }, { after: 100_000 }];

export type Measured = { readonly cpu: number; readonly rate: number; readonly p50: number; readonly p99: number };

/** CPU microseconds a webhook, webhooks a second, and milliseconds to the answer. */
async function measure(subject: Subject, { connections, bytes, count }: Case): Promise<Measured> {
  let before = 0;
  const of = { kind: 'webhook', bytes, endUsers: 1_000 } as const;
  const { seconds, latencies, failed } = await load({ port: subject.port, connections, count, of }, () => {
    before = subject.cpu();
  });
  if (failed > 0) throw new Error(`${failed} of ${count} webhooks were not answered 2xx.`);
  return {
    cpu: ((subject.cpu() - before) / count) * 1e6,
    rate: count / seconds,
    p50: percentile(latencies, 50),
    p99: percentile(latencies, 99),
  };
}

/** Runs both in turn, each warmed before. */
export async function inTurn(
  commands: readonly [Command, Command],
  surroundings: Surroundings,
  warmUp: Case,
  cases: readonly Case[],
  onCase: (one: Case, rounds: readonly (readonly [Measured, Measured])[]) => void,
): Promise<void> {
  const subjects = [await Subject.start(commands[0]), await Subject.start(commands[1])] as const;
  try {
    for (const subject of subjects) await measure(subject, warmUp);
    for (const one of cases) {
      const load = { ...one, count: scaled(one.count, surroundings) };
      const rounds: (readonly [Measured, Measured])[] = [];
      for (let round = 0; round < surroundings.rounds; round++)
        rounds.push([await measure(subjects[0], load), await measure(subjects[1], load)]);
      onCase(one, rounds);
    }
  } finally {
    for (const subject of subjects) await subject.stop();
  }
}

function size(bytes: number): string {
  return bytes >= 1e6 ? `${bytes / 1e6} MB` : bytes >= 1e3 ? `${bytes / 1e3} kB` : `${bytes} B`;
}

/** Ingest with Pub/Sub's emulator beside a function that only answers 200. */
export const ingestSuite: Suite = async function* (surroundings) {
  const projectId = newProject();
  await topicOnly(projectId);
  const commands = [floor('bare', projectId), ours('ingest', projectId, await deployed())] as const;
  const figures: Figure[] = [];
  const warmUp = { connections: 16, bytes: 200, count: scaled(3_000, surroundings) };
  await inTurn(commands, surroundings, warmUp, CASES, ({ connections, bytes, cpu, rate }, rounds) => {
    const at = `${connections} connection${connections === 1 ? '' : 's'}, ${size(bytes)}`;
    const figure = (name: string, unit: string, key: keyof Measured, must?: Figure['must']): Figure => ({
      suite: 'ingest',
      name: `${name} at ${at}`,
      unit,
      ours: rounds.map(([, measured]) => measured[key]),
      floor: rounds.map(([measured]) => measured[key]),
      ...(must === undefined ? {} : { must }),
    });
    figures.push(
      figure('CPU a webhook', 'µs', 'cpu', cpu === undefined ? undefined : { most: cpu }),
      figure('webhooks a second', '1/s', 'rate', rate === undefined ? undefined : { least: rate }),
      figure('answer, 50 of 100', 'ms', 'p50'),
      figure('answer, 99 of 100', 'ms', 'p99'),
    );
    surroundings.note(`ingest: ${at} done`);
  });
  yield* figures;
};

/** Resident memory once many webhooks have gone through. */
export const memorySuite: Suite = async function* (surroundings) {
  const projectId = newProject();
  await topicOnly(projectId);
  const source = await deployed();
  const looks = LOOKS.map((look) => ({ ...look, after: scaled(look.after, surroundings) }));
  const resident = async (command: Command) => {
    const subject = await Subject.start(command);
    const megabytes: number[] = [];
    let taken = 0;
    for (const { after } of looks) {
      await measure(subject, { ...MEMORY, count: after - taken });
      taken = after;
      megabytes.push(subject.rss() / 1e6);
    }
    await subject.stop();
    return megabytes;
  };
  const [least, full]: [number[][], number[][]] = [[], []];
  for (let round = 0; round < Math.min(3, surroundings.rounds); round++) {
    least.push(await resident(floor('bare', projectId)));
    full.push(await resident(ours('ingest', projectId, source)));
  }
  for (const [nth, { after, must }] of looks.entries()) {
    const at = (rounds: readonly number[][]) => rounds.map((megabytes) => megabytes[nth] ?? Number.NaN);
    const name = `resident memory after ${after.toLocaleString('en')} webhooks`;
    yield { suite: 'memory', name, unit: 'MB', ours: at(full), floor: at(least), ...(must && { must }) };
  }
};
