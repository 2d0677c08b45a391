import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from './log.ts';

type RequestStart = { request: IncomingMessage; response: ServerResponse; server: Server };

/** Cloud Run kills a process 10 s after SIGTERM. */
const DRAIN_MS = 8_000;
/** How long open connections are still served after SIGTERM. */
const LAST_REUSE_MS = 500;
/** How long a client that was answered early may go on sending before its connection is cut. */
const LINGER_MS = 1_000;

const servers = new Set<Server>();
const inFlight = new Set<ServerResponse>();
let draining = false;

/**
 * Keeps the functions framework's hands off every request of this process: it would parse and inflate the body by its
 * content type (an unsigned megabyte of gzip became 900 MB) and answer malformed JSON or a malformed path itself, with a
 * stack trace. So before it looks, the content type is taken away and the path set aside: handlers read the stream
 * themselves, and find the path in `originalUrl`.
 */
export function takeOverRequests(): void {
  if (takenOver) return;
  takenOver = true;
  subscribe('http.server.request.start', (message) => {
    const { request, response, server } = message as RequestStart;
    delete request.headers['content-type'];
    Object.assign(request, { originalUrl: request.url, url: '/' });
    servers.add(server);
    inFlight.add(response);
    if (draining) response.shouldKeepAlive = false;
    response.once('close', () => inFlight.delete(response));
  });
}
let takenOver = false;

/**
 * On SIGTERM every request that has arrived is answered (for 8 s at most), then `close`, then exit. For half a second
 * connections go on being served, each told that it is the last time: a client that reuses one just then is not cut off.
 * The functions framework's own handler, which answers one request with 500 and drops the others, is removed when the
 * first request arrives: before that there is nothing to drop.
 */
export function drainOnSignals(log: Log, close: () => Promise<void>): void {
  const drain = async () => {
    if (draining) return;
    draining = true;
    setTimeout(() => {
      log('ERROR', `Stopped with ${inFlight.size} requests unanswered after ${DRAIN_MS} ms.`, { outcome: 'stopped' });
      process.exit(1);
    }, DRAIN_MS);
    for (const response of inFlight) response.shouldKeepAlive = false;
    await sleep(LAST_REUSE_MS);
    for (const server of servers) server.close();
    while (inFlight.size > 0) await sleep(10);
    for (const server of servers) server.closeAllConnections();
    await close();
    process.exit(0);
  };
  const takeSignals = () => {
    unsubscribe('http.server.request.start', takeSignals);
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.removeAllListeners(signal);
      process.on(signal, () => void drain());
    }
  };
  subscribe('http.server.request.start', takeSignals);
}

export type Body =
  | { readonly kind: 'complete'; readonly bytes: Buffer }
  | { readonly kind: 'too_large'; readonly bytes: number }
  | { readonly kind: 'timed_out' }
  | { readonly kind: 'client_left' };

/** Reads a request's body as it is sent, with bounds. Never rejects. @param maxBytes whatever Content-Length says. */
export function readBody(request: IncomingMessage, maxBytes: number, timeoutMs: number): Promise<Body> {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > maxBytes) return Promise.resolve({ kind: 'too_large', bytes: announced });
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const finish = (body: Body) => {
      clearTimeout(timer);
      request.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
      request.on('error', () => {}); // a client that leaves later is no crash
      resolve(body);
    };
    const onData = (chunk: Buffer) => {
      size += chunk.length;
      if (size > maxBytes) finish({ kind: 'too_large', bytes: size });
      else chunks.push(chunk);
    };
    const onEnd = () => finish({ kind: 'complete', bytes: Buffer.concat(chunks, size) });
    const onClose = () => finish({ kind: 'client_left' });
    const timer = setTimeout(() => finish({ kind: 'timed_out' }), Math.max(0, timeoutMs));
    request.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
  });
}

/**
 * Answers. Where the body has not been read, the rest of it is thrown away as it comes, for a second: cutting at once
 * would reset the connection, and a client still sending would never see the answer (nginx's lingering close).
 */
export function answer(
  response: ServerResponse,
  status: number,
  body: string | Uint8Array = '',
  headers: Readonly<Record<string, string>> = {},
): void {
  if (response.headersSent || response.destroyed) return;
  const request = response.req;
  response.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(body) });
  response.end(request.method === 'HEAD' ? undefined : body);
  if (request.complete) return;
  request.on('error', () => {});
  request.resume();
  const cut = setTimeout(() => request.destroy(), LINGER_MS);
  request.once('close', () => clearTimeout(cut));
  request.once('end', () => clearTimeout(cut));
}

/** Answers with an RFC 9457 problem. @param detail what happened, why, and what to do next; nothing sensitive. */
export function answerProblem(
  response: ServerResponse,
  status: number,
  title: string,
  detail: string,
  { headers = {}, type = 'about:blank', ...members }: ProblemOptions = {},
): void {
  const problem = JSON.stringify({ type, title, status, detail, ...members });
  answer(response, status, `${problem}\n`, { ...headers, 'Content-Type': 'application/problem+json' });
}

export type ProblemOptions = {
  readonly headers?: Readonly<Record<string, string>>;
  readonly type?: string;
  readonly [member: string]: unknown;
};
