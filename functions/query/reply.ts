import type { IncomingMessage, ServerResponse } from 'node:http';
import { answer, answerProblem } from '../http/answer.ts';
import { type Asset, tagOf } from './assets.ts';
import { PROBLEMS, type Problem } from './problem.ts';

/** What a call comes to, before it is known what the client takes and has. */
export type Reply =
  | { readonly json: unknown; readonly status?: number }
  | { readonly bytes: Uint8Array; readonly tag: string }
  | { readonly html: string }
  | { readonly asset: Asset }
  /** Writes the answer itself, for as long as it takes. */
  | { readonly stream: (response: ServerResponse, headers: Readonly<Record<string, string>>) => void };

/** Answers may name people: shared caches keep none, and browsers ask each time whether theirs is still good. */
const HEADERS = {
  'Cache-Control': 'private, no-cache',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'; sandbox",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'X-Content-Type-Options': 'nosniff',
};

/** Sends a reply, or 304 where the client has it already. */
export function send(request: IncomingMessage, response: ServerResponse, reply: Reply): void {
  if ('stream' in reply) {
    if (request.method === 'HEAD') answer(response, 200, '', { ...HEADERS, 'Content-Type': 'text/event-stream' });
    else reply.stream(response, { ...HEADERS, 'Cache-Control': 'no-store' });
    return;
  }
  const { status = 200, type, body, tag, headers = {} } = rendered(reply, request);
  const all = { ...HEADERS, ...headers, ...(status === 200 ? { ETag: `"${tag}"` } : {}) };
  if (status === 200 && request.method !== 'POST' && isKnown(tag, request.headers['if-none-match']))
    response.writeHead(304, all).end();
  else answer(response, status, body, { ...all, 'Content-Type': type });
}

export function sendProblem(response: ServerResponse, { type, message, headers, members }: Problem): void {
  const [status, title] = PROBLEMS[type];
  answerProblem(response, status, title, message, {
    ...members,
    type: `/problems#${type}`,
    headers: { ...HEADERS, ...headers },
  });
}

type Rendered = {
  readonly status?: number;
  readonly type: string;
  readonly body: string | Uint8Array;
  readonly tag: string;
  readonly headers?: Readonly<Record<string, string>>;
};

function rendered(reply: Exclude<Reply, { stream: unknown }>, { headers }: IncomingMessage): Rendered {
  if ('bytes' in reply) return { type: 'application/octet-stream', body: reply.bytes, tag: reply.tag };
  if ('html' in reply) return { type: 'text/html; charset=utf-8', body: reply.html, tag: tagOf(reply.html) };
  if ('asset' in reply) {
    const { type, bytes, gzipped, tag, headers: own } = reply.asset;
    const zip = takesGzip(headers['accept-encoding']);
    const coding = { Vary: 'Accept-Encoding', ...(zip ? { 'Content-Encoding': 'gzip' } : {}) };
    return { type, body: zip ? gzipped : bytes, tag: zip ? `${tag}-gzip` : tag, headers: { ...own, ...coding } };
  }
  const body = `${JSON.stringify(reply.json)}\n`;
  return { status: reply.status ?? 200, type: 'application/json', body, tag: tagOf(body) };
}

/** Whether Accept-Encoding takes gzip, by its name or else by `*`; a weight of 0 refuses (RFC 9110, 12.5.3). */
function takesGzip(header: string | string[] | undefined): boolean {
  const weights = new Map(
    String(header ?? '')
      .toLowerCase()
      .split(',')
      .map((each) => {
        const [coding = '', ...parameters] = each.split(';').map((part) => part.trim());
        const weight = parameters.find((part) => part.startsWith('q='))?.slice(2);
        return [coding, weight === undefined ? 1 : Number(weight)];
      }),
  );
  return (weights.get('gzip') ?? weights.get('x-gzip') ?? weights.get('*') ?? 0) > 0;
}

/** Whether the client named the tag in If-None-Match, where weak tags count like strong ones. */
function isKnown(tag: string, header: string | undefined): boolean {
  const named = (header ?? '').split(',').map((each) => each.trim().replace(/^W\//, ''));
  return named.includes(`"${tag}"`) || named.includes('*');
}
