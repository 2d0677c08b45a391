import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { clock } from '../../../functions/clock.ts';
import { eventOf } from '../../../functions/events/event.ts';
import { FirestoreStore } from '../../../functions/store/firestore.ts';
import { type Suite, scaled } from '../figure.ts';
import { webhookBody } from '../requests.ts';
import { environment, newProject } from '../stack.ts';

const CLI = join(import.meta.dirname, '..', '..', '..', 'functions', 'cli', 'main.ts');
const PAGING = join(import.meta.dirname, '..', 'floors', 'paging.js');
/** How many rounds each has: the emulator, which has no index, reads the whole log for each of its pages. */
const SIZES = [
  { size: 10_000, most: 3 },
  { size: 100_000, most: 1 },
];
const EVENTS_AN_END_USER = 10;
const LOADERS = 20;

/** Runs a program to its end: its last line of JSON, and the most memory that it had, in bytes. */
async function run(args: readonly string[], projectId: string): Promise<{ milliseconds: number; peak: number }> {
  const env = { ...process.env, ...environment(projectId) };
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'ignore'] });
  let peak = 0;
  const watching = setInterval(() => {
    try {
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
      peak = Math.max(peak, Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024);
    } catch {} // it has ended
  }, 20);
  const [lines, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  clearInterval(watching);
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}.`);
  const { milliseconds } = JSON.parse(lines.trim().split('\n').at(-1) ?? '{}');
  return { milliseconds, peak };
}

async function fill(projectId: string, events: number): Promise<void> {
  const store = new FirestoreStore({ projectId, databaseId: '(default)' }, clock, { callMs: 60_000 });
  const left = Array.from({ length: Math.ceil(events / EVENTS_AN_END_USER) }, (_, n) => n);
  const worker = async () => {
    for (let endUser = left.pop(); endUser !== undefined; endUser = left.pop()) {
      const bodies = Array.from({ length: EVENTS_AN_END_USER }, (_, n) =>
        webhookBody(`${endUser}-${n}`, 200, endUser ?? 0),
      );
      await store.append(bodies.map((body) => eventOf(body, clock())));
    }
  };
  await Promise.all(Array.from({ length: LOADERS }, worker));
  await store.close();
}

/** `heron rebuild` where nothing is to be mended, beside paging once through the log. */
export const rebuildSuite: Suite = async function* (surroundings) {
  const peaks: number[] = [];
  for (const { size, most } of SIZES) {
    const events = scaled(size, surroundings);
    const projectId = newProject();
    await fill(projectId, events);
    surroundings.note(`rebuild: a log of ${events.toLocaleString('en')} events is there`);
    const [least, full]: [number[], number[]] = [[], []];
    let peak = 0;
    for (let round = 0; round < Math.min(most, surroundings.rounds); round++) {
      least.push((await run([PAGING], projectId)).milliseconds);
      const rebuilt = await run([CLI, 'rebuild', '--restart', '--json'], projectId);
      full.push(rebuilt.milliseconds);
      peak = Math.max(peak, rebuilt.peak / 1e6);
    }
    peaks.push(peak);
    const name = `${events.toLocaleString('en')} events, nothing to mend`;
    yield {
      suite: 'rebuild',
      name,
      unit: 'ms',
      ours: full,
      floor: least,
      ...(size === 10_000 ? { must: { most: 2 } } : {}),
    };
  }
  const [few = Number.NaN, many = Number.NaN] = peaks;
  const name = 'memory at ten times the events, beside that at the fewer';
  yield { suite: 'rebuild', name, unit: 'MB', ours: [many], floor: [few], must: { most: 1.2 } };
};
