import type { IncomingMessage } from 'node:http';

/** What became of reading a body. */
export type Read = 'complete' | 'too_large' | 'timed_out' | 'client_left';

export type Body =
  | { readonly kind: 'complete'; readonly bytes: Buffer }
  /** `start` is what came of it so far, empty where its Content-Length told: the rest is left to be read. */
  | { readonly kind: 'too_large'; readonly announced: number | null; readonly start: Buffer }
  | { readonly kind: 'timed_out' }
  | { readonly kind: 'client_left' };

const unread = new WeakMap<IncomingMessage, () => void>();

/** Has something done once, when the request's body begins to be read, which it may never. */
export function beforeReading(request: IncomingMessage, act: () => void): void {
  unread.set(request, act);
}

/** What the request says that its body will have, in bytes; null where it does not. */
function announcedBytes(request: IncomingMessage): number | null {
  const length = request.headers['content-length'];
  return length === undefined ? null : Number(length);
}

/** Reads a request's body as it is sent, with bounds. Never rejects. @param maxBytes whatever Content-Length says. */
export async function readBody(request: IncomingMessage, maxBytes: number, timeoutMs: number): Promise<Body> {
  const announced = announcedBytes(request);
  if (announced !== null && announced > maxBytes) return { kind: 'too_large', announced, start: Buffer.alloc(0) };
  // One buffer that grows, not a list of chunks (ten million of one byte would take gigabytes), nor what is announced.
  let bytes = Buffer.allocUnsafe(Math.min(announced ?? 0, 65_536));
  let size = 0;
  const kind = await readChunks(request, maxBytes, timeoutMs, (chunk) => {
    const end = size + chunk.length;
    if (end > bytes.length)
      bytes = Buffer.concat([bytes.subarray(0, size)], Math.max(end, Math.min(maxBytes, 2 * end)));
    chunk.copy(bytes, size);
    size = end;
  });
  switch (kind) {
    case 'complete':
      return { kind, bytes: bytes.subarray(0, size) };
    case 'too_large':
      return { kind, announced, start: bytes.subarray(0, size) };
    default:
      return { kind };
  }
}

/**
 * Reads a request's body without keeping it. Never rejects.
 * @param onChunk gets each piece, also the one with which it turns out to be too large; the rest is left to be read.
 */
export function readChunks(
  request: IncomingMessage,
  maxBytes: number,
  timeoutMs: number,
  onChunk: (chunk: Buffer) => void,
): Promise<Read> {
  unread.get(request)?.();
  unread.delete(request);
  return new Promise((resolve) => {
    let size = 0;
    const finish = (read: Read) => {
      clearTimeout(timer);
      // Of a request that has ended nothing comes any more.
      if (read !== 'complete')
        request.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
      resolve(read);
    };
    const onData = (chunk: Buffer) => {
      size += chunk.length;
      onChunk(chunk);
      if (size <= maxBytes) return;
      request.pause();
      finish('too_large');
    };
    const onEnd = () => finish('complete');
    const onClose = () => finish('client_left');
    const timer = setTimeout(() => finish('timed_out'), Math.max(0, timeoutMs));
    request.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose).resume();
    if (request.destroyed && !request.readableEnded) onClose();
  });
}
