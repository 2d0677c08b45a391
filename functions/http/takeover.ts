import { subscribe } from 'node:diagnostics_channel';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';

type RequestStart = { request: IncomingMessage; response: ServerResponse; server: Server };

/** Those that have had a request, and the answers that are not given yet. */
export const servers = new Set<Server>();
export const inFlight = new Set<ServerResponse>();

const stopped = new AbortController();
/** Aborted when this process drains: whoever waits for something to happen should answer with what there is. */
export const stopping: AbortSignal = stopped.signal;

/** From now on each answer is the last on its connection. */
export function stop(): void {
  for (const response of inFlight) response.shouldKeepAlive = false;
  stopped.abort();
}

let takenOver = false;

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
    if (stopping.aborted) response.shouldKeepAlive = false;
    response.once('close', () => inFlight.delete(response));
  });
}
