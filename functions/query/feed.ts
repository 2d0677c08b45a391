import type { ServerResponse } from 'node:http';
import type { EndUser } from '../events/end-user.ts';
import { leaving } from '../http/leaving.ts';
import type { Stop, Store } from '../store/store.ts';

/** Changes of one end user within this time reach a client as one. */
const COALESCE_MS = 200;
/** Proxies drop what is silent for a minute or so. */
const HEARTBEAT_MS = 15_000;
/** What is kept for a client that reads slowly; one that is further behind is told to read everything again. */
const MAX_PENDING = 500;
const MAX_PENDING_BYTES = 256 * 1024;
/** After which a client that was cut off comes back. */
const RETRY_MS = 2_000;

type Watch = { stop: Stop; sees: 'not yet' | 'yes' | 'no' };

/** Server-sent events of every state that changes: one watch of the store, however many clients listen. */
export class Feed {
  readonly #store: Store;
  readonly #toJson: (endUser: EndUser) => unknown;
  readonly #onFailure: (error: unknown) => void;
  readonly #stopping: AbortSignal;
  readonly #clients = new Set<Client>();
  #watch: Watch | null = null;

  /** @param stopping once aborted every client is let go; it comes back by itself, to another process. */
  constructor(
    store: Store,
    toJson: (endUser: EndUser) => unknown,
    onFailure: (error: unknown) => void,
    stopping: AbortSignal,
  ) {
    this.#store = store;
    this.#toJson = toJson;
    this.#onFailure = onFailure;
    this.#stopping = stopping;
    stopping.addEventListener('abort', () => this.#letGo());
  }

  join(response: ServerResponse, headers: Readonly<Record<string, string>>): void {
    response.writeHead(200, { ...headers, 'Content-Type': 'text/event-stream', 'X-Accel-Buffering': 'no' });
    response.write(`retry: ${RETRY_MS}\n\n`);
    if (this.#stopping.aborted) return void response.end();
    const client = new Client(response);
    this.#clients.add(client);
    leaving(response).addEventListener('abort', () => response.end());
    response.once('close', () => {
      client.close();
      this.#clients.delete(client);
      if (this.#clients.size > 0) return;
      this.#watch?.stop();
      this.#watch = null;
    });
    if (this.#watch === null) this.#begin();
    else if (this.#watch.sees === 'yes') client.refetch();
    else if (this.#watch.sees === 'no') client.blind();
  }

  /** How many clients listen. */
  get size(): number {
    return this.#clients.size;
  }

  #begin(): void {
    const watch: Watch = { stop: () => {}, sees: 'not yet' };
    this.#watch = watch;
    watch.stop = this.#store.watchChanges(
      (changed) => {
        watch.sees = 'yes';
        if (changed === null) for (const client of this.#clients) client.refetch();
        // The same text for all clients: each keeps a reference.
        else
          for (const endUser of changed) {
            const data = JSON.stringify(this.#toJson(endUser));
            for (const client of this.#clients) client.offer(endUser.heron_id, data);
          }
      },
      (error) => {
        if (this.#watch === watch) this.#watch = null;
        this.#onFailure(error);
        this.#letGo();
      },
      () => {
        watch.sees = 'no';
        for (const client of this.#clients) client.blind();
      },
    );
  }

  #letGo(): void {
    for (const { response } of this.#clients) {
      if (response.writableNeedDrain)
        response.destroy(); // it does not read: it would not see an end either
      else response.end();
    }
  }
}

/** What one client has yet to be sent: the latest state of each end user, and never more than so much of it. */
class Client {
  readonly response: ServerResponse;
  readonly #pending = new Map<string, string>();
  readonly #heartbeat: NodeJS.Timeout;
  #bytes = 0;
  /** Said before any change. */
  #first: 'refetch' | 'blind' | null = null;
  #pause: NodeJS.Timeout | null = null;

  constructor(response: ServerResponse) {
    this.response = response;
    response.on('drain', () => this.#flush());
    this.#heartbeat = setInterval(() => {
      if (!response.writableNeedDrain) response.write(': still here\n\n');
    }, HEARTBEAT_MS);
  }

  offer(heronId: string, data: string): void {
    if (this.#first !== null) return;
    this.#bytes += data.length - (this.#pending.get(heronId)?.length ?? 0);
    this.#pending.delete(heronId); // it is the last that changed
    this.#pending.set(heronId, data);
    if (this.#pending.size > MAX_PENDING || this.#bytes > MAX_PENDING_BYTES) this.refetch();
    else this.#flush();
  }

  /** Whatever it knew may be old. */
  refetch(): void {
    this.#say('refetch');
  }

  /** Changes may happen that it is not told of, until it is told to read everything again. */
  blind(): void {
    this.#say('blind');
  }

  #say(first: 'refetch' | 'blind'): void {
    this.#pending.clear();
    this.#bytes = 0;
    this.#first = first;
    this.#flush();
  }

  close(): void {
    clearInterval(this.#heartbeat);
    if (this.#pause !== null) clearTimeout(this.#pause);
    this.#pending.clear();
  }

  #flush(): void {
    const { response } = this;
    const nothing = this.#pending.size === 0 && this.#first === null;
    if (nothing || this.#pause !== null || response.writableNeedDrain || response.writableEnded) return;
    const changes = [...this.#pending.values()].map((data) => `event: end_user\ndata: ${data}\n\n`);
    response.write((this.#first === null ? '' : `event: ${this.#first}\ndata: {}\n\n`) + changes.join(''));
    this.#pending.clear();
    this.#bytes = 0;
    this.#first = null;
    this.#pause = setTimeout(() => {
      this.#pause = null;
      this.#flush();
    }, COALESCE_MS);
  }
}
