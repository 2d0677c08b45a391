import { readFile } from 'node:fs/promises';
import { parseSecrets, type SecretSource } from '../config.ts';
import { describe, type Log } from '../log.ts';

/** Secrets this old are read again. */
const MAX_AGE_MS = 60_000;
/** A signature that none of the secrets made may mean a rotation, but a forger must not make us read for each request. */
const MISMATCH_INTERVAL_MS = 5_000;
/** Each read of a mounted secret is a call to Secret Manager: it must not eat the time there is for publishing. */
const READ_TIMEOUT_MS = 1_000;

/** The shared secrets, kept up to date with their file. The last good ones are kept where it cannot be read. */
export class Secrets {
  readonly #file: string | undefined;
  readonly #log: Log;
  readonly #now: () => number;
  #secrets: readonly string[];
  #readAt: number;
  #reading: Promise<void> | undefined;

  constructor({ secrets, file }: SecretSource, log: Log, now: () => number) {
    this.#secrets = secrets;
    this.#file = file;
    this.#log = log;
    this.#now = now;
    this.#readAt = now();
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
    if (this.#reading === undefined && this.#now() - this.#readAt >= maxAgeMs) {
      this.#readAt = this.#now();
      this.#reading = this.#read(this.#file).finally(() => {
        this.#reading = undefined;
      });
    }
    await this.#reading;
  }

  async #read(file: string): Promise<void> {
    try {
      const contents = await readFile(file, { encoding: 'utf8', signal: AbortSignal.timeout(READ_TIMEOUT_MS) });
      this.#secrets = parseSecrets(contents, `HERON_SHARED_SECRET_FILE ${file}`);
    } catch (error) {
      this.#log('ERROR', 'The shared secret could not be read again; the last good one is used.', {
        outcome: 'secret_stale',
        error: describe(error),
      });
    }
  }
}
