import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** An attempt as Heron's stand-in keeps it. */
export type StandInAttempt = {
  readonly heron_id: string;
  readonly topic: string;
  readonly created: string;
  readonly next_retry_at: string | null;
  /** What was sent; null where Heron did not store it. */
  payload: unknown;
};

/** What goes wrong with the next calls, one each; `null`: nothing. */
export type Fault = 'rate_limited' | 'error' | 'cut_off' | 'broken_json' | 'silent' | null;

/**
 * Stands in for Heron's API, written from what is known of it: a list newest first, by cursor; details with the payload;
 * resending. The list's envelope and names are the test's to choose, as Heron's are not documented.
 */
export class HeronStandIn {
  attempts: StandInAttempt[] = [];
  readonly faults: Fault[] = [];
  readonly calls: string[] = [];
  readonly resent: string[] = [];
  webhooks: { heron_id: string; topic: string; url: string; is_enabled: boolean }[] = [];
  topics: string[] = [];
  /** Topics of which nothing may be registered. */
  readonly refusedTopics = new Set<string>();
  /** Called before each page is answered: Heron goes on meanwhile. */
  beforePage: (page: number) => void = () => {};
  envelope = (deliveries: readonly unknown[], next: string | null): unknown => ({ deliveries, next_cursor: next });
  detail = (attempt: StandInAttempt): unknown => ({ delivery: attempt });
  key = 'key_test';
  #pages = 0;
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/api`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(request: IncomingMessage, response: ServerResponse) {
    const { method, url = '' } = request;
    const { pathname, searchParams } = new URL(url, 'http://stand-in');
    this.calls.push(`${method} ${pathname}`);
    const json = (status: number, body: unknown, headers = {}) => {
      response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(body));
    };
    if (request.headers['x-api-key'] !== this.key)
      return json(403, { code: 403, name: 'Forbidden', description: 'no such key' });
    const fault = this.faults.shift() ?? null;
    switch (fault) {
      case 'rate_limited':
        return json(
          429,
          { code: 429, name: 'Too Many Requests' },
          { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '7' },
        );
      case 'error':
        return json(500, { code: 500, name: 'Internal Server Error', description: { any: 'thing' } });
      case 'cut_off':
        response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': 500 });
        response.write('{"deliveries": [');
        setImmediate(() => response.destroy());
        return;
      case 'broken_json':
        response.writeHead(200, { 'Content-Type': 'application/json' }).end('{"deliveries": [{"heron_id": "evt_');
        return;
      case 'silent':
        return;
      case null:
        break;
      default:
        fault satisfies never;
    }
    const [, id, resend] = /^\/api\/webhooks\/deliveries\/([^/]+)(\/resend)?$/.exec(pathname) ?? [];
    const attempt = this.attempts.find(({ heron_id }) => heron_id === id);
    if (pathname === '/api/webhooks/deliveries') {
      this.beforePage(this.#pages++);
      const from = Number(searchParams.get('cursor')?.slice(1) ?? 0);
      const limit = Number(searchParams.get('limit'));
      const rows = this.attempts.slice(from, from + limit).map(({ payload: _, ...row }) => ({ ...row, status: 0 }));
      return json(200, this.envelope(rows, from + limit < this.attempts.length ? `c${from + limit}` : null));
    }
    if (pathname.startsWith('/api/webhooks') && id === undefined) return this.#registrations(request, pathname, json);
    if (attempt === undefined) return json(404, { code: 404, name: 'Not Found', description: 'no such delivery' });
    if (resend !== undefined && method === 'POST') {
      this.resent.push(attempt.heron_id);
      return json(200, {});
    }
    json(200, this.detail(attempt));
  }

  async #registrations(
    request: IncomingMessage,
    pathname: string,
    json: (status: number, body: unknown) => void,
  ): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const sent = chunks.length === 0 ? {} : JSON.parse(Buffer.concat(chunks).toString());
    const heronId = pathname.split('/')[3];
    const webhook = this.webhooks.find(({ heron_id }) => heron_id === heronId);
    switch (`${request.method} ${heronId === undefined ? '' : heronId === 'topics' ? 'topics' : 'id'}`) {
      case 'GET ':
        return json(200, { webhooks: this.webhooks });
      case 'GET topics':
        return json(200, { topics: this.topics });
      case 'POST ':
        if (this.refusedTopics.has(sent.topic)) return json(400, { code: 400, name: 'Bad Request', description: 'no' });
        this.webhooks.push({ heron_id: `wbh_${this.webhooks.length}`, is_enabled: true, ...sent });
        return json(201, { webhook: this.webhooks.at(-1) });
      case 'PUT id':
        Object.assign(webhook ?? {}, sent);
        return json(200, { webhook });
      case 'DELETE id':
        this.webhooks = this.webhooks.filter((one) => one !== webhook);
        return json(200, {});
      default:
        return json(405, {});
    }
  }
}
