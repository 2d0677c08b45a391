import type { IncomingMessage, ServerResponse } from 'node:http';
import { answer } from '../http/answer.ts';
import { readBody } from '../http/body.ts';
import { type HandlerOptions, type PushBody, type PushRequest, responder } from './respond.ts';
import type { Subscriber } from './subscriber.ts';

export type { DeadLetter, SendDeadLetter } from './dead-letter.ts';
export type { OidcOptions } from './oidc.ts';
export type { HandlerOptions } from './respond.ts';

/**
 * Takes Pub/Sub's pushes, wrapped or not, for the functions framework, Express, or `node:http`. It reads the request
 * itself: mount it before any body parser, or have that one keep the bytes in `rawBody`, as the functions framework does.
 * Answers 204 once the event is handled; what is answered otherwise comes again.
 */
export function nodeHandler(
  subscriber: Subscriber,
  options: HandlerOptions = {},
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  const respond = responder(subscriber, options);
  return async (request, response) => {
    const { status, headers, body } = await respond(pushRequest(request));
    answer(response, status, body ?? '', headers);
  };
}

function pushRequest(request: IncomingMessage): PushRequest {
  return {
    method: request.method ?? '',
    header: (name) => {
      const value = request.headers[name];
      return Array.isArray(value) ? value.join(', ') : value;
    },
    headerNames: Object.keys(request.headers),
    body: (maxBytes, milliseconds) => bodyOf(request, maxBytes, milliseconds),
  };
}

async function bodyOf(request: IncomingMessage, maxBytes: number, milliseconds: number): Promise<PushBody> {
  const { rawBody } = request as { rawBody?: unknown };
  if (rawBody instanceof Uint8Array)
    return rawBody.byteLength > maxBytes ? { kind: 'too_large' } : { kind: 'complete', bytes: rawBody };
  if (request.readableEnded || request.readableDidRead)
    throw Object.assign(new Error('read already'), {
      code: 'BODY_READ_ALREADY: mount nodeHandler before the body parser',
    });
  return readBody(request, maxBytes, milliseconds);
}
