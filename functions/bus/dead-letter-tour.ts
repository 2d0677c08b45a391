import { isEventId } from '../events/event.ts';
import type { Pulled, Subscriber } from './bus.ts';
import { type DeadLetter, deadLetterOf } from './dead-letter.ts';
import { deadLetterTopic } from './topology.ts';

/** At most this many are asked for at once; Pub/Sub gives fewer, the larger they are. */
const PULL = 100;
/** An empty pull does not mean that none waits: before the end this many more must be empty, all at once. */
const LAST_PULLS = 3;
/** Pub/Sub takes 512 KiB of ack ids in a request, some 200 bytes each. */
const MAX_ACK_IDS = 1000;

/** What a subscription has handed out, until it is acknowledged or given back. */
class Held implements Hold {
  readonly #subscriber: Subscriber;
  readonly #subscription: string;
  /** The newest ack id of each message: one is handed out again after its ack deadline. */
  readonly #ackIds = new Map<string, string>();
  readonly #acknowledged = new Set<string>();

  constructor(subscriber: Subscriber, subscription: string) {
    this.#subscriber = subscriber;
    this.#subscription = subscription;
  }

  /** @param times how many pulls, all at once. */
  async pull(times: number): Promise<readonly Pulled[]> {
    const pull = () => this.#subscriber.pull(this.#subscription, PULL);
    const pulls = await Promise.allSettled(Array.from({ length: times }, pull));
    const pulled = pulls.flatMap((each) => (each.status === 'fulfilled' ? each.value : []));
    for (const { messageId, ackId } of pulled) this.#ackIds.set(messageId, ackId);
    for (const each of pulls) if (each.status === 'rejected') throw each.reason;
    // Those that come again although they were acknowledged: too late, or the answer was lost.
    await this.acknowledge(pulled.map(({ messageId }) => messageId).filter((id) => this.#acknowledged.has(id)));
    return pulled;
  }

  async acknowledge(messageIds: readonly string[]): Promise<void> {
    const ackIds = messageIds.flatMap((id) => this.#ackIds.get(id) ?? []);
    await inRequests(ackIds, (some) => this.#subscriber.acknowledge(this.#subscription, some));
    for (const id of messageIds) {
      this.#ackIds.delete(id);
      this.#acknowledged.add(id);
    }
  }

  /** Never rejects: what cannot be given back comes back by itself once its ack deadline is over. */
  async release(): Promise<void> {
    const ackIds = [...this.#ackIds.values()];
    await inRequests(ackIds, (some) => this.#subscriber.release(this.#subscription, some)).catch(() => {});
  }
}

async function inRequests(ackIds: readonly string[], send: (some: readonly string[]) => Promise<void>): Promise<void> {
  for (let i = 0; i < ackIds.length; i += MAX_ACK_IDS) await send(ackIds.slice(i, i + MAX_ACK_IDS));
}

/** What a visit may do with the dead letters that it got. */
export type Hold = {
  /** They are gone for good. */
  acknowledge(messageIds: readonly string[]): Promise<void>;
};

export type Tour = {
  readonly subscriber: Subscriber;
  /** The subscriber's name. */
  readonly name: string;
  /** By the dead letter's id, or by the event's, of which there may be several. */
  readonly chosen: 'all' | readonly string[];
  /** Ends it early, in order. */
  readonly signal?: AbortSignal | undefined;
  /** @param met how many so far, chosen or not. */
  readonly onProgress?: ((met: number) => void) | undefined;
};

export type Toured = {
  /** The ids of which none was met. */
  readonly missing: readonly string[];
  /** Whether it ended before all were met. One that somebody else holds just now is not met, which nobody can tell. */
  readonly incomplete: boolean;
};

/**
 * Meets each of a subscriber's dead letters once, and leaves there what the visit did not acknowledge: held back from
 * others meanwhile, and given back at the end. Where the process is killed, Pub/Sub takes them back after a minute.
 * @param visit gets those that are chosen, some at a time.
 */
export async function visitDeadLetters(
  { subscriber, name, chosen, signal, onProgress }: Tour,
  visit: (letters: readonly DeadLetter[], held: Hold) => Promise<void>,
): Promise<Toured> {
  const held = new Held(subscriber, deadLetterTopic(name));
  const met = new Set<string>();
  const choice = choiceOf(chosen);
  let quiet = false;
  let repeated = 0;
  try {
    while (!signal?.aborted) {
      const pulled = await held.pull(quiet ? LAST_PULLS : 1);
      const fresh = new Map(
        pulled.filter(({ messageId }) => !met.has(messageId)).map((each) => [each.messageId, each]),
      );
      for (const id of fresh.keys()) met.add(id);
      onProgress?.(met.size);
      await visit(choice.among([...fresh.values()].map((each) => deadLetterOf(name, each))), held);
      if (choice.isComplete() || (quiet && pulled.length === 0))
        return { missing: choice.missing(), incomplete: false };
      // So many that the first come again before the last have come. All have come again: there is no end to it.
      repeated = fresh.size > 0 ? 0 : repeated + pulled.length;
      if (repeated > met.size) break;
      quiet = pulled.length === 0;
    }
    return { missing: choice.missing(), incomplete: true };
  } finally {
    await held.release();
  }
}

/** Keeps account of which of the ids are still to be met. */
function choiceOf(chosen: Tour['chosen']) {
  const missing = new Set(chosen === 'all' ? [] : chosen);
  const named = new Set(missing);
  const isNamed = ({ id, event_id }: DeadLetter) => {
    const names = [id, event_id ?? id].filter((name) => named.has(name));
    for (const name of names) missing.delete(name);
    return names.length > 0;
  };
  const someMayFollow = chosen === 'all' || chosen.some(isEventId);
  return {
    among: (letters: readonly DeadLetter[]) => (chosen === 'all' ? letters : letters.filter(isNamed)),
    missing: () => [...missing],
    isComplete: () => missing.size === 0 && !someMayFollow,
  };
}
