import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { describe, type Log } from '../log.ts';
import { answerUnavailable } from './answer.ts';
import { beforeReading } from './body.ts';

/** Answers a request, all of it: nobody does anything to either before or after. It must not reject. */
export type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/**
 * Google's load balancer keeps a connection for 600 s and sends a request on it at any time: we must not be the first to
 * close it. Source: https://cloud.google.com/load-balancing/docs/https#timeouts_and_retries
 */
const KEEP_ALIVE_MS = 620_000;
/** Node counts this from a connection's start as well: one that was opened ahead of need may not end before others. */
const HEADERS_MS = 630_000;

/** Those that take requests, and the answers that are not given yet. */
export const servers = new Set<Server>();
export const inFlight = new Set<ServerResponse>();

const stopped = new AbortController();
/**
 * Aborted when this process drains: whoever waits for something to happen should answer with what there is. Requests
 * still come for a while after it: ask `aborted` before listening.
 */
export const stopping: AbortSignal = stopped.signal;

/** From now on each answer is the last on its connection. */
export function stop(): void {
  for (const response of inFlight) response.shouldKeepAlive = false;
  stopped.abort();
}

/** A server whose requests go to the handler. */
export function serverOf(handler: Handler, log: Log): Server {
  const server = createServer();
  give(server, handler, log);
  return server;
}

/**
 * Gives the handler the requests of the server that the functions framework makes in this process. The framework would
 * parse and inflate a body by its content type (an unsigned megabyte of gzip became 900 MB), answer malformed JSON or a
 * malformed path with a stack trace, and cost most of what a request costs. It hands its server to nobody, but Node
 * tells of each request just before it goes to the server's listeners: with the first they are replaced.
 */
export function takeOverRequests(handler: Handler, log: Log): void {
  const takeOver = (message: unknown) => {
    unsubscribe('http.server.request.start', takeOver);
    give((message as { server: Server }).server, handler, log);
  };
  subscribe('http.server.request.start', takeOver);
}

function give(server: Server, handler: Handler, log: Log): void {
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.headersTimeout = HEADERS_MS;
  server.requestTimeout = HEADERS_MS; // also from a connection's start; bodies have deadlines of their own
  // A client that has ended its side gets its answer; without this Node ends the other side at once.
  Object.assign(server, { httpAllowHalfOpen: true });
  servers.add(server);
  const take = async (request: IncomingMessage, response: ServerResponse) => {
    inFlight.add(response);
    response.once('close', () => inFlight.delete(response));
    if (stopping.aborted) response.shouldKeepAlive = false;
    try {
      await handler(request, response);
    } catch (error) {
      log('CRITICAL', 'The handler failed.', { outcome: 'failed', http_status: 503, error: describe(error) });
      if (response.headersSent) response.destroy();
      else answerUnavailable(response, 'Something went wrong here. Send the request again later.');
    }
  };
  const takeExpecting = (request: IncomingMessage, response: ServerResponse) => {
    beforeReading(request, () => response.writeContinue());
    void take(request, response);
  };
  server.removeAllListeners('request').on('request', (request, response) => void take(request, response));
  server.removeAllListeners('checkContinue').on('checkContinue', takeExpecting);
}
