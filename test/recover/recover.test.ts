import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { eventOf, type HeronEvent } from '../../functions/events/event.ts';
import { type Instant, instantOf } from '../../functions/heron/instant.ts';
import type { LogFields } from '../../functions/log.ts';
import { HeronApi } from '../../functions/recover/heron-api.ts';
import { type RecoverOptions, recover } from '../../functions/recover/recover.ts';
import { MemoryStore } from '../../functions/store/memory.ts';
import { MemoryRecoveryLedger } from '../../functions/store/recovery.ts';
import { HeronStandIn, type StandInAttempt } from './heron-stand-in.ts';

const NOW = Date.UTC(2026, 10, 25, 12);
const at = (minutesAgo: number): Instant => instantOf(NOW - minutesAgo * 60_000);

let heron: HeronStandIn;
let store: MemoryStore;
let ledger: MemoryRecoveryLedger;
let accepted: HeronEvent[];
let lines: LogFields[];
let pauses: number[];
let accept: (event: HeronEvent) => Promise<void>;
let url: string;

beforeEach(async () => {
  heron = new HeronStandIn();
  url = await heron.start();
  store = new MemoryStore(() => at(0));
  ledger = new MemoryRecoveryLedger();
  accepted = [];
  lines = [];
  pauses = [];
  accept = async (event) => {
    accepted.push(event);
    await store.append([event]);
  };
});

afterEach(() => heron.stop());

function run(options: RecoverOptions = {}, { key = 'key_test', callMs = 15_000 } = {}) {
  const { signal } = new AbortController();
  const pause = async (milliseconds: number) => {
    if (milliseconds > 0) pauses.push(milliseconds);
  };
  const api = new HeronApi({ url, key: async () => key, callMs, stopwatch: () => 0, signal, pause, random: () => 1 });
  return recover(
    {
      api,
      eventLog: store,
      ledger,
      accept: (event) => accept(event),
      log: (_severity, _message, fields = {}) => lines.push(fields),
      clock: () => at(0),
    },
    options,
  );
}

/** A webhook as Heron's Python writes it, with spaces. */
function sent(n: number, status = 'processed'): string {
  return `{"topic": "end_user.processed", "created": "2026-11-25T11:00:00.${String(n).padStart(6, '0')}", "data": {"heron_id": "eus_${n}", "status": "${status}", "score": 1.10, "id": 9007199254740991}, "meta": null}`;
}

function attempt(n: number, more: Partial<StandInAttempt> = {}): StandInAttempt {
  return {
    heron_id: `evt_${n}`,
    topic: 'end_user.processed',
    created: at(60),
    next_retry_at: null,
    payload: JSON.parse(sent(n)),
    ...more,
  };
}

describe('recovery', () => {
  it('brings in what Heron gave up, by ingest’s own way', async () => {
    heron.attempts = [attempt(1), attempt(2)];
    expect(await run()).toMatchObject({ attempts: 2, recovered: 2, failed: 0, complete: true });
    expect(accepted.map(({ heron_id, status }) => [heron_id, status])).toEqual([
      ['eus_1', 'processed'],
      ['eus_2', 'processed'],
    ]);
    expect(lines).toMatchObject([
      { outcome: 'recovered', heron_id: 'eus_1', attempt_id: 'evt_1' },
      { attempt_id: 'evt_2' },
    ]);
  });

  it('leaves what the log has, though its bytes were others', async () => {
    await store.append([eventOf(Buffer.from(sent(1).replace('1.10', '1.1')), at(59))]);
    heron.attempts = [attempt(1)];
    expect(await run()).toMatchObject({ recovered: 0, in_log: 1 });
    expect(accepted).toEqual([]);
  });

  it('takes another data of the same moment for another event', async () => {
    await store.append([eventOf(Buffer.from(sent(1, 'failed')), at(59))]);
    heron.attempts = [attempt(1)];
    expect(await run()).toMatchObject({ recovered: 1, in_log: 0 });
  });

  it('leaves to Heron what Heron will try again, and looks at it in the next run', async () => {
    heron.attempts = [attempt(1, { created: at(35), next_retry_at: at(-10) })];
    expect(await run()).toMatchObject({ retrying: 1, recovered: 0 });
    expect(heron.calls).toEqual(['GET /api/webhooks/deliveries']);
    expect(await ledger.mark()).toBe(at(35));
    heron.attempts = [attempt(1, { created: at(35) })];
    expect(await run()).toMatchObject({ retrying: 0, recovered: 1 });
  });

  it('leaves what is younger than Heron’s retries take, whatever it says: another attempt may be on its way', async () => {
    heron.attempts = [
      attempt(1, { created: at(30.9) }),
      attempt(2, { created: at(30.9), next_retry_at: at(30) }),
      attempt(3, { created: at(31.1) }),
    ];
    expect(await run()).toMatchObject({ retrying: 2, recovered: 1 });
    expect(accepted.map(({ heron_id }) => heron_id)).toEqual(['eus_3']);
  });

  it('does not wait for ever for a retry that was due and did not come', async () => {
    heron.attempts = [attempt(1, { next_retry_at: at(9) }), attempt(2, { next_retry_at: at(11) })];
    expect(await run()).toMatchObject({ retrying: 1, recovered: 1 });
  });

  it('brings in once what failed at several attempts', async () => {
    heron.attempts = [attempt(1), attempt(1, { heron_id: 'evt_1b' }), attempt(1, { heron_id: 'evt_1c' })];
    accept = async (event) => {
      accepted.push(event); // the projector is behind: the log does not have it yet
    };
    expect(await run()).toMatchObject({ recovered: 1, in_log: 2 });
    expect(accepted).toHaveLength(1);
  });

  it('asks Heron to send again what it has no payload of, and does so once', async () => {
    heron.attempts = [attempt(1, { payload: null }), attempt(2)];
    expect(await run()).toMatchObject({ resend_requested: 1, recovered: 1 });
    expect(await run()).toMatchObject({ resend_requested: 0, settled: 2 });
    expect(heron.resent).toEqual(['evt_1']);
  });

  it('in a dry run changes nothing, anywhere', async () => {
    heron.attempts = [attempt(1), attempt(2, { payload: null })];
    expect(await run({ dryRun: true })).toMatchObject({ recovered: 1, resend_requested: 1 });
    expect({ accepted, resent: heron.resent, mark: await ledger.mark(), settled: ledger.attempts.size }).toEqual({
      accepted: [],
      resent: [],
      mark: null,
      settled: 0,
    });
  });

  it('killed between two attempts goes on where it was', async () => {
    heron.attempts = Array.from({ length: 120 }, (_, n) => attempt(n));
    const stop = new AbortController();
    accept = async (event) => {
      accepted.push(event);
      if (accepted.length === 70) stop.abort();
    };
    expect(await run({ signal: stop.signal })).toMatchObject({ recovered: 70, complete: false });
    expect(await ledger.mark()).toBeNull();
    expect(await run()).toMatchObject({ recovered: 50, settled: 70, complete: true });
    expect(new Set(accepted.map(({ event_id }) => event_id)).size).toBe(120);
  });

  it('reads each page, while attempts move from one to the next', async () => {
    heron.attempts = Array.from({ length: 130 }, (_, n) => attempt(n));
    heron.beforePage = (page) => {
      if (page > 0 && page < 3) heron.attempts.unshift(attempt(1_000 + page, { created: at(40) }));
    };
    expect(await run()).toMatchObject({ complete: true, recovered: 130 });
    expect(await run()).toMatchObject({ complete: true, recovered: 2 });
  });

  it('begins at the last run’s end, with an hour of overlap, and never goes back', async () => {
    await ledger.advance(at(120));
    heron.attempts = [attempt(1, { created: at(179) }), attempt(2, { created: at(181) })];
    expect(await run()).toMatchObject({ since: at(180), recovered: 1, attempts: 1 });
    expect(await ledger.mark()).toBe(at(0));
    await run({ since: at(600) });
    expect(await ledger.mark()).toBe(at(0));
  });

  it('one attempt that cannot be read holds up no other, and is looked at again', async () => {
    heron.attempts = [attempt(1, { payload: 17 }), attempt(2)];
    expect(await run()).toMatchObject({ failed: 1, recovered: 1, reasons: [expect.stringContaining('payload')] });
    expect(await ledger.mark()).toBe(at(60));
    heron.attempts[0] = attempt(1);
    expect(await run()).toMatchObject({ failed: 0, recovered: 1 });
  });

  it('stops where Pub/Sub takes nothing, and loses nothing by it', async () => {
    heron.attempts = Array.from({ length: 20 }, (_, n) => attempt(n));
    accept = () => Promise.reject(Object.assign(new Error('down'), { code: 14, details: 'down' }));
    expect(await run()).toMatchObject({ failed: 5, recovered: 0, complete: false, reasons: ['14 down'] });
    expect({ mark: await ledger.mark(), settled: ledger.attempts.size }).toEqual({ mark: null, settled: 0 });
  });

  it('two at once bring in each event, and the log has each once', async () => {
    heron.attempts = Array.from({ length: 60 }, (_, n) => attempt(n));
    await Promise.all([run(), run()]);
    const ids = new Set(accepted.map(({ event_id }) => event_id));
    expect(ids.size).toBe(60);
    for (const id of ids) expect(await store.event(id)).not.toBeNull();
  });
});

describe('Heron’s API', () => {
  it.each(['rate_limited', 'error', 'cut_off', 'broken_json'] as const)(
    'that answers once with %s is asked again',
    async (fault) => {
      heron.attempts = [attempt(1)];
      heron.faults.push(fault, fault, null, fault);
      expect(await run()).toMatchObject({ recovered: 1, failed: 0 });
      expect(pauses.length).toBeGreaterThanOrEqual(3);
    },
  );

  it('that falls silent is asked again over a new connection', async () => {
    heron.attempts = [attempt(1)];
    heron.faults.push('silent');
    expect(await run({}, { callMs: 1_000 })).toMatchObject({ recovered: 1 });
    expect(heron.calls).toHaveLength(3);
  });

  it('is left alone for as long as it says', async () => {
    heron.attempts = [attempt(1)];
    heron.faults.push('rate_limited');
    await run();
    expect(pauses).toContain(7_000);
  });

  it('that refuses the key ends the run, and says what to set', async () => {
    heron.attempts = [attempt(1)];
    await expect(run({}, { key: 'wrong' })).rejects.toThrow(/answered 403 \(Forbidden: no such key\).*HERON_API_KEY/);
    expect(heron.calls).toHaveLength(1);
  });

  it('that stays out of order ends the run with its last answer', async () => {
    heron.faults.push(...Array.from({ length: 10 }, () => 'error' as const));
    await expect(run()).rejects.toThrow("GET /webhooks/deliveries: Heron's API answered 500 (Internal Server Error).");
    expect(heron.calls).toHaveLength(6);
  });

  it('that cannot be reached is told apart from one that refuses', async () => {
    await heron.stop();
    await expect(run()).rejects.toThrow(/could not be reached \(ECONNREFUSED\)/);
  });
});
