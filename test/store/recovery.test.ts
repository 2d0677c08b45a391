import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { clock } from '../../functions/clock.ts';
import { type Instant, instantOf } from '../../functions/heron/instant.ts';
import { FirestoreRecoveryLedger } from '../../functions/store/firestore-recovery.ts';
import { MemoryRecoveryLedger, type RecoveryLedger } from '../../functions/store/recovery.ts';
import { hasFirestore, newProject } from '../emulators.ts';

const at = (seconds: number): Instant => instantOf(Date.UTC(2026, 10, 25) + seconds * 1_000);

function ledgerContract(open: () => RecoveryLedger): void {
  let ledger: RecoveryLedger;
  beforeEach(() => {
    ledger = open();
  });
  afterEach(() => ledger.close());

  it('has no mark before it is moved, and it is never moved back', async () => {
    expect(await ledger.mark()).toBeNull();
    await ledger.advance(at(2));
    await Promise.all([ledger.advance(at(5)), ledger.advance(at(3))]);
    await ledger.advance(at(1));
    expect(await ledger.mark()).toBe(at(5));
  });

  it('knows what was settled, however often', async () => {
    expect(await ledger.settled([])).toEqual(new Set());
    await ledger.settle('evt_a', 'recovered');
    await ledger.settle('evt_a', 'in_log');
    await ledger.settle('evt_b', 'resend_requested');
    expect(await ledger.settled(['evt_a', 'evt_b', 'evt_c'])).toEqual(new Set(['evt_a', 'evt_b']));
  });
}

describe('the ledger of recovery in memory', () => {
  ledgerContract(() => new MemoryRecoveryLedger());
});

describe.skipIf(!hasFirestore)('the ledger of recovery in Firestore', () => {
  ledgerContract(() => new FirestoreRecoveryLedger({ projectId: newProject(), databaseId: '(default)' }, clock));
});
