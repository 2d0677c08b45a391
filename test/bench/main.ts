/**
 * What ours costs beside the shortest functions with the same effect, in ratios, as machines are noisy: server, client
 * and emulators each in a process of its own, CPU as the operating system counts it, floor and ours in turns.
 *
 *   npm run bench [-- NAME…] [--json] [--write] [--quick]
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { clock } from '../../functions/clock.ts';
import { eventOf } from '../../functions/events/event.ts';
import { EMULATOR_VARIABLE, type EmulatorName, findEmulator, startEmulator } from '../../functions/local/emulators.ts';
import { FirestoreStore } from '../../functions/store/firestore.ts';
import type { Figure, Suite } from './figure.ts';
import { line, machine, plot, table } from './report.ts';
import { webhookBody } from './requests.ts';
import { newProject } from './stack.ts';
import { billSuite } from './suites/bill.ts';
import { coldSuite } from './suites/cold.ts';
import { ingestSuite, memorySuite } from './suites/ingest.ts';
import { peersSuite } from './suites/peers.ts';
import { projectorSuite } from './suites/projector.ts';
import { querySuite } from './suites/query.ts';
import { readableSuite } from './suites/readable.ts';
import { rebuildSuite } from './suites/rebuild.ts';
import { waitersSuite } from './suites/waiters.ts';

const SUITES: Readonly<Record<string, { readonly suite: Suite; readonly title: string }>> = {
  cold: { suite: coldSuite, title: 'Cold start' },
  ingest: { suite: ingestSuite, title: 'ingest' },
  memory: { suite: memorySuite, title: 'Memory' },
  projector: { suite: projectorSuite, title: 'projector, beside bare transactions' },
  query: { suite: querySuite, title: 'query, beside a function with one read' },
  readable: { suite: readableSuite, title: 'From the answer to the readable state' },
  rebuild: { suite: rebuildSuite, title: 'heron rebuild, beside paging through the log' },
  peers: { suite: peersSuite, title: 'The same job in other languages' },
  waiters: { suite: waitersSuite, title: 'Clients that wait' },
  bill: { suite: billSuite, title: 'What Google bills' },
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const unknown = positionals.filter((name) => !Object.hasOwn(SUITES, name));
if (values.help || unknown.length > 0) {
  const complaint = unknown.length > 0 ? `There is no ${unknown.join(', ')}.\n` : '';
  console.error(
    `${complaint}npm run bench [-- NAME…] [--json] [--write] [--quick]\n\n` +
      `  NAME     ${Object.keys(SUITES).join(', ')}; all where none is named\n` +
      '  --json   a line of JSON for each figure\n' +
      '  --write  also writes test/bench/README.md and its plots\n' +
      '  --quick  a twentieth of the load, once: only to see that it runs',
  );
  process.exit(values.help ? 0 : 2);
}

const children: { kill: () => void }[] = [];
async function emulator(name: EmulatorName): Promise<void> {
  const found = findEmulator(name, process.env);
  if (found.kind === 'missing') throw new Error(`The ${name} emulator is missing: ${found.why}.`);
  if (found.kind === 'running') return;
  const { host, child, ready } = await startEmulator(name, found.command);
  children.push({ kill: () => child.kill('SIGKILL') });
  await ready;
  process.env[EMULATOR_VARIABLE[name]] = host;
}

/** Firestore's emulator takes seconds for its first transactions, which would be the first subject's. */
async function warmUp(): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const store = new FirestoreStore({ projectId: newProject(), databaseId: '(default)' }, clock, { callMs: 60_000 });
    try {
      await store.append([eventOf(webhookBody('warm-up', 200, 0), clock())]);
      return;
    } catch (error) {
      if (attempt === 3) throw error;
    } finally {
      await store.close();
    }
  }
}

const surroundings = {
  rounds: values.quick ? 1 : 5,
  scale: values.quick ? 0.05 : 1,
  note: (text: string) => console.error(text),
};
const results: { readonly name: string; readonly figures: readonly Figure[] }[] = [];
process.env.METADATA_SERVER_DETECTION = 'none';
try {
  await Promise.all([emulator('Pub/Sub'), emulator('Firestore')]);
  await warmUp();
  for (const name of positionals.length > 0 ? positionals : Object.keys(SUITES)) {
    const { suite } = SUITES[name] as { suite: Suite };
    const figures: Figure[] = [];
    for await (const figure of suite(surroundings)) {
      figures.push(figure);
      console.log(values.json ? JSON.stringify(figure) : line(figure));
    }
    results.push({ name, figures });
  }
  if (values.write) write();
} finally {
  for (const child of children) child.kill();
}
process.exit(0);

function write(): void {
  mkdirSync(join(import.meta.dirname, 'plots'), { recursive: true });
  const parts = results.map(({ name, figures }) => {
    const title = SUITES[name]?.title ?? name;
    const isCompared = figures.some(({ floor }) => floor.length > 0);
    if (isCompared)
      writeFileSync(
        join(import.meta.dirname, 'plots', `${name}.svg`),
        plot(`${title}: × the floor; red where a goal is not reached`, figures),
      );
    const picture = isCompared ? `![${title}, as multiples of the floor](plots/${name}.svg)\n\n` : '';
    return `## ${title}\n\n${picture}${table(figures)}\n`;
  });
  const date = new Date().toISOString().slice(0, 10);
  const text = `# Benchmarks

Written by \`npm run bench -- --write\` on ${date}, on ${machine()}. Medians, and in parentheses the least and the
most of ${surroundings.rounds} rounds in which floor and ours took turns. Server, client and emulators run in processes of their own on the same
cores; CPU is that of the measured process alone, as the operating system counts it. The floor is a function on the bare
functions framework that only answers 200, unless the heading says otherwise. Absolute figures are those of this
machine; ratios travel better.

${parts.join('\n')}`;
  writeFileSync(join(import.meta.dirname, 'README.md'), text);
}
