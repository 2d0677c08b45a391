import { describe, expect, it } from 'vitest';
import { chaos } from './run.ts';
import { ownEmulators } from './system.ts';

const installed = Object.values(ownEmulators()).every(({ kind }) => kind === 'installed');

// A short run, of a seed that draws every kind of fault; `npm run chaos` makes longer ones, with other seeds.
const RUN = { seed: 230, events: 150, minutes: 0.25, erasures: 1 };
/** Mostly two: an end user whose transaction was cut off, or who is erased, waits until Firestore gives its lock up. */
const MOST_MS = 480_000;

describe.skipIf(!installed)('while processes are killed and connections break', () => {
  it('no webhook that was answered 2xx is lost, no forged one is taken, and each state is that of the log', {
    timeout: MOST_MS,
  }, async () => {
    const lines: string[] = [];
    const ledger = await chaos({ ...RUN, onProgress: (line) => lines.push(line) });
    expect(ledger.problems, lines.join('\n')).toEqual([]);
    expect(ledger.lost).toBe(0);
    expect(ledger.answered).toBeGreaterThan(ledger.sent / 2);
    expect(ledger.forged).toBeGreaterThan(0);
    expect(ledger.deadLettered).toBeGreaterThan(0);
    expect(ledger.erased).toBeGreaterThan(0);
  });
});
