import { hash } from 'node:crypto';
import { eventId, eventOf } from '../events/event.ts';
import { toMessage } from '../events/message.ts';
import { instantOf, parseInstant } from '../heron/instant.ts';
import type { Log } from '../log.ts';
import { handle, jobOf } from './handle.ts';
import { readBody, readMessage } from './message.ts';
import {
  type DataOf,
  type HeronEvent,
  type Received,
  type Subscriber,
  serve,
  type Task,
  type Topic,
} from './subscriber.ts';

export type EventOptions = {
  /** A text is sent as it is; unless given, a second later with each event that is made. */
  readonly created?: string | Date;
  readonly meta?: Readonly<Record<string, unknown>> | null;
};

const FIRST = Date.parse('2026-01-01T00:00:00Z');
const STATUSES: Readonly<Record<string, string>> = {
  'end_user.created': 'new',
  'end_user.failed': 'failed',
  'end_user.review_required': 'review_requested',
  'end_user.reviewed': 'reviewed',
};
let made = 0;

/**
 * An event as Heron would send it. What `data` leaves out of a documented shape is filled in. Unless `created` is given
 * it is another event than all before.
 */
export function event<T extends Topic>(
  topic: T,
  data: Partial<DataOf<T>> = {},
  { created = new Date(FIRST + ++made * 1000), meta = null }: EventOptions = {},
): HeronEvent<T> {
  const time = typeof created === 'string' ? created : created.toISOString().replace('Z', '+00:00');
  const webhook = { topic, created: time, data: { ...usual(topic), ...data }, meta };
  const body = new TextEncoder().encode(JSON.stringify(webhook));
  const { undocumented, received } = readBody(eventId(body), body);
  if (undocumented !== null) throw new TypeError(`Heron would not send this: ${undocumented}.`);
  return { ...received } as HeronEvent<T>;
}

function usual(topic: string): Record<string, unknown> {
  if (topic === 'transactions.deleted') return { transactions: [{ heron_id: 'txn_1' }] };
  if (!topic.startsWith('end_user.')) return {};
  return { heron_id: 'eus_1', end_user_id: 'end-user-1', status: STATUSES[topic] ?? 'processed' };
}

export type DeliverOptions = {
  /** The same seed makes the same disorder. Random unless given, and named by what is thrown. */
  readonly seed?: number;
  /** How often an event comes at most, where nothing fails; 3 unless given. */
  readonly times?: number;
  /** Of all deliveries, the part that goes wrong, from 0 to 1; 0.3 unless given. */
  readonly faults?: number;
  /** How many deliveries are on their way at once; 4 unless given. */
  readonly concurrency?: number;
  /** How often one may come before that is an error; 20 unless given. */
  readonly attempts?: number;
  /** As `ce-replayid` says it. */
  readonly replay?: string;
};

/** What goes wrong with a delivery. Whatever it is, the event comes again. */
export type Fault =
  /** It never reaches a handler. */
  | 'failure'
  /** The ack deadline is over while the handler waits for something. It may go on, beside the next delivery. */
  | 'time_out'
  /** The process ends after the handler's effects, and before it could acknowledge. */
  | 'crash';

export type Delivered = {
  readonly id: string;
  readonly topic: string | null;
  /** Of this copy of the event. */
  readonly attempt: number;
  readonly fault: Fault | null;
  readonly outcome: 'acknowledged' | 'discarded' | 'refused' | 'lost';
  /** What the kit logged of it. */
  readonly said?: string;
};

const FAULTS: readonly Fault[] = ['failure', 'time_out', 'crash'];

/** A copy of an event that is on its way: those with the least place come first. */
type Copy = { readonly event: Received; readonly identity: string; readonly attempt: number; readonly place: number };

/**
 * Delivers events as Pub/Sub does at its worst: each one to several times, in any order and several at once, with
 * failures, time-outs and crashes, until all are acknowledged or discarded. What a service has done then must be what it
 * does when each comes once.
 *
 * All of it follows from the seed, and what an event meets follows from the seed and that event alone: with some events
 * less the others meet the same, so that a failure can be shrunk, by fast-check for one, to the few that matter.
 * @returns what was delivered, in order.
 * @throws Error where one is not acknowledged in so many attempts; its `cause` is what the handler threw last.
 */
export async function deliver(
  subscriber: Subscriber,
  events: readonly Received[],
  {
    seed = Math.floor(Math.random() * 2 ** 31),
    times = 3,
    faults = 0.3,
    concurrency = 4,
    attempts = 20,
    replay,
  }: DeliverOptions = {},
): Promise<readonly Delivered[]> {
  const serving = serve(subscriber);
  const delivered: Delivered[] = [];
  const started: Promise<unknown>[] = [];
  const queue = copiesOf(events, seed, times);

  /** @returns whether it must come again. */
  const deliverOnce = async ({ event, identity, attempt }: Copy): Promise<boolean> => {
    const drawn = chance(seed, `${identity} fault ${attempt}`);
    const fault = drawn < faults ? (FAULTS[Math.floor((drawn / faults) * FAULTS.length)] ?? null) : null;
    const record = (outcome: Delivered['outcome'], said?: string) => {
      delivered.push({
        id: event.id,
        topic: event.topic,
        attempt,
        fault,
        outcome,
        ...(said !== undefined && { said }),
      });
      return outcome === 'refused' || outcome === 'lost';
    };
    if (fault === 'failure') return record('lost');
    const sent = parseInstant(event.created) ?? instantOf(FIRST);
    const { data, attributes } = toMessage(eventOf(event.body, sent), { replayid: replay });
    const reading = readMessage(data, attributes, {
      attempt,
      messageId: identity,
      publishTime: sent,
      subscription: 'projects/test/subscriptions/replay.test',
    });
    const { task, ...job } = await jobOf(reading, serving);
    let said = '';
    let thrown: unknown;
    let discarded = false;
    const log: Log = (_, message, fields) => {
      said = fields?.reason ?? message;
    };
    const over = new AbortController();
    if (fault === 'time_out')
      void turns(1 + Math.floor(chance(seed, `${identity} turns ${attempt}`) * 3)).then(() => over.abort());
    const watched: Task = (run) => {
      const running = task(run);
      started.push(running);
      return running.catch((error) => {
        thrown = error;
        throw error;
      });
    };
    const answer = await handle(
      { ...job, task: watched },
      {
        deadLetter: async () => {
          discarded = true;
        },
        name: undefined,
        topicPrefix: '',
        log,
        arrived: performance.now(),
        milliseconds: PATIENCE_MS,
        over: over.signal,
      },
    );
    if (fault === 'crash') return record('lost');
    if (answer.kind === 'acknowledge') return record(discarded ? 'discarded' : 'acknowledged');
    if (attempt >= attempts)
      throw new Error(`${event.topic} ${event.id} was refused ${attempt} times (seed ${seed}): ${said}`, {
        cause: thrown,
      });
    return record('refused', said);
  };

  const deliverer = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      if (!(await deliverOnce(next))) continue;
      const { identity, attempt, place } = next;
      const later = place + (1 - place) * chance(seed, `${identity} place ${attempt}`);
      queue.push({ ...next, attempt: attempt + 1, place: later });
      queue.sort(byPlace);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, deliverer));
  // What was given up may still be at work.
  await Promise.allSettled(started);
  return delivered;
}

const PATIENCE_MS = 60_000;
const byPlace = (a: Copy, b: Copy) => a.place - b.place;

/** An event is known by what it says, and not by its time or place: those of the next run are others. */
function copiesOf(events: readonly Received[], seed: number, times: number): Copy[] {
  const alike = new Map<string, number>();
  const distinct = new Map(events.map((event) => [event.id, event]));
  return [...distinct.values()]
    .flatMap((event) => {
      const content = JSON.stringify([event.topic, event.data, event.meta]);
      const nth = (alike.get(content) ?? 0) + 1;
      alike.set(content, nth);
      const copies = 1 + Math.floor(chance(seed, `${content} ${nth} times`) * times);
      return Array.from({ length: copies }, (_, copy) => {
        const identity = hash('sha256', `${content} ${nth} ${copy}`);
        return { event, identity, attempt: 1, place: chance(seed, identity) };
      });
    })
    .sort(byPlace);
}

async function turns(ofTheEventLoop: number): Promise<void> {
  for (let i = 0; i < ofTheEventLoop; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** A number from 0 to 1 that follows from these alone. */
function chance(seed: number, what: string): number {
  return hash('sha256', `${seed} ${what}`, 'buffer').readUInt32BE() / 2 ** 32;
}
