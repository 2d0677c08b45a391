import { setTimeout as sleep } from 'node:timers/promises';
import type { Message } from '../events/message.ts';
import { CODE, codeOf, isTransient } from '../grpc.ts';
import { MAX_MESSAGE_BYTES } from './bus.ts';

/**
 * Publishes messages in one request, and resolves with their ids in order. It is over after `timeoutMs`, at the latest,
 * and rejects with an error of a gRPC code, or of none where nothing was sent.
 */
export type Send = (messages: readonly Message[], timeoutMs: number) => Promise<readonly string[]>;

/** Pub/Sub takes 1,000 messages and 10 MB in a request; smaller ones share less of their time and memory. */
const MAX_BATCH = 1_000;
const MAX_BATCH_BYTES = 4_000_000;

/**
 * Where what is in flight takes longer than this, what waits goes out beside it; twice as long for the next, so that a
 * way that is narrow is not choked. At 4 s a request, nothing waits longer than leaves it time within 6 s.
 */
const SLOW_MS = 250;
const SLOWEST_MS = 1_000;
/**
 * So long those that wait are not sent on, as who was just answered may come back and share their request: otherwise one
 * half of all senders takes turns with the other.
 */
const LINGER_MS = 1;
/** So many at most: more of them share the cost of a request anyway, and time is dearer. */
const LINGER_FOR = 16;
/** In flight at once, full requests among them. */
const MAX_IN_FLIGHT = 10;

/** Back-off, halved at most by chance: within it nothing is sent to a Pub/Sub that asks for less or is not there. */
const FIRST_PAUSE_MS = 100;
const LAST_PAUSE_MS = 1_000;

/** A message, whoever waits for it, and until when. */
class Entry {
  readonly message: Message;
  readonly bytes: number;
  readonly deadline: number;
  /** Whether it must not share a request: one of those it shared one with is invalid, and nobody knows which. */
  alone = false;
  settled = false;
  /** Why it was not published so far. */
  failure: unknown;
  readonly #resolve: (id: string) => void;
  readonly #reject: (error: unknown) => void;
  readonly #timer: NodeJS.Timeout;

  constructor(message: Message, timeoutMs: number, resolve: (id: string) => void, reject: (error: unknown) => void) {
    this.message = message;
    this.bytes = bytesOf(message);
    this.deadline = performance.now() + timeoutMs;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#timer = setTimeout(() => this.reject(this.failure ?? late(timeoutMs)), Math.max(0, timeoutMs));
  }

  resolve(id: string): void {
    this.#settle();
    this.#resolve(id);
  }

  reject(error: unknown): void {
    this.#settle();
    this.#reject(error);
  }

  #settle(): void {
    clearTimeout(this.#timer);
    this.settled = true;
  }
}

/**
 * The messages for one topic on their way out. One request is in flight, and what comes meanwhile shares the next, with
 * what comes right after its answer: a burst costs few requests, and a single message waits for nothing. Where one is
 * slow, further ones go out beside it. They share a request, but not a fate: each has its own deadline, and one that is
 * refused as invalid is so alone.
 */
export class Outbox {
  readonly #send: Send;
  readonly #random: () => number;
  /** In order, but for those that come back. */
  readonly #waiting: Entry[] = [];
  #inFlight = 0;
  #sentAt = Number.NEGATIVE_INFINITY;
  /** How many wait once all who were answered last are back; until when they are waited for. */
  #expected = 0;
  #expectedUntil = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #failedAt = Number.NEGATIVE_INFINITY;
  #resumeAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  /** What comes in the same turn of the event loop, from many connections that were read in it, shares a request. */
  #turn: NodeJS.Immediate | undefined;

  /** @param random from 0 to 1, as Math.random. */
  constructor(send: Send, random: () => number = Math.random) {
    this.#send = send;
    this.#random = random;
  }

  /** Resolves with the message's id. After `timeoutMs` it rejects, and the message is not sent again. */
  publish(message: Message, timeoutMs: number): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#waiting.push(new Entry(message, timeoutMs, resolve, reject));
      this.#turn ??= setImmediate(() => {
        this.#turn = undefined;
        this.#flush();
      });
    });
  }

  /** Resolves when everything is settled and nothing in flight any more. */
  async drained(): Promise<void> {
    while (this.#inFlight > 0 || this.#waiting.some(({ settled }) => !settled)) await sleep(10);
    clearTimeout(this.#timer);
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (;;) {
      while (this.#waiting[0]?.settled) this.#waiting.shift();
      if (this.#waiting.length === 0 || this.#inFlight >= MAX_IN_FLIGHT) return;
      const pause = this.#due() - performance.now();
      if (pause > 0) {
        this.#timer = setTimeout(() => this.#flush(), pause);
        return;
      }
      const batch = takeBatch(this.#waiting);
      if (batch.length > 0) void this.#transmit(batch);
    }
  }

  /** When what waits may go out. */
  #due(): number {
    const isFull = this.#waiting[0]?.alone || fillsBatch(this.#waiting);
    let due = this.#resumeAt;
    if (!isFull && this.#inFlight > 0)
      due = Math.max(due, this.#sentAt + Math.min(SLOWEST_MS, SLOW_MS * 2 ** (this.#inFlight - 1)));
    else if (!isFull && this.#waiting.length < this.#expected) due = Math.max(due, this.#expectedUntil);
    return due;
  }

  async #transmit(batch: readonly Entry[]): Promise<void> {
    const sentAt = performance.now();
    this.#sentAt = sentAt;
    this.#inFlight += 1;
    try {
      const timeoutMs = Math.max(...batch.map(({ deadline }) => deadline)) - sentAt;
      const messages = batch.map(({ message }) => message);
      const ids = await this.#send(messages, timeoutMs);
      this.#failures = 0;
      for (const [i, entry] of batch.entries()) entry.resolve(ids[i] ?? '');
      const all = this.#waiting.length + batch.length;
      this.#expected = all > LINGER_FOR ? 0 : all;
      this.#expectedUntil = performance.now() + LINGER_MS;
    } catch (error) {
      this.#take(error, batch, sentAt);
    }
    this.#inFlight -= 1;
    this.#flush();
  }

  #take(error: unknown, batch: readonly Entry[], sentAt: number): void {
    const code = codeOf(error);
    const isOneOfThem = code === CODE.INVALID_ARGUMENT && batch.length > 1;
    // What failed before it was sent has no code, and may succeed later too.
    if (!isOneOfThem && code !== undefined && !isTransient(error)) {
      for (const entry of batch) entry.reject(error);
      return;
    }
    for (const entry of batch) {
      entry.alone ||= isOneOfThem;
      entry.failure = error;
    }
    this.#waiting.unshift(...batch);
    // Several that were in flight together fail for one reason.
    if (isOneOfThem || sentAt < this.#failedAt) return;
    const pause = Math.min(LAST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#failures);
    this.#failures += 1;
    this.#failedAt = performance.now();
    this.#resumeAt = this.#failedAt + (pause * (1 + this.#random())) / 2;
  }
}

/** Takes the first of those that wait, and as many more as may share its request. */
function takeBatch(waiting: Entry[]): readonly Entry[] {
  const batch: Entry[] = [];
  let bytes = 0;
  while (waiting[0] !== undefined && batch.length < MAX_BATCH) {
    const [entry] = waiting;
    bytes += entry.bytes;
    if (batch.length > 0 && (entry.alone || bytes > MAX_BATCH_BYTES)) break;
    waiting.shift();
    if (entry.settled) bytes -= entry.bytes;
    else batch.push(entry);
    if (entry.alone) break;
  }
  return batch;
}

/** Whether those that wait need not wait for more to share a request. */
function fillsBatch(waiting: readonly Entry[]): boolean {
  if (waiting.length >= MAX_BATCH) return true;
  let bytes = 0;
  for (const entry of waiting) bytes += entry.bytes;
  return bytes >= MAX_BATCH_BYTES;
}

/** At most what it takes in a request: texts and bytes have a tag and a length of up to 5 bytes each, letters 3 bytes. */
function bytesOf({ data, attributes }: Message): number {
  let bytes = 32 + data.byteLength;
  for (const key in attributes) bytes += 24 + 3 * (key.length + (attributes[key] ?? '').length);
  return Math.min(bytes, MAX_MESSAGE_BYTES);
}

function late(timeoutMs: number): Error {
  const details = `Pub/Sub did not confirm within ${Math.round(timeoutMs)} ms.`;
  return Object.assign(new Error(details), { code: CODE.DEADLINE_EXCEEDED, details });
}
