import { readFile } from 'node:fs/promises';
import type { Stopwatch } from '../clock.ts';
import { ConfigError, fingerprints, parseSecrets, type SecretSource, suspicions } from '../config.ts';
import { within } from '../deadline.ts';
import { describe, type Log } from '../log.ts';

/** Secrets this old are read again. */
const MAX_AGE_MS = 60_000;
/** A signature that none of the secrets made may mean a rotation, but a forger must not make us read for each request. */
const MISMATCH_INTERVAL_MS = 5_000;
/** Each read of a mounted secret is a call to Secret Manager: it must not eat the time there is for publishing. */
const PATIENCE_MS = 1_000;
/** A read that takes so long may never end, and no signal can stop it: another one is begun beside it. */
const HUNG_MS = 30_000;
/** Each read that hangs holds one of the four threads that name look-ups need as well. */
const MAX_READS = 2;

/** The shared secrets, kept up to date with their file. The last good ones are kept where it cannot be read. */
export class Secrets {
  readonly #file: string | undefined;
  readonly #log: Log;
  readonly #stopwatch: Stopwatch;
  #secrets: readonly string[];
  /** When the latest read was begun, and which of them told the secrets that are known. */
  #readAt: number;
  #begun = 0;
  #known = 0;
  /** Reads that have not ended. */
  readonly #reads = new Set<number>();
  /** Until the latest read is done, or has taken too long to be waited for. */
  #patience: Promise<void> = Promise.resolve();

  constructor({ secrets, file }: SecretSource, log: Log, stopwatch: Stopwatch) {
    this.#secrets = secrets;
    this.#file = file;
    this.#log = log;
    this.#stopwatch = stopwatch;
    this.#readAt = stopwatch();
    this.#warn();
  }

  /** The secrets, read again where they are old. */
  async current(): Promise<readonly string[]> {
    await this.#refresh(MAX_AGE_MS);
    return this.#secrets;
  }

  /** @param find is asked at most twice: of the secrets known, and where it finds null, of those read again. */
  async find<T>(find: (secrets: readonly string[]) => T | null): Promise<T | null> {
    const before = await this.current();
    const found = find(before);
    if (found !== null) return found;
    await this.#refresh(MISMATCH_INTERVAL_MS);
    return this.#secrets === before ? null : find(this.#secrets);
  }

  async #refresh(maxAgeMs: number): Promise<void> {
    if (this.#file === undefined) return;
    const age = this.#stopwatch() - this.#readAt;
    if (age >= (this.#reads.size > 0 ? HUNG_MS : maxAgeMs) && this.#reads.size < MAX_READS) {
      this.#readAt = this.#stopwatch();
      this.#patience = within(PATIENCE_MS, this.#read(this.#file), () =>
        this.#stale(`the read takes over ${PATIENCE_MS} ms`),
      );
    }
    await this.#patience;
  }

  async #read(file: string): Promise<void> {
    const read = ++this.#begun;
    this.#reads.add(read);
    try {
      const secrets = parseSecrets(await readFile(file, 'utf8'), 'HERON_SHARED_SECRET_FILE');
      if (read > this.#known) this.#take(read, secrets);
    } catch (error) {
      this.#stale(error instanceof ConfigError ? error.message : describe(error));
    }
    this.#reads.delete(read);
  }

  #take(read: number, secrets: readonly string[]): void {
    this.#known = read;
    const before = this.#secrets;
    if (secrets.join('\n') === before.join('\n')) return;
    this.#secrets = secrets;
    const message = `The shared secret has changed: ${told(before)} before, ${told(secrets)} now.`;
    this.#log('NOTICE', message, { outcome: 'secret_changed' });
    this.#warn();
  }

  #warn(): void {
    const found = suspicions(this.#secrets);
    if (found.length === 0) return;
    const advice = 'It is used as it is. If that is not what Heron shows, set it to the text alone, one secret a line.';
    this.#log('WARNING', `The shared secret looks wrong: ${found.join('; ')}. ${advice}`, {
      outcome: 'secret_suspicious',
    });
  }

  #stale(error: string): void {
    this.#log('ERROR', 'The shared secret could not be read again; the last good one is used.', {
      outcome: 'secret_stale',
      error,
    });
  }
}

/** How many, and which, for who compares logs; the secrets cannot be told from it. */
function told(secrets: readonly string[]): string {
  return `${secrets.length} (${fingerprints(secrets)})`;
}
