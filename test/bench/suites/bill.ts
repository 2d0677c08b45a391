import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { deployed } from '../deployed.ts';
import { type Figure, type Suite, scaled } from '../figure.ts';
import { load } from '../load.ts';
import { newProject, ours, type Target, topicOnly } from '../stack.ts';
import { type Command, Subject } from '../subject.ts';

const COUNTER = join(import.meta.dirname, '..', 'count-calls.js');
const WEBHOOKS = 1_000;
const END_USERS = 100;

/** Dollars each. Source: "Cost of a million webhooks" in infra/README.md, which adds what is not counted here. */
const PRICES = {
  read: 0.03 / 1e5,
  write: 0.09 / 1e5,
  byteThroughPubSub: 40 / 2 ** 40,
  byteLogged: 0.5 / 2 ** 30,
};

type Counts = {
  readonly calls: Readonly<Record<string, { calls: number; bytes: number; items: number }>>;
  readonly logged: number;
};

/** The same command, with its calls counted. */
function counted(command: Command, file: string): Command {
  return (port) => {
    const { program, args, env } = command(port);
    return { program, args: ['--import', COUNTER, ...args], env: { ...env, BENCH_COUNTS: file } };
  };
}

async function counts(target: Target, connections: number, count: number): Promise<Counts> {
  const projectId = newProject();
  await topicOnly(projectId);
  const file = join(mkdtempSync(join(tmpdir(), 'bench-')), 'counts.json');
  const subject = await Subject.start(counted(ours(target, projectId, await deployed()), file));
  try {
    const endUsers = END_USERS;
    const of =
      target === 'ingest'
        ? ({ kind: 'webhook', bytes: 200, endUsers } as const)
        : ({ kind: 'push', endUsers } as const);
    const { failed } = await load({ port: subject.port, connections, count, of });
    if (failed > 0) throw new Error(`${failed} of ${count} were not answered 2xx.`);
    process.kill(subject.pid, 'SIGUSR2');
    while (!existsSync(file)) await sleep(10);
    await sleep(100);
    return JSON.parse(readFileSync(file, 'utf8')) as Counts;
  } finally {
    await subject.stop();
  }
}

/** What a webhook costs in operations and bytes, one at a time and 64 at once: counted, not estimated. */
export const billSuite: Suite = async function* (surroundings) {
  const count = scaled(WEBHOOKS, surroundings);
  for (const connections of [1, 64]) {
    const ingest = await counts('ingest', connections, count);
    const projector = await counts('projector', Math.min(20, connections), count);
    const each = (value: number | undefined) => [(value ?? 0) / count];
    const at = connections === 1 ? 'one at a time' : `${connections} at once`;
    const { Publish } = ingest.calls;
    const { BatchGetDocuments, Commit } = projector.calls;
    const figure = (name: string, unit: string, ours: readonly number[]): Figure => ({
      suite: 'bill',
      name: `${name} a webhook, ${at}`,
      unit,
      ours,
      floor: [],
    });
    yield figure('messages published', '1', each(Publish?.items));
    yield figure('publish requests', '1', each(Publish?.calls));
    yield figure('bytes published', 'B', each(Publish?.bytes));
    yield figure('documents read by the projector', '1', each(BatchGetDocuments?.items));
    yield figure('documents written by the projector', '1', each(Commit?.items));
    yield figure('bytes written to Firestore', 'B', each(Commit?.bytes));
    const logged = ingest.logged + projector.logged;
    yield figure('bytes logged', 'B', each(logged));
    const dollars =
      (BatchGetDocuments?.items ?? 0) * PRICES.read +
      (Commit?.items ?? 0) * PRICES.write +
      (Publish?.bytes ?? 0) * 2 * PRICES.byteThroughPubSub + // in, and out to the projector
      logged * PRICES.byteLogged;
    yield {
      ...figure('dollars', '$', [(dollars / count) * 1e6]),
      name: `a million webhooks, ${at}, for what is counted here`,
    };
  }
};
