import { within } from '../deadline.ts';
import { type HandlerOptions, type PushBody, type PushRequest, responder } from './respond.ts';
import type { Subscriber } from './subscriber.ts';

export type { DeadLetter, SendDeadLetter } from './dead-letter.ts';
export type { OidcOptions } from './oidc.ts';
export type { HandlerOptions } from './respond.ts';

const FIRST_BYTES = 4_096;

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
    body: (maxBytes, milliseconds) => bodyOf(request, maxBytes, milliseconds),
  };
}

async function bodyOf(request: Request, maxBytes: number, milliseconds: number): Promise<PushBody> {
  if (request.bodyUsed)
    throw Object.assign(new Error('read already'), { code: 'BODY_READ_ALREADY: give fetchHandler the request unread' });
  if (request.body === null) return { kind: 'complete', bytes: new Uint8Array() };
  const reader = request.body.getReader();
  const reading = readAll(reader, maxBytes).catch((): PushBody => ({ kind: 'client_left' }));
  const body = await within<PushBody>(milliseconds, reading, () => ({ kind: 'timed_out' }));
  if (body.kind !== 'complete') void reader.cancel().catch(() => {});
  return body;
}

type Reader = ReadableStreamDefaultReader<Uint8Array>;

async function readAll(reader: Reader, maxBytes: number): Promise<PushBody> {
  let bytes = new Uint8Array(FIRST_BYTES);
  let size = 0;
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    const end = size + read.value.byteLength;
    if (end > maxBytes) return { kind: 'too_large' };
    if (end > bytes.byteLength) {
      // One buffer that grows, not a list of chunks: ten million of one byte would take gigabytes.
      const larger = new Uint8Array(Math.min(maxBytes, Math.max(end, 2 * bytes.byteLength)));
      larger.set(bytes.subarray(0, size));
      bytes = larger;
    }
    bytes.set(read.value, size);
    size = end;
  }
  return { kind: 'complete', bytes: bytes.subarray(0, size) };
}
