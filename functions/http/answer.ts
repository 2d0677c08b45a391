import type { ServerResponse } from 'node:http';

/** How long a client that was answered early may go on sending before its connection is cut. */
const LINGER_MS = 3_000;
/** Heron's first retry comes a minute after a failure. */
const RETRY_AFTER = { 'Retry-After': '60' };

/**
 * Answers. Where the request is still being sent, the answer is all there at once, but is ended only when the rest has
 * come and been thrown away, or three seconds later: ending it may cut the connection, and a client that reads only after it
 * has sent everything would never see the answer (nginx's lingering close).
 */
export function answer(
  response: ServerResponse,
  status: number,
  body: string | Uint8Array = '',
  headers: Readonly<Record<string, string>> = {},
): void {
  if (response.headersSent || response.destroyed) return;
  const request = response.req;
  const content = request.method === 'HEAD' ? '' : body;
  // RFC 9110, 8.6: an answer without content by its status names no length.
  const length = status === 204 ? {} : { 'Content-Length': Buffer.byteLength(body) };
  response.writeHead(status, { ...headers, ...length });
  if (request.complete) {
    response.end(content);
    return;
  }
  response.flushHeaders();
  if (content !== '') response.write(content);
  const cut = setTimeout(() => request.destroy(), LINGER_MS);
  request.once('close', () => {
    clearTimeout(cut);
    response.end();
  });
  request.resume();
}

/** Answers with an RFC 9457 problem. @param detail what happened, why, and what to do next; nothing sensitive. */
export function answerProblem(
  response: ServerResponse,
  status: number,
  title: string,
  detail: string,
  { headers = {}, type = 'about:blank', ...members }: ProblemOptions = {},
): void {
  const problem = JSON.stringify({ type, title, status, detail, ...members });
  answer(response, status, `${problem}\n`, { ...headers, 'Content-Type': 'application/problem+json' });
}

/** Answers 503: nothing is claimed to have been done. */
export function answerUnavailable(response: ServerResponse, detail: string): void {
  answerProblem(response, 503, 'Service Unavailable', detail, { headers: RETRY_AFTER });
}

export type ProblemOptions = {
  readonly headers?: Readonly<Record<string, string>>;
  readonly type?: string;
  readonly [member: string]: unknown;
};
