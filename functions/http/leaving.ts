import type { ServerResponse } from 'node:http';

/**
 * Aborted when the client ends its side of the connection: mostly it has gone, and nobody is to wait for it any longer,
 * but it may still read its answer.
 */
export function leaving(response: ServerResponse): AbortSignal {
  const { socket } = response.req;
  const left = new AbortController();
  const leave = () => left.abort();
  if (response.destroyed || socket.readableEnded) leave();
  socket.once('end', leave);
  response.once('close', () => {
    socket.off('end', leave);
    leave();
  });
  return left.signal;
}
