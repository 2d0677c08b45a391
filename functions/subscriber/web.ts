import { type HandlerOptions, type PushRequest, responder } from './respond.ts';
import type { Subscriber } from './subscriber.ts';

export type { DeadLetter, SendDeadLetter } from './dead-letter.ts';
export type { OidcOptions } from './oidc.ts';
export type { HandlerOptions } from './respond.ts';

/** Takes Pub/Sub's pushes, wrapped or not, for servers that speak Fetch: Hono, Bun, Deno. The body must be unread. */
export function fetchHandler(
  subscriber: Subscriber,
  options: HandlerOptions = {},
): (request: Request) => Promise<Response> {
  const respond = responder(subscriber, options);
  return async (request) => {
    const { status, headers, body } = await respond(pushRequest(request));
    return new Response(body, { status, headers });
  };
}

function pushRequest(request: Request): PushRequest {
  return {
    method: request.method,
    header: (name) => request.headers.get(name) ?? undefined,
    headerNames: request.headers.keys(),
    body: (maxBytes) => readBody(request, maxBytes),
  };
}

async function readBody(request: Request, maxBytes: number): Promise<Uint8Array | null> {
  if (request.bodyUsed)
    throw Object.assign(new Error('read already'), { code: 'BODY_READ_ALREADY: give fetchHandler the request unread' });
  if (request.body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reader = request.body.getReader();
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    size += read.value.byteLength;
    if (size > maxBytes) {
      await reader.cancel();
      return null;
    }
    chunks.push(read.value);
  }
  const bytes = new Uint8Array(size);
  let end = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, end);
    end += chunk.byteLength;
  }
  return bytes;
}
