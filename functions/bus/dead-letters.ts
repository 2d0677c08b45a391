import { eventId, isEventId } from '../events/event.ts';
import type { Message } from '../events/message.ts';
import { CODE, codeOf } from '../grpc.ts';
import { type Instant, parseInstant, rfc3339 } from '../heron/instant.ts';
import type { Publisher, Pulled, Subscriber } from './bus.ts';
import { deadLetterTopic, replayTopic } from './topology.ts';

/** Why a subscriber gave a message up, and where it came from. */
export type Cause = {
  readonly subscriber: string;
  /** Quotes nothing of the message. */
  readonly reason: string;
  /** The message's own id, time and subscription, where it came as one. */
  readonly messageId?: string | undefined;
  readonly publishTime?: Instant | null | undefined;
  readonly subscription?: string | undefined;
  readonly deliveryAttempt?: number | null | undefined;
};

/** A message in a subscriber's dead letters. */
export type DeadLetter = {
  /** Pub/Sub's id of the dead letter itself: the same message may be dead-lettered twice. */
  readonly id: string;
  readonly subscriber: string;
  /** The one that could not deliver it; null where the request was no message. */
  readonly subscription: string | null;
  readonly reason: string;
  /** How often it was delivered; null where nobody counted. */
  readonly deliveries: number | null;
  /** When the message was published that could not be delivered. */
  readonly published_at: Instant | null;
  readonly dead_lettered_at: Instant;
  readonly topic: string | null;
  /** Of an event of ours, also where its attributes are broken. */
  readonly event_id: string | null;
  readonly bytes: number;
  readonly message: Message;
};

/** Pub/Sub's limit. Source: https://cloud.google.com/pubsub/quotas#resource_limits */
const MAX_ATTRIBUTES = 100;
const OURS = 'dead_letter_';
/** Source: https://cloud.google.com/pubsub/docs/handling-failures#track-delivery-attempts */
const GOOGLES = 'CloudPubSubDeadLetterSource';

/** The message with the cause in attributes beside its own, of which so many are kept as Pub/Sub takes. */
export function toDeadLetter(message: Message, cause: Cause): Message {
  const { subscriber, reason, messageId, publishTime, subscription, deliveryAttempt } = cause;
  const why = {
    [`${OURS}reason`]: reason,
    [`${OURS}subscriber`]: subscriber,
    ...(messageId ? { [`${OURS}message_id`]: messageId } : {}),
    ...(publishTime ? { [`${OURS}publish_time`]: rfc3339(publishTime) } : {}),
    ...(subscription ? { [`${OURS}subscription`]: subscription } : {}),
    ...(deliveryAttempt ? { [`${OURS}deliveries`]: String(deliveryAttempt) } : {}),
  };
  const own = Object.entries(withoutCause(message).attributes).slice(0, MAX_ATTRIBUTES - Object.keys(why).length);
  return { data: message.data, attributes: { ...Object.fromEntries(own), ...why } };
}

/** The message as its subscriber got it. */
function withoutCause({ data, attributes }: Message): Message {
  const own = Object.entries(attributes).filter(([key]) => !key.startsWith(OURS) && !key.startsWith(GOOGLES));
  return { data, attributes: Object.fromEntries(own) };
}

function toEntry(subscriber: string, { messageId, publishTime, message }: Pulled): DeadLetter {
  const { data, attributes } = message;
  const ours = (name: string) => attributes[`${OURS}${name}`] ?? null;
  const googles = (name: string) => attributes[`${GOOGLES}${name}`] ?? null;
  const deliveries = ours('deliveries') ?? googles('DeliveryCount');
  return {
    id: messageId,
    subscriber: ours('subscriber') ?? subscriber,
    subscription: (ours('subscription') ?? googles('Subscription'))?.split('/').at(-1) ?? null,
    reason: ours('reason') ?? (deliveries === null ? 'not stated' : 'refused or not answered at every delivery'),
    deliveries: deliveries === null ? null : Number(deliveries),
    published_at: parseInstant(ours('publish_time') ?? googles('TopicPublishTime')),
    dead_lettered_at: publishTime,
    topic: attributes['ce-type'] ?? null,
    event_id: attributes['ce-id'] === undefined ? null : eventId(data),
    bytes: data.byteLength,
    message,
  };
}

/** At most this many are asked for at once; Pub/Sub gives fewer, the larger they are. */
const PULL = 100;
/** An empty pull does not mean that none waits: before the end this many more must be empty, all at once. */
const LAST_PULLS = 3;
/** Pub/Sub takes 512 KiB of ack ids in a request, some 200 bytes each. */
const MAX_ACK_IDS = 1000;
/** What was pulled is published and acknowledged within its ack deadline of 60 s. */
const PUBLISH_MS = 30_000;

/** What a subscription has handed out, until it is acknowledged or given back. */
class Held {
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
  visit: (letters: readonly DeadLetter[], held: Pick<Held, 'acknowledge'>) => Promise<void>,
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
      await visit(choice.among([...fresh.values()].map((each) => toEntry(name, each))), held);
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

export type Outcome = {
  readonly letter: DeadLetter;
  /** Why it was not done, or not wholly: then it is still there. */
  readonly failure?: Error;
};

/**
 * Publishes dead letters to their subscriber alone, as it got them, and acknowledges each only once that is confirmed:
 * whatever happens in between, a message may come twice, but is not lost. An outage ends it.
 * @returns also how many were dead-lettered once more meanwhile: they are left.
 */
export async function redriveDeadLetters(
  publisher: Publisher,
  tour: Tour,
  onOutcome: (outcome: Outcome) => void,
): Promise<Toured & { readonly again: number }> {
  const published = new Set<string>();
  let again = 0;
  const publish = async (letter: DeadLetter): Promise<Outcome> => {
    try {
      published.add(await publisher.publish(replayTopic(tour.name), withoutCause(letter.message), PUBLISH_MS));
      return { letter };
    } catch (error) {
      return { letter, failure: error as Error };
    }
  };
  const toured = await settle(tour, onOutcome, async (letters, held) => {
    // What fails at once again would go round for ever.
    const due = letters.filter(({ message }) => !published.has(message.attributes[`${OURS}message_id`] ?? ''));
    again += letters.length - due.length;
    const outcomes = await Promise.all(due.map(publish));
    const confirmed = outcomes.filter(({ failure }) => failure === undefined).map(({ letter }) => letter);
    return [...outcomes.filter(({ failure }) => failure !== undefined), ...(await acknowledge(confirmed, held))];
  });
  return { ...toured, again };
}

/** Acknowledges dead letters: they are gone for good. An outage ends it. */
export async function discardDeadLetters(tour: Tour, onOutcome: (outcome: Outcome) => void): Promise<Toured> {
  return settle(tour, onOutcome, acknowledge);
}

type Settle = (letters: readonly DeadLetter[], held: Pick<Held, 'acknowledge'>) => Promise<readonly Outcome[]>;

async function acknowledge(
  letters: readonly DeadLetter[],
  held: Pick<Held, 'acknowledge'>,
): Promise<readonly Outcome[]> {
  try {
    await held.acknowledge(letters.map(({ id }) => id));
    return letters.map((letter) => ({ letter }));
  } catch (cause) {
    const failure = new Error(`not acknowledged, so it is still there: ${(cause as Error).message}`, { cause });
    return letters.map((letter) => ({ letter, failure }));
  }
}

function settle(tour: Tour, onOutcome: (outcome: Outcome) => void, work: Settle): Promise<Toured> {
  const outage = new AbortController();
  const signal = AbortSignal.any([outage.signal, ...(tour.signal ? [tour.signal] : [])]);
  return visitDeadLetters({ ...tour, signal }, async (letters, held) => {
    for (const outcome of await work(letters, held)) {
      onOutcome(outcome);
      const { failure } = outcome;
      if (failure !== undefined && codeOf(failure) !== CODE.INVALID_ARGUMENT) outage.abort();
    }
  });
}
