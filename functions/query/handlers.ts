import type { IncomingMessage, ServerResponse } from 'node:http';
import type { CALLS, CallName } from './calls.ts';
import type { Parameters } from './parameters.ts';
import type { Reply } from './reply.ts';
import type { Schema, Value } from './schema.ts';

type Calls = typeof CALLS;
type JsonAnswers<N extends CallName> = {
  readonly [Status in keyof Calls[N]['answers']]: Calls[N]['answers'][Status] extends {
    readonly json: infer S extends Schema;
  }
    ? { readonly json: Value<S>; readonly status?: Status }
    : Exclude<Reply, { json: unknown }>;
};

/** What a handler may come to: JSON of the schema that the table of calls has for it, or what is not JSON. */
type ReplyOf<N extends CallName> = JsonAnswers<N>[keyof JsonAnswers<N>];

export type Exchange = {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly search: URLSearchParams;
  /** Aborted when the connection is gone: nothing more need be read for it. */
  readonly signal: AbortSignal;
};

export type Handlers = {
  readonly [N in CallName]: (
    parameters: Parameters<Calls[N]['parameters'], Calls[N]['path']>,
    exchange: Exchange,
  ) => Promise<ReplyOf<N>> | ReplyOf<N>;
};
