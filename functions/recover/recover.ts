import type { Clock } from '../clock.ts';
import { eventOf, type HeronEvent } from '../events/event.ts';
import { type Attempt, UnexpectedAnswer } from '../heron/answers.ts';
import { epoch, type Instant, instantOf } from '../heron/instant.ts';
import { describe, type Log } from '../log.ts';
import type { RecoveryLedger, Settled } from '../store/recovery.ts';
import { type HeronApi, HeronApiError } from './heron-api.ts';
import { type EventLog, isInLog, samenessOf } from './same.ts';

export type RecoverDependencies = {
  readonly api: Pick<HeronApi, 'failedAttempts' | 'payload' | 'resend'>;
  readonly eventLog: EventLog;
  readonly ledger: RecoveryLedger;
  /** Ingest's own way in: resolves once Pub/Sub has the event. */
  readonly accept: (event: HeronEvent) => Promise<void>;
  readonly log: Log;
  readonly clock: Clock;
};

export type RecoverOptions = {
  /** Attempts from then on; by default those since the last run, and all that Heron still has for the first. */
  readonly since?: Instant | undefined;
  /** Looks, and brings nothing in. */
  readonly dryRun?: boolean | undefined;
  /** Stops between two attempts; what is left is the next run's. */
  readonly signal?: AbortSignal | undefined;
  readonly onAttempt?: ((outcome: Outcome, attempt: Attempt) => void) | undefined;
};

/** `settled`: an earlier run dealt with it; `retrying`: Heron will send it again by itself; `failed`: the next run's. */
export type Outcome = Settled | 'settled' | 'retrying' | 'failed';

export type Recovered = Readonly<Record<Outcome, number>> & {
  readonly attempts: number;
  readonly since: Instant | null;
  /** Whether all pages were read and each attempt in them was looked at. */
  readonly complete: boolean;
  /** Why some failed, each reason once; nothing sensitive. */
  readonly reasons: readonly string[];
};

/** Before the mark, as attempts may show up in Heron's list late. */
const OVERLAP_MS = 3_600_000;
/** A retry that was due so long ago and did not come is not coming. */
const OVERDUE_MS = 600_000;
/**
 * Heron tries again 1, 5 and 15 minutes later. Whether it lists each try by itself, and then what it says of the
 * earlier ones, is not documented: so long none of them says that no other will come.
 */
const RETRYING_MS = 21 * 60_000 + OVERDUE_MS;
/** So many failures one after another are an outage: the rest would fare no better. */
const OUTAGE = 5;
const NONE: Readonly<Record<Outcome, number>> = {
  recovered: 0,
  in_log: 0,
  resend_requested: 0,
  settled: 0,
  retrying: 0,
  failed: 0,
};

/**
 * Brings in what Heron failed to deliver and has given up: from the payloads that it stores, by ingest's own way in, or
 * where it has none by asking it to send once more. Safe to repeat, to kill, and to run twice at once: each attempt is
 * dealt with before it is remembered, and what comes twice is a duplicate.
 * @throws HeronApiError, UnexpectedAnswer where the list cannot be read: nothing is lost, the next run begins there.
 */
export async function recover(dependencies: RecoverDependencies, options: RecoverOptions = {}): Promise<Recovered> {
  const { api, ledger, clock } = dependencies;
  const { dryRun = false, signal } = options;
  const began = clock();
  const since = options.since ?? before(await ledger.mark(), OVERLAP_MS);
  const tally = { ...NONE };
  const reasons = new Set<string>();
  const accepted = new Set<string>();
  let attempts = 0;
  let failuresInARow = 0;
  let unfinished = began;
  let complete = false;

  const count = (outcome: Outcome, attempt: Attempt) => {
    attempts++;
    tally[outcome]++;
    // The mark must not pass what the next run has to look at again.
    const { attempted_at } = attempt;
    if ((outcome === 'retrying' || outcome === 'failed') && (attempted_at ?? since ?? '') < unfinished)
      unfinished = attempted_at ?? since ?? unfinished;
    options.onAttempt?.(outcome, attempt);
  };

  const seen = new Set<string | null>();
  let cursor: string | null = null;
  reading: do {
    if (seen.has(cursor))
      throw new UnexpectedAnswer("Heron's API names a page of deliveries as the next that was read before.");
    seen.add(cursor);
    const page = await api.failedAttempts(cursor);
    const due = page.attempts.filter(
      ({ attempted_at }) => since === null || attempted_at === null || attempted_at >= since,
    );
    const settled = await ledger.settled(due.map(({ heron_id }) => heron_id));
    for (const attempt of due) {
      if (signal?.aborted || failuresInARow >= OUTAGE) break reading;
      if (settled.has(attempt.heron_id)) count('settled', attempt);
      else if (mayComeAgain(attempt, began)) count('retrying', attempt);
      else {
        try {
          count(await recoverOne(dependencies, attempt, accepted, dryRun), attempt);
          failuresInARow = 0;
        } catch (error) {
          if (isRefusedForAll(error)) throw error;
          failuresInARow++;
          reasons.add(reasonOf(error));
          dependencies.log('ERROR', `An attempt of Heron's could not be recovered: ${reasonOf(error)}`, {
            outcome: 'recovery_failed',
            attempt_id: attempt.heron_id,
          });
          count('failed', attempt);
        }
      }
    }
    cursor = page.next;
    complete = cursor === null;
  } while (cursor !== null);

  // What was chosen by hand says nothing of what came before.
  if (complete && !dryRun && options.since === undefined) await ledger.advance(unfinished);
  return { ...tally, attempts, since, complete, reasons: [...reasons] };
}

async function recoverOne(
  { api, eventLog, ledger, accept, log, clock }: RecoverDependencies,
  { heron_id: attemptId }: Attempt,
  accepted: Set<string>,
  dryRun: boolean,
): Promise<Settled> {
  const payload = await api.payload(attemptId);
  if (payload === null) {
    if (dryRun) return 'resend_requested';
    await api.resend(attemptId);
    await ledger.settle(attemptId, 'resend_requested');
    log('WARNING', 'Heron has no payload of an attempt that it gave up, and was asked to send it again.', {
      outcome: 'resend_requested',
      attempt_id: attemptId,
    });
    return 'resend_requested';
  }
  const event = eventOf(payload, clock());
  const sameness = samenessOf(payload) ?? event.event_id;
  // Several attempts may have failed with the same webhook, and the log may not have what was brought in just now.
  const isKnown = accepted.has(sameness) || (await isInLog(eventLog, event));
  const outcome = isKnown ? 'in_log' : 'recovered';
  if (dryRun) {
    accepted.add(sameness);
    return outcome;
  }
  if (!isKnown) {
    await accept(event);
    const { topic, event_id, heron_id, body } = event;
    log('WARNING', 'recovered: Heron had given it up', {
      outcome: 'recovered',
      attempt_id: attemptId,
      topic,
      event_id,
      heron_id,
      bytes: body.byteLength,
    });
  }
  accepted.add(sameness);
  await ledger.settle(attemptId, outcome);
  return outcome;
}

/** Brought in now, it might come by Heron once more, in other bytes and so as another event. */
function mayComeAgain({ attempted_at, next_retry_at }: Attempt, now: Instant): boolean {
  const isAfter = (time: Instant | null, milliseconds: number) =>
    time !== null && time > (before(now, milliseconds) ?? now);
  return isAfter(next_retry_at, OVERDUE_MS) || isAfter(attempted_at, RETRYING_MS);
}

function before(instant: Instant | null, milliseconds: number): Instant | null {
  if (instant === null) return null;
  const { seconds, microseconds } = epoch(instant);
  return instantOf(seconds * 1_000 + Math.floor(microseconds / 1_000) - milliseconds);
}

/** The key, or the address, is wrong, or time is up: no other attempt would fare better. */
function isRefusedForAll(error: unknown): boolean {
  if (error instanceof HeronApiError) return error.status === 401 || error.status === 403;
  return (error as { name?: unknown })?.name === 'AbortError';
}

function reasonOf(error: unknown): string {
  return error instanceof HeronApiError || error instanceof UnexpectedAnswer ? error.message : describe(error);
}
