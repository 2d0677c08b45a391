import type { Instant } from '../heron/instant.ts';

/** What became of an attempt, once and for all. */
export type Settled = 'recovered' | 'in_log' | 'resend_requested';

/** What the recovery of Heron's failed deliveries remembers from run to run, so that each attempt is dealt with once, whoever was killed on the way. */
export interface RecoveryLedger {
  /** All attempts before it are dealt with; null where there was no run yet. */
  mark(): Promise<Instant | null>;
  /** Moves the mark, never back. */
  advance(to: Instant): Promise<void>;
  /** Which of the attempts are dealt with. */
  settled(attemptIds: readonly string[]): Promise<ReadonlySet<string>>;
  settle(attemptId: string, as: Settled): Promise<void>;
  close(): Promise<void>;
}

/** Its in-memory side. */
export class MemoryRecoveryLedger implements RecoveryLedger {
  readonly attempts = new Map<string, Settled>();
  #mark: Instant | null = null;

  async mark(): Promise<Instant | null> {
    return this.#mark;
  }

  async advance(to: Instant): Promise<void> {
    if (this.#mark === null || to > this.#mark) this.#mark = to;
  }

  async settled(attemptIds: readonly string[]): Promise<ReadonlySet<string>> {
    return new Set(attemptIds.filter((id) => this.attempts.has(id)));
  }

  async settle(attemptId: string, as: Settled): Promise<void> {
    this.attempts.set(attemptId, as);
  }

  async close(): Promise<void> {}
}
