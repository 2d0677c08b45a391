import { isRecord } from '../heron/json.ts';
import {
  type DELETED_TRANSACTIONS,
  type DOCUMENTED,
  type END_USER,
  type Payload,
  undocumentedData,
} from '../heron/payloads.ts';
import type { LogFields, Severity } from '../log.ts';
import type { Delivery, Envelope, Foreign, Message, Received } from './message.ts';
import { type OutputOf, placesOf, type StandardSchema } from './schema.ts';

export type { Message, Received } from './message.ts';
export type { StandardSchema } from './schema.ts';

/**
 * The topics whose `data` is documented. Others are `Record<string, unknown>`, until you tell by declaration merging
 * what they are: `declare module 'heron-events' { interface Topics { 'pdf.processed': { heron_id: string } } }`. That
 * is your word alone; a schema with `.on` is checked.
 */
export interface Topics extends Documented {}

type Documented = { readonly [T in keyof typeof DOCUMENTED]: Payload<(typeof DOCUMENTED)[T]> };

export type EndUser = Payload<typeof END_USER>;
/** Those that Heron documents, and whatever it adds. */
export type Status = EndUser['status'];
export type DeletedTransactions = Payload<typeof DELETED_TRANSACTIONS>;

/** A documented topic is suggested; any other, and any pattern, is taken. */
export type Topic = keyof Topics | (string & {});

export type DataOf<T extends string> = T extends keyof Topics ? Topics[T] : Record<string, unknown>;

/** The topics that a topic or pattern stands for. */
export type Matched<T extends string> = T extends `${infer Before}*${infer After}`
  ? `${Before}${string}${Matched<After>}`
  : T;

/** An event as the handler of its topic gets it. */
export interface HeronEvent<T extends string = string, Data = DataOf<T>> extends Received {
  readonly topic: Matched<T>;
  readonly created: string;
  readonly data: Data;
}

export interface Context {
  /** Whether this package knows the topic as one of Heron's. */
  readonly known: boolean;
  /** How often it was delivered, this time included; undefined on unwrapped pushes, and in the emulator. */
  readonly attempt: number | undefined;
  /** Which replay of the log sent it again: what must not happen twice, such as a payout, stays off. */
  readonly replay: string | undefined;
  /** Aborted when the time for it is nearly over: what is not done by then comes again. */
  readonly signal: AbortSignal;
  /** What Pub/Sub says of the message that brought it. */
  readonly message: Message;
  /** Adds to the line that is logged of it, beside what the kit says. */
  readonly note: (fields: Noted) => void;
}

/**
 * For a line of the log, so nothing sensitive. `outcome`, `message` and `severity` take the place of the kit's own where
 * the handler returns: of what it throws, the kit says what became of it.
 */
export type Noted = LogFields & {
  readonly severity?: Severity;
  readonly message?: string;
  /** Of a span of your own, as W3C writes it: the line belongs to that one, and not to its caller's. */
  readonly traceparent?: string | undefined;
  readonly [field: string]: string | number | boolean | null | undefined;
};

/** Handled once it returns or its promise resolves; what it throws is tried again, but for {@link Discard}. */
export type Handler<T extends string, Data, Extra = unknown> = (
  event: HeronEvent<T, Data>,
  context: Context & Extra,
) => unknown;

/** Takes what no other handler does, also what is not of the shape that Heron documents. */
export type Fallback = (event: Received, context: Context) => unknown;

/** What is not an event of Heron's: somebody else published it, or something changed it on its way. */
export type Invalid = {
  /** Why it is not, quoting nothing of it. */
  readonly reason: string;
  readonly data: Uint8Array;
  /** Whether it is a message of Pub/Sub's; where it is not, `data` is the body of a request that nobody can read. */
  readonly isMessage: boolean;
};

/** Takes what is not an event. As with events, what it throws decides what becomes of the message. */
export type InvalidHandler = (invalid: Invalid, context: Context) => unknown;

/** Makes a handler's effects happen once, such as `once(db)` of `heron-events/once-firestore`. */
export interface Once<Extra> {
  run(claim: Claim, handler: (extra: Extra) => Promise<void>): Promise<OnceOutcome>;
}

export type Claim = {
  readonly eventId: string;
  /** The name of the subscriber, as several may share a database. */
  readonly subscriber: string;
  /** For so long nobody else may begin. */
  readonly milliseconds: number;
};

export type OnceOutcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'seen_before' }
  /** Another delivery of it is being handled, or its process died: in so many seconds it is known which. */
  | { readonly kind: 'busy'; readonly seconds: number };

/** Throw it for what can never succeed: the message goes to the dead letters of its subscriber, with the reason. */
export class Discard extends Error {
  override readonly name = 'Discard';
  /** @param reason for people; it is logged, so it must quote nothing of the event. */
  constructor(reason: string, options?: ErrorOptions) {
    super(reason, options);
  }
}

/**
 * Throw it for what can succeed later. Who pulls gets the event again after so many seconds (600 at most); a push comes
 * again as its subscription's retry policy says.
 */
export class RetryAfter extends Error {
  override readonly name = 'RetryAfter';
  readonly seconds: number;
  constructor(seconds: number, message = `to be tried again after ${seconds} s`, options?: ErrorOptions) {
    super(message, options);
    if (!(seconds >= 0 && seconds < Number.POSITIVE_INFINITY))
      throw new RangeError('RetryAfter takes a number of seconds, 0 or more.');
    this.seconds = Math.ceil(seconds);
  }
}

export interface Subscriber {
  /**
   * @param topic one of Heron's, or a pattern in which `*` stands for anything. Of an event's handlers the most specific
   * alone runs: its topic's, then that of the pattern with the most other characters, then the one given at first.
   * @throws Error where the topic has a handler already, or the subscriber is being served.
   */
  on<T extends Topic>(topic: T, handler: Handler<T, DataOf<T>>): this;
  on<T extends Topic, S extends StandardSchema>(topic: T, schema: S, handler: Handler<T, OutputOf<S>>): this;
  on<T extends Topic, Extra>(topic: T, once: Once<Extra>, handler: Handler<T, DataOf<T>, Extra>): this;
  on<T extends Topic, S extends StandardSchema, Extra>(
    topic: T,
    schema: S,
    once: Once<Extra>,
    handler: Handler<T, OutputOf<S>, Extra>,
  ): this;
  /**
   * Takes what is not an event, which without this is refused (400), again and again until Pub/Sub dead-letters it. With
   * `({ reason }) => { throw new Discard(reason); }` it goes to the dead letters at once. Only where nobody but Pub/Sub
   * can call the service: others could fill them.
   * @throws Error where there is one already, or the subscriber is being served.
   */
  onInvalid(handler: InvalidHandler): this;
  /** The topics and patterns with handlers of their own: what `topics` in Terraform must say. */
  patterns(): string[];
}

/** A service that takes Heron's events. @param fallback takes what no handler of a topic does. */
export function subscriber(fallback: Fallback): Subscriber {
  return new Routes(fallback);
}

/** How a message is taken, as far as it is known beforehand. */
type Run = {
  readonly context: Context;
  /** The subscriber's name, prefix and all. */
  readonly subscriber: string;
  /** What is left of the time. */
  readonly milliseconds: number;
};

/** Rejects as the handler does, or with {@link Discard} or {@link RetryAfter} in its place. */
export type Task = (run: Run) => Promise<'handled' | 'seen_before'>;

/** What a subscriber does with what comes. */
export type Serving = {
  readonly taskOf: (delivery: Delivery) => Task;
  /** Absent where nobody takes what is not an event. */
  readonly taskOfForeign?: (foreign: Foreign, reason: string) => Task;
};

type Route = (delivery: Delivery) => Task;

type AnyHandler = (event: Received, context: Context & Record<string, unknown>) => unknown;

class Routes implements Subscriber {
  readonly #fallback: Fallback;
  readonly #routes = new Map<string, Route>();
  #invalid: InvalidHandler | undefined;
  #served = false;

  constructor(fallback: Fallback) {
    if (typeof fallback !== 'function')
      throw new TypeError('subscriber() takes a function, for what no handler of a topic takes.');
    this.#fallback = fallback;
  }

  on(topic: string, ...given: unknown[]): this {
    this.#change(`on('${topic}')`);
    if (this.#routes.has(topic)) throw new Error(`'${topic}' has a handler already.`);
    this.#routes.set(topic, routeOf(topic, given));
    return this;
  }

  onInvalid(handler: InvalidHandler): this {
    this.#change('onInvalid()');
    if (typeof handler !== 'function') throw new TypeError('onInvalid() takes a function.');
    if (this.#invalid !== undefined) throw new Error('What is not an event has a handler already.');
    this.#invalid = handler;
    return this;
  }

  patterns(): string[] {
    return [...this.#routes.keys()];
  }

  serve(): Serving {
    this.#served = true;
    const invalid = this.#invalid;
    const fallback: Route =
      ({ received }) =>
      async ({ context }) => {
        await this.#fallback(received, context);
        return 'handled';
      };
    const patterns = [...this.#routes]
      .filter(([topic]) => topic.includes('*'))
      .map(([topic, route]) => ({ route, matcher: matcherOf(topic), literal: topic.replaceAll('*', '').length }))
      .sort((a, b) => b.literal - a.literal);
    const routeTo = ({ received: { topic }, undocumented }: Delivery): Route => {
      if (topic === null || undocumented !== null) return fallback;
      return this.#routes.get(topic) ?? patterns.find(({ matcher }) => matcher.test(topic))?.route ?? fallback;
    };
    return {
      taskOf: (delivery) => routeTo(delivery)(delivery),
      ...(invalid !== undefined && {
        taskOfForeign:
          ({ data, isMessage }, reason) =>
          async ({ context }) => {
            await invalid({ reason, data, isMessage }, context);
            return 'handled';
          },
      }),
    };
  }

  #change(what: string): void {
    if (this.#served) throw new Error(`${what} comes too late: this subscriber is being served.`);
  }
}

/**
 * What a subscriber does with what comes. From now on it is as it is.
 * @throws TypeError where it was not made by `subscriber()` of this copy of the package.
 */
export function serve(subscriber: Subscriber): Serving {
  if (!(subscriber instanceof Routes))
    throw new TypeError('This is not what subscriber() of heron-events gave: is the package installed twice?');
  return subscriber.serve();
}

export function contextOf(
  { attempt, attributes, messageId, publishTime, subscription }: Envelope,
  given: Pick<Context, 'known' | 'signal' | 'note'>,
): Context {
  const message = { attributes, messageId, publishTime, subscription };
  return { attempt, replay: attributes['ce-replayid'], message, ...given };
}

/** Whether a topic is one that a pattern stands for. */
export function matches(pattern: string, topic: string): boolean {
  return matcherOf(pattern).test(topic);
}

function matcherOf(pattern: string): RegExp {
  const literals = pattern.split('*').map((literal) => literal.replace(/[\\^$.+?()[\]{}|/-]/g, '\\$&'));
  return new RegExp(`^${literals.join('.*')}$`, 's');
}

/** @param given what came after the topic: (schema?, once?, handler). */
function routeOf(topic: string, given: readonly unknown[]): Route {
  const handler = given.at(-1);
  const options = given.slice(0, -1);
  const schema = options.find(isSchema);
  const once = options.find(isOnce);
  if (typeof topic !== 'string' || topic === '') throw new TypeError('on() takes a topic or pattern first.');
  if (typeof handler !== 'function' || options.length !== Number(schema !== undefined) + Number(once !== undefined))
    throw new TypeError(`on('${topic}') takes a schema, a once, both or neither, and then a handler.`);
  const run = handler as AnyHandler;

  return ({ received }) =>
    async ({ context, subscriber, milliseconds }) => {
      const event = { ...received, data: await dataOf(topic, received.data, schema) };
      if (once === undefined) {
        await run(event, { ...context });
        return 'handled';
      }
      const outcome = await once.run({ eventId: received.id, subscriber, milliseconds }, async (extra) => {
        await run(event, { ...context, ...(extra as object) });
      });
      switch (outcome.kind) {
        case 'done':
          return 'handled';
        case 'seen_before':
          return 'seen_before';
        case 'busy':
          throw new RetryAfter(outcome.seconds, 'another delivery of it is being handled');
        default:
          return outcome satisfies never;
      }
    };
}

/** The data as its type says, or {@link Discard}. A schema of the subscriber's own takes the place of Heron's word. */
async function dataOf(topic: string, data: unknown, schema: StandardSchema | undefined): Promise<unknown> {
  if (schema !== undefined) {
    const validated = await schema['~standard'].validate(data);
    if (validated.issues === undefined) return validated.value;
    throw new Discard(`the data does not fit the schema at ${placesOf(validated.issues)}`);
  }
  const wrong = isRecord(data) ? undocumentedData(topic, data) : 'data is not an object';
  if (wrong !== null) throw new Discard(`not the documented shape: ${wrong}`);
  return data;
}

function isSchema(value: unknown): value is StandardSchema {
  return (typeof value === 'object' || typeof value === 'function') && value !== null && '~standard' in value;
}

function isOnce(value: unknown): value is Once<unknown> {
  return typeof value === 'object' && value !== null && 'run' in value && typeof value.run === 'function';
}
