import { within } from '../deadline.ts';
import { type EndUserEvent, Unprocessable } from '../events/event.ts';
import type { Appended } from '../store/store.ts';

/** What may share an append: 50 inline bodies of 32 KiB stay under the emulator's 4 MiB commit. */
const MAX_BATCH = 50;
/** Larger bodies are written before it, a few megabytes at a time: all that must end long before it counts as hung. */
const MAX_BATCH_BYTES = 10_000_000;
/** An append that hangs must not hold up its end user for longer than a message waits. */
const HUNG_MS = 20_000;

type Append = (events: readonly EndUserEvent[]) => Promise<readonly Appended[]>;

type Waiting = {
  readonly event: EndUserEvent;
  readonly signal: AbortSignal;
  readonly resolve: (outcome: Appended) => void;
  readonly reject: (error: unknown) => void;
};

/** An event, and all who wait for it: it may have arrived several times. */
type Arrival = readonly [event: EndUserEvent, waiting: Waiting[]];

/**
 * A lane for each end user: its events are appended one after another, and what has queued up meanwhile shares
 * the next append. In transactions of their own, 50 at once took 20 s and a fifth of them were aborted for good.
 * Lanes know nothing of each other: what holds one up holds up no other.
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
        const poison = await this.#appendTogether(batch);
        // One poisoned event must not take the others with it.
        if (poison !== null) for (const [, waiting] of arrivals(batch)) await this.#appendAlone(waiting);
      } catch (error) {
        // The store is out of order, whatever the event: those behind would only wait for the same. All come again.
        for (const { reject } of [...batch, ...lane.splice(0)]) reject(error);
      }
    }
    this.#lanes.delete(heronId);
  }

  async #appendAlone(waiting: readonly Waiting[]): Promise<void> {
    const poison = await this.#appendTogether(waiting);
    if (poison !== null) for (const { reject } of waiting) reject(poison);
  }

  /** Settles all, and resolves with null; where one is Unprocessable, none but those that left, and resolves with it. */
  async #appendTogether(batch: readonly Waiting[]): Promise<Unprocessable | null> {
    const together = arrivals(batch);
    if (together.length === 0) return null;
    try {
      const appended = this.#append(together.map(([event]) => event));
      const outcomes = await within(HUNG_MS, appended, () => {
        throw new Error(`the append did not end within ${HUNG_MS} ms`);
      });
      for (const [i, outcome] of outcomes.entries()) tell(together[i]?.[1] ?? [], outcome);
      return null;
    } catch (error) {
      if (error instanceof Unprocessable) return error;
      throw error;
    }
  }
}

/** Takes the first of those that wait, and as many more as may share its append. */
function takeBatch(lane: Waiting[]): readonly Waiting[] {
  let [count, bytes] = [0, 0];
  for (const { event } of lane) {
    bytes += event.body.byteLength;
    if (count === MAX_BATCH || (count > 0 && bytes > MAX_BATCH_BYTES)) break;
    count++;
  }
  return lane.splice(0, count);
}

/** Those for which somebody still waits, each event once: the same twice in one append would make it fail. */
function arrivals(batch: readonly Waiting[]): readonly Arrival[] {
  const byId = new Map<string, Arrival>();
  for (const waiting of batch) {
    const { event, signal, reject } = waiting;
    const known = byId.get(event.event_id);
    if (signal.aborted) reject(signal.reason);
    else if (known === undefined) byId.set(event.event_id, [event, [waiting]]);
    else known[1].push(waiting);
  }
  return [...byId.values()];
}

/** The second arrival of an event is a duplicate. */
function tell(waiting: readonly Waiting[], outcome: Appended): void {
  for (const [n, { resolve }] of waiting.entries()) resolve(n > 0 && outcome === 'appended' ? 'duplicate' : outcome);
}
