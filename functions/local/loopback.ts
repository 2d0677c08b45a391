import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { answerProblem } from '../http/answer.ts';
import { type Handler, serverOf } from '../http/server.ts';
import type { Log } from '../log.ts';

const LOCAL = /^(localhost|[a-z0-9.-]+\.localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i;

/**
 * Answers only who names this machine: a page of any site can have its own name lead here (DNS rebinding), and read what
 * it gets. Only for what nothing else guards.
 */
export function forLocalHosts(handler: Handler): Handler {
  return async (request, response) => {
    if (LOCAL.test(request.headers.host ?? '')) return handler(request, response);
    const detail = 'This is for this machine alone: ask for it as localhost. A tunnel may lead to the webhook only.';
    answerProblem(response, 403, 'Forbidden', detail);
  };
}

/** Serves on loopback only, by both of its addresses where there are two. Resolves with the servers, and their port. */
export async function serveLocally(handler: Handler, log: Log, port: number) {
  const first = serverOf(handler, log);
  await listen(first, port, '127.0.0.1');
  const bound = (first.address() as AddressInfo).port;
  const second = serverOf(handler, log);
  const isOn = await listen(second, bound, '::1').then(
    () => true,
    () => false, // a machine without IPv6
  );
  return { servers: isOn ? [first, second] : [first], port: bound };
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => void server.once('error', reject).listen(port, host, resolve));
}
