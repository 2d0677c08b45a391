import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Server as NetServer } from 'node:net';
import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises';
import { describe, type Log } from '../log.ts';
import { answerUnavailable } from './answer.ts';
import { inFlight, servers, stop } from './server.ts';

/** Cloud Run kills a process 10 s after SIGTERM. */
const DRAIN_MS = 8_000;
/** How long connections are still served after SIGTERM; after that, how long those that were never used. */
const LAST_REUSE_MS = 500;
const FIRST_USE_MS = 1_500;
/** How long last answers may take to leave the process. */
const FLUSH_MS = 100;

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
    stop();
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
