import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock, Stopwatch } from '../clock.ts';
import { describe, type Log, traceOf } from '../log.ts';
import type { Store } from '../store/store.ts';
import { NO_TRACER, type Tracer } from '../telemetry/tracer.ts';
import { asset } from './assets.ts';
import { asyncapi } from './asyncapi.ts';
import { CALLS } from './calls.ts';
import { endUserHandlers } from './end-users.ts';
import { eventHandlers } from './events.ts';
import { Feed } from './feed.ts';
import type { Exchange, Handlers } from './handlers.ts';
import { openapi } from './openapi.ts';
import { readParameters } from './parameters.ts';
import { Problem, problemsPage } from './problem.ts';
import { type Reply, send, sendProblem } from './reply.ts';
import { route } from './router.ts';
import { endUserAnswer } from './shape.ts';
import { Stats } from './stats.ts';
import { Waits } from './waits.ts';

export type QueryDependencies = {
  readonly store: Store;
  readonly log: Log;
  readonly clock: Clock;
  readonly stopwatch: Stopwatch;
  readonly projectId: string;
  readonly tracer?: Tracer;
  /** Once aborted, requests that wait are answered with what there is. */
  readonly stopping?: AbortSignal;
};

/** Answers where end users stand, for programs and people; it only reads. */
export function query({
  store,
  log,
  clock,
  stopwatch,
  projectId,
  tracer = NO_TRACER,
  stopping = new AbortController().signal,
}: QueryDependencies) {
  const unavailable = (error: unknown, what: string, fields: Readonly<Record<string, unknown>> = {}) =>
    log('ERROR', `${what} could not read the store.`, { outcome: 'unavailable', error: describe(error), ...fields });
  const stats = new Stats(store, clock);
  const feed = new Feed(store, endUserAnswer, (error) => unavailable(error, 'The stream'), stopping);
  const handlers: Handlers = {
    ...endUserHandlers(store, new Waits(store, stopping), stopwatch),
    ...eventHandlers(store),
    getStats: async () => ({ json: await stats.read() }),
    getStream: () => ({ stream: (response, headers) => feed.join(response, headers) }),
    getOpenapi: () => ({ json: openapi() }),
    getAsyncapi: () => ({ json: asyncapi() }),
    getProblems: () => ({ html: problemsPage() }),
    getPage: () => ({ asset: asset('/') }),
  };

  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const arrived = stopwatch();
    const span = tracer.begin('query', { kind: 'server', from: request.headers });
    const left = new AbortController();
    response.once('close', () => left.abort());
    try {
      send(request, response, await reply(handlers, request, response, left.signal));
      span.end({ http_status: response.statusCode });
    } catch (error) {
      if (error instanceof Problem) {
        sendProblem(response, error);
        return span.end({ http_status: response.statusCode });
      }
      span.end({ error: describe(error) });
      if (left.signal.aborted) return; // nobody is there to be told
      const milliseconds = Math.round(stopwatch() - arrived);
      const trace = traceOf(span.headers, projectId);
      unavailable(error, 'The request', { http_status: 503, milliseconds, trace });
      sendProblem(response, new Problem('unavailable', undefined, { headers: { 'Retry-After': '5' } }));
    }
  };
}

async function reply(
  handlers: Handlers,
  request: IncomingMessage,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<Reply> {
  const { method = 'GET', url = '/' } = request;
  const [path = '', query = ''] = url.split(/\?(.*)/s);
  const file = ['GET', 'HEAD'].includes(method) ? asset(path) : undefined;
  if (file !== undefined) return { asset: file };
  const { name, fromPath } = route(method, path);
  const search = new URLSearchParams(query);
  const parameters = readParameters(CALLS[name].parameters, search, fromPath);
  // One call's parameters for that call's handler, which the types of a table cannot say.
  const handler = handlers[name] as (parameters: unknown, exchange: Exchange) => Promise<Reply> | Reply;
  return handler(parameters, { request, response, search, signal });
}
