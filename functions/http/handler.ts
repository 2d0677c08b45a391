import type { IncomingMessage, ServerResponse } from 'node:http';
import { describe, type Log } from '../log.ts';
import { answerUnavailable } from './answer.ts';

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
