import type { EndUser } from '../events/end-user.ts';
import type { Stop, Store, Watched } from '../store/store.ts';

type Waiter = {
  readonly told: (endUsers: readonly EndUser[]) => void;
  readonly failed: (error: unknown) => void;
};

type Watching = { readonly waiters: Set<Waiter>; latest: readonly EndUser[] | null; stop: Stop };

/** Requests that wait for an end user: those that wait for the same share one watch, which ends with the last of them. */
export class Waits {
  readonly #store: Store;
  readonly #stopping: AbortSignal;
  readonly #ends = new Set<() => void>();
  readonly #watching = new Map<string, Watching>();

  /** @param stopping once aborted nobody waits any longer. */
  constructor(store: Store, stopping: AbortSignal) {
    this.#store = store;
    this.#stopping = stopping;
    stopping.addEventListener('abort', () => {
      for (const end of this.#ends) end();
    });
  }

  /**
   * Resolves with what there is once it suffices, and with what was seen last (null where nothing was) when the time is
   * over, when this process ends, or when the client leaves.
   */
  until(
    watched: Watched,
    suffices: (endUsers: readonly EndUser[]) => boolean,
    timeoutMs: number,
    leaving: AbortSignal,
  ): Promise<readonly EndUser[] | null> {
    if (this.#stopping.aborted || leaving.aborted || timeoutMs <= 0) return Promise.resolve(null);
    return new Promise((resolve, reject) => {
      let latest: readonly EndUser[] | null = null;
      const leave = this.#join(watched, {
        told: (endUsers) => {
          latest = endUsers;
          if (suffices(endUsers)) finish(() => resolve(endUsers));
        },
        failed: (error) => finish(() => reject(error)),
      });
      const end = () => finish(() => resolve(latest));
      const timer = setTimeout(end, timeoutMs);
      const finish = (settle: () => void) => {
        clearTimeout(timer);
        this.#ends.delete(end);
        leaving.removeEventListener('abort', end);
        leave();
        settle();
      };
      this.#ends.add(end);
      leaving.addEventListener('abort', end);
    });
  }

  /** How many watches there are. */
  get size(): number {
    return this.#watching.size;
  }

  #join(watched: Watched, waiter: Waiter): Stop {
    const key = 'heron_id' in watched ? `heron_id ${watched.heron_id}` : `end_user_id ${watched.end_user_id}`;
    const watching = this.#watching.get(key) ?? this.#begin(key, watched);
    watching.waiters.add(waiter);
    const { latest } = watching;
    if (latest !== null) queueMicrotask(() => watching.waiters.has(waiter) && waiter.told(latest));
    return () => {
      if (!watching.waiters.delete(waiter) || watching.waiters.size > 0) return;
      if (this.#watching.get(key) === watching) this.#watching.delete(key);
      watching.stop();
    };
  }

  #begin(key: string, watched: Watched): Watching {
    const watching: Watching = { waiters: new Set(), latest: null, stop: () => {} };
    this.#watching.set(key, watching);
    watching.stop = this.#store.watch(
      watched,
      (endUsers) => {
        watching.latest = endUsers;
        for (const waiter of [...watching.waiters]) waiter.told(endUsers);
      },
      (error) => {
        if (this.#watching.get(key) === watching) this.#watching.delete(key);
        for (const waiter of [...watching.waiters]) waiter.failed(error);
      },
    );
    return watching;
  }
}
