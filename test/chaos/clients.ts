import { type Agent, get, type IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** As it is in the API. */
export type EndUser = { readonly heron_id: string; readonly event_count: number; readonly status: string | null };

/** How an answer ended: whole, or cut off. */
export type Ended = { readonly status: number; readonly whole: boolean; readonly text: string };

type Reading = {
  /** Called with all that has come so far. */
  readonly onText?: (text: string) => void;
  readonly signal?: AbortSignal;
  /** None makes a connection of its own. */
  readonly agent?: Agent;
};

/** Streams say something every 15 s, and a wait takes 50: what says nothing for longer is a way that is half open. */
const SILENCE_MS = 60_000;

/** Reads an answer to its end, or until nothing comes any more. Resolves with null where there was none. */
export function read(url: string, { onText = () => {}, signal, agent }: Reading = {}): Promise<Ended | null> {
  return new Promise((resolve) => {
    const options = { agent: agent ?? false, timeout: SILENCE_MS, ...(signal && { signal }) };
    const request = get(url, options, (response: IncomingMessage) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk) => {
        text += chunk;
        onText(text);
      });
      response.on('error', () => {});
      response.on('close', () => resolve({ status: response.statusCode ?? 0, whole: response.complete, text }));
    });
    request.on('timeout', () => request.destroy()).on('error', () => resolve(null));
  });
}

const RETRY_MS = 300;

/** Follows the stream as a page does: what it has in the end must be what the store has. */
export class Mirror {
  readonly endUsers = new Map<string, EndUser>();
  readonly #query: string;
  readonly #leaving = new AbortController();
  readonly #following: Promise<void>;
  #reading = 0;
  /** How often it had to begin anew. */
  connections = 0;

  constructor(query: string) {
    this.#query = query;
    this.#following = this.#follow();
  }

  async leave(): Promise<void> {
    this.#leaving.abort();
    await this.#following;
  }

  async #follow(): Promise<void> {
    const { signal } = this.#leaving;
    while (!signal.aborted) {
      this.connections++;
      let taken = 0;
      const onText = (text: string) => {
        for (const end = text.lastIndexOf('\n\n') + 2; taken < end; ) {
          const next = text.indexOf('\n\n', taken) + 2;
          this.#take(text.slice(taken, next));
          taken = next;
        }
      };
      await read(`${this.#query}stream`, { onText, signal });
      await sleep(RETRY_MS);
    }
  }

  #take(message: string): void {
    const [, name, data] = /^event: (\w+)\ndata: (.*)/m.exec(message) ?? [];
    if (name === 'refetch') void this.#readAll();
    else if (name === 'end_user') this.#learn(JSON.parse(data ?? '') as EndUser);
  }

  /** What was read and what was streamed come in any order: the state of more events is the later one. */
  #learn(endUser: EndUser): void {
    const known = this.endUsers.get(endUser.heron_id);
    if (known === undefined || endUser.event_count >= known.event_count) this.endUsers.set(endUser.heron_id, endUser);
  }

  async #readAll(): Promise<void> {
    const mine = ++this.#reading;
    this.endUsers.clear();
    for (let token = ''; !this.#leaving.signal.aborted; ) {
      const page = await read(`${this.#query}end-users?page_size=200${token && `&page_token=${token}`}`);
      if (mine !== this.#reading) return; // another has begun
      if (page?.status !== 200 || !page.whole) {
        await sleep(RETRY_MS);
        continue;
      }
      const { end_users, next_page_token } = JSON.parse(page.text);
      for (const endUser of end_users) this.#learn(endUser);
      if (next_page_token === null) return;
      token = encodeURIComponent(next_page_token);
    }
  }
}
