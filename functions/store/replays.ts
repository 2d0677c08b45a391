import type { DocumentReference, Firestore } from '@google-cloud/firestore';
import type { StoreConfig } from '../config.ts';
import type { Instant } from '../heron/instant.ts';
import { Connection } from './connection.ts';

const CALL_MS = 15_000;

/** How far a replay has come. It names no end user. */
export type ReplayState = {
  /** What its messages are marked with. */
  readonly id: string;
  readonly started: Instant;
  /** The parts of the log that are through. */
  readonly done: readonly string[];
  /** Where it is in another. */
  readonly at: { readonly part: string; readonly cursor: unknown } | null;
  readonly events: number;
  readonly failed: number;
};

/** A process that sends a replay. */
export type Runner = { readonly token: string; readonly host: string; readonly pid: number };

/**
 * Whether a replay is ours to send: `resumed` where another process began it; `running` while one that seems to live
 * sends it, whose `beat` changes every few seconds; `finished` where that one came to its end meanwhile.
 */
export type Claimed = { readonly state: ReplayState } & (
  | { readonly kind: 'begun' | 'resumed' | 'finished' }
  | { readonly kind: 'running'; readonly runner: Runner; readonly beat: number }
);

export type Claim = {
  /** Where there is none that is not at its end. */
  readonly fresh: ReplayState;
  readonly runner: Runner;
  /** Whether a process is known to be dead. */
  readonly isDead: (runner: Runner, beat: number) => boolean;
  /** The replay that somebody else was seen to send. */
  readonly following: string | null;
  /** Takes the place of one that is not at its end, too. */
  readonly restart: boolean;
};

/** Another process sends the replay now. */
export class TakenOver extends Error {
  override readonly name = 'TakenOver';
}

type Document = { state: string; runner: Runner; beat: number; is_finished: boolean };

/**
 * What replays remember, so that each goes on wherever it is run again, and two who run the same do it once:
 * `upkeep/replay-{name}` in Firestore.
 */
export class Replays {
  readonly #connection: Connection;

  constructor(config: StoreConfig) {
    this.#connection = new Connection(config, { callMs: CALL_MS });
  }

  claim(name: string, { fresh, runner, isDead, following, restart }: Claim): Promise<Claimed> {
    return this.#connection.write<Claimed>(async (db, transaction) => {
      const document = documentOf(db, name);
      const found = (await transaction.get(document)).data();
      const begun = found && (JSON.parse(found.state) as ReplayState);
      if (found === undefined || begun === undefined || restart || (found.is_finished && begun.id !== following)) {
        transaction.set(document, { state: JSON.stringify(fresh), runner, beat: 0, is_finished: false });
        return { kind: 'begun', state: fresh };
      }
      if (found.is_finished) return { kind: 'finished', state: begun };
      if (!isDead(found.runner, found.beat))
        return { kind: 'running', state: begun, runner: found.runner, beat: found.beat };
      transaction.update(document, { runner, beat: found.beat + 1 });
      return { kind: 'resumed', state: begun };
    });
  }

  /** Keeps how far it has come, which says as well that its process lives. @throws TakenOver */
  save(name: string, { token }: Runner, state: ReplayState, isFinished = false): Promise<void> {
    return this.#connection.write(async (db, transaction) => {
      const document = documentOf(db, name);
      const found = (await transaction.get(document)).data();
      if (found?.runner.token !== token) throw new TakenOver('Another process sends this replay now.');
      transaction.update(document, { state: JSON.stringify(state), beat: found.beat + 1, is_finished: isFinished });
    });
  }

  close(): Promise<void> {
    return this.#connection.close();
  }
}

function documentOf(db: Firestore, name: string): DocumentReference<Document> {
  return db.doc(`upkeep/replay-${name}`) as DocumentReference<Document>;
}
