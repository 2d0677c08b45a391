import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Server as NetServer } from 'node:net';
import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises';
import { describe, type Log } from './log.ts';

type RequestStart = { request: IncomingMessage; response: ServerResponse; server: Server };

/** Cloud Run kills a process 10 s after SIGTERM. */
const DRAIN_MS = 8_000;
/** How long connections are still served after SIGTERM; after that, how long those that were never used. */
const LAST_REUSE_MS = 500;
const FIRST_USE_MS = 1_500;
/** How long last answers may take to leave the process. */
const FLUSH_MS = 100;
/** How long a client that was answered early may go on sending before its connection is cut. */
const LINGER_MS = 1_000;
/** Heron's first retry comes a minute after a failure. */
const RETRY_AFTER = { 'Retry-After': '60' };

const servers = new Set<Server>();
const inFlight = new Set<ServerResponse>();
const stop = new AbortController();
let takenOver = false;
let draining = false;

/** Aborted when this process drains: whoever waits for something to happen should answer with what there is. */
export const stopping: AbortSignal = stop.signal;

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

export type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/**
 * Answers 503 where a handler fails, which none should: the functions framework would answer with the error's message.
 * What fails later, in a callback, the framework catches with a domain: that is left, so that {@link drainOnSignals}
 * hears of it.
 */
export function guarded(handler: Handler, log: Log): Handler {
  return async (request, response) => {
    (process as { domain?: { exit(): void } }).domain?.exit();
    try {
      await handler(request, response);
    } catch (error) {
      log('CRITICAL', 'The handler failed.', { outcome: 'failed', http_status: 503, error: describe(error) });
      if (response.headersSent) response.destroy();
      else answerUnavailable(response, 'Something went wrong here. Send the request again later.');
    }
  };
}

/**
 * On SIGTERM no new connection is taken, and every request that has arrived is answered (for 8 s at most), then `close`,
 * then exit. For half a second connections go on being served, each told that it is the last time: a client that reuses
 * one just then is not cut off.
 * An error that nobody caught ends the process at once: its state is unknown, and a 503 brings the requests again.
 *
 * The functions framework's own handlers, which answer one request with 500 and the error, and drop the others, are
 * removed when the first request arrives: before that there is nothing to drop.
 */
export function drainOnSignals(log: Log, close: () => Promise<void>): void {
  let begun = false;
  const giveUp = () => {
    for (const response of inFlight) answerUnavailable(response, 'This process ends. Send the request again later.');
    setTimeout(() => process.exit(1), FLUSH_MS);
  };
  const drain = async () => {
    if (begun) return;
    begun = true;
    setTimeout(() => {
      log('ERROR', `Stopped with ${inFlight.size} requests unanswered after ${DRAIN_MS} ms.`, { outcome: 'stopped' });
      giveUp();
    }, DRAIN_MS);
    await acceptAll();
    // Not the HTTP server's own close, which would also close the connections that are idle just now.
    const closed = [...servers].map(
      (server) => new Promise((resolve) => NetServer.prototype.close.call(server, resolve)),
    );
    // Only now are clients told to leave: they would have come back by new connections.
    draining = true;
    stop.abort();
    for (const response of inFlight) response.shouldKeepAlive = false;
    await Promise.race([Promise.all(closed), sleep(LAST_REUSE_MS)]);
    for (const server of servers) server.closeIdleConnections(); // those that have had a request
    await Promise.race([Promise.all(closed), sleep(FIRST_USE_MS)]);
    while (inFlight.size > 0) await sleep(10);
    for (const server of servers) server.closeAllConnections();
    await close().catch((error) =>
      log('WARNING', 'Not closed cleanly.', { outcome: 'not_closed', error: describe(error) }),
    );
    process.exit(0);
  };
  const crash = (error: unknown) => {
    log('CRITICAL', 'Stopped by an error that nobody caught.', { outcome: 'crashed', error: describe(error) });
    giveUp();
  };
  const handlers = {
    SIGTERM: () => void drain(),
    SIGINT: () => void drain(),
    uncaughtException: crash,
    unhandledRejection: crash,
    exit: () => {}, // the framework's prints a stack trace
  };
  const takeOver = () => {
    unsubscribe('http.server.request.start', takeOver);
    for (const [event, handler] of Object.entries(handlers)) process.removeAllListeners(event).on(event, handler);
  };
  subscribe('http.server.request.start', takeOver);
}

/**
 * Resolves right after a turn of the event loop in which no connection came: Node accepts one a turn, and the system
 * resets those that still wait when a server closes.
 */
async function acceptAll(): Promise<void> {
  const deadline = performance.now() + LAST_REUSE_MS;
  let accepted = true;
  for (const server of servers)
    server.on('connection', () => {
      accepted = true;
    });
  while (accepted && performance.now() < deadline) {
    accepted = false;
    await immediate();
  }
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
    // One buffer that grows, not a list of chunks (ten million of one byte would take gigabytes), nor what is announced.
    let bytes = Buffer.allocUnsafe(Math.min(announced, 65_536));
    let size = 0;
    const finish = (body: Body) => {
      clearTimeout(timer);
      request.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
      resolve(body);
    };
    const onData = (chunk: Buffer) => {
      const end = size + chunk.length;
      if (end > maxBytes) return finish({ kind: 'too_large', bytes: end });
      if (end > bytes.length) bytes = Buffer.concat([bytes.subarray(0, size)], Math.min(maxBytes, 2 * end));
      chunk.copy(bytes, size);
      size = end;
    };
    const onEnd = () => finish({ kind: 'complete', bytes: bytes.subarray(0, size) });
    const onClose = () => finish({ kind: 'client_left' });
    const timer = setTimeout(() => finish({ kind: 'timed_out' }), Math.max(0, timeoutMs));
    request.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
  });
}

/**
 * Answers. Where the request is still being sent, the answer is all there at once, but is ended only when the rest has
 * come and been thrown away, or a second later: ending it may cut the connection, and a client that reads only after it
 * has sent everything would never see the answer (nginx's lingering close).
 */
export function answer(
  response: ServerResponse,
  status: number,
  body: string | Uint8Array = '',
  headers: Readonly<Record<string, string>> = {},
): void {
  if (response.headersSent || response.destroyed) return;
  const request = response.req;
  const content = request.method === 'HEAD' ? '' : body;
  response.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(body) });
  if (request.complete) {
    response.end(content);
    return;
  }
  response.flushHeaders();
  if (content !== '') response.write(content);
  const cut = setTimeout(() => request.destroy(), LINGER_MS);
  request.once('close', () => {
    clearTimeout(cut);
    response.end();
  });
  request.resume();
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

/** Answers 503: nothing is claimed to have been done. */
export function answerUnavailable(response: ServerResponse, detail: string): void {
  answerProblem(response, 503, 'Service Unavailable', detail, { headers: RETRY_AFTER });
}

export type ProblemOptions = {
  readonly headers?: Readonly<Record<string, string>>;
  readonly type?: string;
  readonly [member: string]: unknown;
};
