import { appendFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { chaos } from './run.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    events: { type: 'string', default: '2000' },
    minutes: { type: 'string', default: '5' },
    erasures: { type: 'string', default: '3' },
    log: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
const [seed, events, minutes] = [Number(values.seed), Number(values.events), Number(values.minutes)];
const erasures = Number(values.erasures);
if (values.help || !(seed >= 0 && events > 0 && minutes > 0 && erasures >= 0)) {
  console.error('Usage: npm run chaos -- [--seed N] [--events N] [--minutes N] [--erasures N] [--log FILE]');
  process.exit(values.help ? 0 : 2);
}
// Ends the processes of the run too: they are killed when this one exits.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(130));

console.log(`Seed ${seed}: ${events} webhooks in ${minutes} minutes of faults.`);
const { log = '/dev/null' } = values;
writeFileSync(log, '');
const onLog = (name: string, line: string) => appendFileSync(log, `${new Date().toISOString()} ${name}: ${line}\n`);
const { problems, answers, ...ledger } = await chaos({
  seed,
  events,
  minutes,
  erasures,
  onProgress: console.log,
  onLog,
});
console.log();
for (const [name, value] of Object.entries(ledger)) console.log(`  ${name.padEnd(14)}${value}`);
console.log(`  ${'answers'.padEnd(14)}${JSON.stringify(answers)}`);
for (const problem of problems) console.error(`  ${problem}`);
if (problems.length > 0) {
  const same = `--seed ${seed} --events ${events} --minutes ${minutes} --erasures ${erasures}`;
  console.error(`\nTo see it again: npm run chaos -- ${same}`);
  process.exit(1);
}
