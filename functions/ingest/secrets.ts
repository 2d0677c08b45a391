import { readFile } from 'node:fs/promises';
import type { Stopwatch } from '../clock.ts';
import { ConfigError, parseSecrets, type SecretSource } from '../config.ts';
import { within } from '../deadline.ts';
import { describe, type Log } from '../log.ts';

/** Secrets this old are read again. */
const MAX_AGE_MS = 60_000;
/** A signature that none of the secrets made may mean a rotation, but a forger must not make us read for each request. */
const MISMATCH_INTERVAL_MS = 5_000;
/** Each read of a mounted secret is a call to Secret Manager: it must not eat the time there is for publishing. */
const PATIENCE_MS = 1_000;

/** The shared secrets, kept up to date with their file. The last good ones are kept where it cannot be read. */
export class Secrets {
  readonly #file: string | undefined;
  readonly #log: Log;
  readonly #stopwatch: Stopwatch;
  #secrets: readonly string[];
  #readAt: number;
  #reading = false;
  /** Until the latest read is done, or has taken too long to be waited for. */
  #patience: Promise<void> = Promise.resolve();

  constructor({ secrets, file }: SecretSource, log: Log, stopwatch: Stopwatch) {
    this.#secrets = secrets;
    this.#file = file;
    this.#log = log;
    this.#stopwatch = stopwatch;
    this.#readAt = stopwatch();
  }

  /** @param valid whether it is the right one, asked at most twice: of the secrets known, and of those read again. */
  async some(valid: (secrets: readonly string[]) => boolean): Promise<boolean> {
    await this.#refresh(MAX_AGE_MS);
    if (valid(this.#secrets)) return true;
    const before = this.#secrets;
    await this.#refresh(MISMATCH_INTERVAL_MS);
    return this.#secrets !== before && valid(this.#secrets);
  }

  async #refresh(maxAgeMs: number): Promise<void> {
    if (this.#file === undefined) return;
    // Never two reads at once: one that hangs holds a thread of the few there are, and no signal can stop it.
    if (!this.#reading && this.#stopwatch() - this.#readAt >= maxAgeMs) {
      this.#readAt = this.#stopwatch();
      this.#patience = within(PATIENCE_MS, this.#read(this.#file), () =>
        this.#stale(`the read takes over ${PATIENCE_MS} ms`),
      );
    }
    await this.#patience;
  }

  async #read(file: string): Promise<void> {
    this.#reading = true;
    try {
      this.#secrets = parseSecrets(await readFile(file, 'utf8'), 'HERON_SHARED_SECRET_FILE');
    } catch (error) {
      this.#stale(error instanceof ConfigError ? error.message : describe(error));
    }
    this.#reading = false;
  }

  #stale(error: string): void {
    this.#log('ERROR', 'The shared secret could not be read again; the last good one is used.', {
      outcome: 'secret_stale',
      error,
    });
  }
}
