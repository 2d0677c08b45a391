import type { IncomingMessage } from 'node:http';

export type Body =
  | { readonly kind: 'complete'; readonly bytes: Buffer }
  | { readonly kind: 'too_large'; readonly bytes: number }
  | { readonly kind: 'timed_out' }
  | { readonly kind: 'client_left' };

/** Reads a request's body as it is sent, with bounds. Never rejects. @param maxBytes whatever Content-Length says. */
export function readBody(request: IncomingMessage, maxBytes: number, timeoutMs: number): Promise<Body> {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > maxBytes) return Promise.resolve({ kind: 'too_large', bytes: announced });
  return new Promise((resolve) => {
    // One buffer that grows, not a list of chunks (ten million of one byte would take gigabytes), nor what is announced.
    let bytes = Buffer.allocUnsafe(Math.min(announced, 65_536));
    let size = 0;
    const finish = (body: Body) => {
      clearTimeout(timer);
      request.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
      resolve(body);
    };
    const onData = (chunk: Buffer) => {
      const end = size + chunk.length;
      if (end > maxBytes) return finish({ kind: 'too_large', bytes: end });
      if (end > bytes.length) bytes = Buffer.concat([bytes.subarray(0, size)], Math.min(maxBytes, 2 * end));
      chunk.copy(bytes, size);
      size = end;
    };
    const onEnd = () => finish({ kind: 'complete', bytes: bytes.subarray(0, size) });
    const onClose = () => finish({ kind: 'client_left' });
    const timer = setTimeout(() => finish({ kind: 'timed_out' }), Math.max(0, timeoutMs));
    request.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
  });
}
