import { within } from '../deadline.ts';
import { type EndUserEvent, Unprocessable } from '../events/event.ts';
import type { Appended } from '../store/store.ts';

/** What may share a transaction: 50 inline bodies of 32 KiB stay under the emulator's 4 MiB commit. */
const MAX_BATCH = 50;
/** Larger bodies are written before it, a few megabytes at a time: all that must end long before it counts as hung. */
const MAX_BATCH_BYTES = 10_000_000;
/** A transaction that hangs must not hold up its end user for longer than a message waits. */
const HUNG_MS = 20_000;

type Append = (events: readonly EndUserEvent[]) => Promise<readonly Appended[]>;

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
  readonly #append: Append;
  readonly #lanes = new Map<string, Waiting[]>();

  constructor(append: Append) {
    this.#append = append;
  }

  /** How many end users have events waiting or on their way. */
  get size(): number {
    return this.#lanes.size;
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
    while (lane.length > 0) {
      const batch = takeBatch(lane);
      try {
        await this.#appendTogether(batch);
      } catch (error) {
        // The store is out of order, whatever the event: those behind would only wait for the same. All come again.
        for (const waiting of [...batch, ...lane.splice(0)]) waiting.reject(error);
      }
    }
    this.#lanes.delete(heronId);
  }

  /** Settles all of the batch, unless it throws. */
  async #appendTogether(batch: readonly Waiting[]): Promise<void> {
    for (const { signal, reject } of batch) if (signal.aborted) reject(signal.reason);
    const live = batch.filter(({ signal }) => !signal.aborted);
    // The same event twice in one transaction would make it fail; its second arrival is a duplicate.
    const arrivals = [...Map.groupBy(live, ({ event }) => event.event_id).values()];
    const events = arrivals.flatMap(([first]) => (first === undefined ? [] : [first.event]));
    if (events.length === 0) return;
    try {
      const outcomes = await within(HUNG_MS, this.#append(events), () => {
        throw new Error(`the transaction did not end within ${HUNG_MS} ms`);
      });
      arrivals.forEach(([first, ...others], i) => {
        const outcome = outcomes[i] as Appended;
        first?.resolve(outcome);
        for (const waiting of others) waiting.resolve(outcome === 'appended' ? 'duplicate' : outcome);
      });
    } catch (error) {
      if (!(error instanceof Unprocessable)) throw error;
      // One poisoned event must not take the others with it.
      if (events.length > 1) for (const waiting of arrivals) await this.#appendTogether(waiting);
      else for (const { reject } of live) reject(error);
    }
  }
}

/** Takes the first of those that wait, and as many more as may share its transaction. */
function takeBatch(lane: Waiting[]): readonly Waiting[] {
  let bytes = 0;
  const end = lane.findIndex(({ event }, i) => {
    bytes += event.body.byteLength;
    return i === MAX_BATCH || (i > 0 && bytes > MAX_BATCH_BYTES);
  });
  return lane.splice(0, end === -1 ? lane.length : end);
}
