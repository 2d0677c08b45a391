import { setTimeout as sleep } from 'node:timers/promises';
import { within } from '../deadline.ts';
import { CODE, codeOf } from '../grpc.ts';

/** What is on its way when all shall end has this long, of the 8 s that a function has for it. */
const CLOSE_MS = 5_000;

/** So long one that was replaced may try to listen: terminated meanwhile, that ends in an unhandled rejection. */
const LISTEN_MS = 15_000;

/** Whether Firestore answers: `refused`: there is no way to it, as gRPC knows, which looks for one by itself. */
export type Answer = 'yes' | 'refused' | 'silent';

/** How a client is made, asked for something small, and ended. */
export type Kind<C> = {
  readonly open: () => C;
  readonly ask: (client: C) => Promise<unknown>;
  readonly close: (client: C) => Promise<void>;
};

export type WayOptions = {
  /** After this a call is given up. */
  readonly callMs: number;
  /** How long a client that is asked for something small may take, before it counts as silent. */
  readonly probeMs: number;
};

/** A client, and the calls that it has not ended yet, whether anybody waits for them or not. */
type Open<C> = { readonly client: C; readonly calls: Set<Promise<unknown>>; probe: Promise<Answer> | null };

/**
 * A client with a connection of its own, on which every call ends in time, and which is replaced where it falls silent:
 * a half-open connection, which neither gRPC nor TCP notices for long. Slow is not silent: only where a second, small
 * call has no answer either is there nobody at the other end.
 */
export class Way<C> {
  readonly #kind: Kind<C>;
  readonly #options: WayOptions;
  readonly #onReplaced: () => void;
  /** Undefined until it is needed; null once it is closed. */
  #open: Open<C> | null | undefined;

  constructor(kind: Kind<C>, options: WayOptions, onReplaced: () => void = () => {}) {
    this.#kind = kind;
    this.#options = options;
    this.#onReplaced = onReplaced;
  }

  /** @throws Error where it is closed. */
  get client(): C {
    return this.#current().client;
  }

  get isClosed(): boolean {
    return this.#open === null;
  }

  /**
   * Makes a call, and gives up when it takes too long. What is on its way may still arrive.
   * @param late what it fails with then.
   * @param signal ends it before its time: the caller has no more.
   */
  async call<T>(
    begin: (client: C) => Promise<T>,
    milliseconds: number,
    late: () => unknown,
    signal?: AbortSignal,
  ): Promise<T> {
    const open = this.#current();
    signal?.throwIfAborted();
    const call = tracked(open, begin(open.client));
    let isSilent = false;
    const suspicion = setTimeout(
      async () => {
        isSilent = true;
        isSilent = (await this.#probe(open)) === 'silent';
      },
      (this.#options.callMs * 2) / 3,
    );
    const aborted = Promise.withResolvers<never>();
    const abort = () => aborted.reject(signal?.reason);
    signal?.addEventListener('abort', abort);
    try {
      return await within(milliseconds, signal === undefined ? call : Promise.race([call, aborted.promise]), () => {
        if (isSilent) this.#replace(open);
        throw late();
      });
    } finally {
      clearTimeout(suspicion);
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Tries whether it leads to Firestore. @param onAnswer is told before it is replaced, where it is silent. */
  async probe(onAnswer: (answer: Answer) => void): Promise<Answer> {
    const open = this.#current();
    const answer = await this.#probe(open);
    if (this.#open === open) onAnswer(answer);
    if (answer === 'silent') this.#replace(open);
    return answer;
  }

  /** What is still on its way after a while is left to itself. */
  async close(): Promise<void> {
    const open = this.#open;
    this.#open = null;
    if (open) await within(CLOSE_MS, this.#end(open), () => {});
  }

  #current(): Open<C> {
    if (this.#open === null) throw new Error('The store is closed.');
    this.#open ??= { client: this.#kind.open(), calls: new Set(), probe: null };
    return this.#open;
  }

  #probe(open: Open<C>): Promise<Answer> {
    const ask = () => tracked(open, this.#kind.ask(open.client));
    open.probe ??= within(this.#options.probeMs, answerOf(ask()), (): Answer => 'silent').finally(() => {
      open.probe = null;
    });
    return open.probe;
  }

  /** Only the first of many calls that missed their time on a client replaces it. */
  #replace(open: Open<C>): void {
    if (this.#open !== open) return;
    this.#open = undefined;
    this.#onReplaced();
    sleep(LISTEN_MS, undefined, { ref: false })
      .then(() => this.#end(open))
      .catch(() => {});
  }

  /** Only when its calls have ended: one that the terminated client would retry is an unhandled rejection in there. */
  async #end({ client, calls }: Open<C>): Promise<void> {
    while (calls.size > 0) await Promise.allSettled(calls);
    await this.#kind.close(client);
  }
}

function tracked<T>({ calls }: Open<unknown>, call: Promise<T>): Promise<T> {
  calls.add(call);
  const done = () => calls.delete(call);
  call.then(done, done);
  return call;
}

/** What Firestore itself refuses is an answer. */
function answerOf(call: Promise<unknown>): Promise<Answer> {
  return call.then(
    () => 'yes',
    (error) => {
      if (codeOf(error) === CODE.UNAVAILABLE) return 'refused';
      return codeOf(error) === CODE.DEADLINE_EXCEEDED ? 'silent' : 'yes';
    },
  );
}
