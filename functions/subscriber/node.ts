import type { IncomingMessage, ServerResponse } from 'node:http';
import { type HandlerOptions, type PushRequest, responder } from './respond.ts';
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
    if (response.headersSent || response.destroyed) return;
    // What is still being sent is not read any more: the connection cannot be used again.
    response.writeHead(
      status,
      request.readableEnded || request.complete ? headers : { ...headers, Connection: 'close' },
    );
    response.end(body ?? undefined);
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
    body: (maxBytes) => readBody(request, maxBytes),
  };
}

async function readBody(request: IncomingMessage, maxBytes: number): Promise<Uint8Array | null> {
  const { rawBody } = request as { rawBody?: unknown };
  if (rawBody instanceof Uint8Array) return rawBody.byteLength > maxBytes ? null : rawBody;
  if (request.readableEnded || request.readableDidRead)
    throw Object.assign(new Error('read already'), {
      code: 'BODY_READ_ALREADY: mount nodeHandler before the body parser',
    });
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    size += chunk.byteLength;
    if (size > maxBytes) return null;
    chunks.push(chunk);
  }
  return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
}
