import { type EndUserEvent, Unprocessable } from '../events/event.ts';
import type { Appended } from '../store/store.ts';

/** What may share a transaction: inline bodies of 32 KiB each stay under the emulator's 4 MiB commit. */
const MAX_BATCH = 50;
/** A transaction that hangs must not hold up its end user for longer than a message waits. */
const HUNG_MS = 20_000;

type Waiting = {
  readonly event: EndUserEvent;
  readonly signal: AbortSignal;
  readonly resolve: (outcome: Appended) => void;
  readonly reject: (error: unknown) => void;
};

/**
 * A lane for each end user: its events are appended one transaction after another, and what has queued up meanwhile
 * shares the next one. In transactions of their own, 50 at once took 20 s and a fifth of them were aborted for good.
 */
export class Lanes {
  readonly #append: (events: readonly EndUserEvent[]) => Promise<readonly Appended[]>;
  readonly #lanes = new Map<string, Waiting[]>();

  constructor(append: (events: readonly EndUserEvent[]) => Promise<readonly Appended[]>) {
    this.#append = append;
  }

  /** @param signal aborted when nobody waits for the outcome any more: the event is left out if it still can be. */
  submit(event: EndUserEvent, signal: AbortSignal): Promise<Appended> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = { event, signal, resolve, reject };
      const lane = this.#lanes.get(event.heron_id);
      if (lane !== undefined) {
        lane.push(waiting);
        return;
      }
      const opened = [waiting];
      this.#lanes.set(event.heron_id, opened);
      void this.#run(event.heron_id, opened);
    });
  }

  async #run(heronId: string, lane: Waiting[]): Promise<void> {
    while (lane.length > 0) await this.#appendNext(lane);
    this.#lanes.delete(heronId);
  }

  async #appendNext(lane: Waiting[]): Promise<void> {
    const batch = lane.splice(0, MAX_BATCH).filter(({ signal }) => !signal.aborted);
    // The same event twice in one transaction would make it fail; its second arrival is a duplicate.
    const first = new Map(batch.map((waiting) => [waiting.event.event_id, waiting] as const).reverse());
    const distinct = batch.filter((waiting) => first.get(waiting.event.event_id) === waiting);
    if (distinct.length === 0) return;
    try {
      const outcomes = await unlessHung(this.#append(distinct.map(({ event }) => event)));
      distinct.forEach((waiting, i) => {
        waiting.resolve(outcomes[i] as Appended);
      });
      for (const waiting of batch) waiting.resolve('duplicate'); // the others: resolved ones stay as they are
    } catch (error) {
      if (distinct.length === 1 || !(error instanceof Unprocessable)) {
        for (const waiting of batch) waiting.reject(error);
        return;
      }
      // One poisoned event must not take the others with it.
      for (const { event } of distinct)
        await this.#appendNext(batch.filter((waiting) => waiting.event.event_id === event.event_id));
    }
  }
}

function unlessHung<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const hung = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the transaction did not end within ${HUNG_MS} ms`)), HUNG_MS);
  });
  return Promise.race([work, hung]).finally(() => clearTimeout(timer));
}
