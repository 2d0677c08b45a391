import type { TraceHeaders } from '../log.ts';

export type SpanKind = 'server' | 'consumer' | 'producer' | 'client';

export type SpanOptions = {
  readonly kind: SpanKind;
  /** That name the caller's span, as a request or a message brought them. */
  readonly from: TraceHeaders;
  /** When it began, by the stopwatch; now, unless given. */
  readonly began?: number;
};

/** What a span may say of what came of it: log fields, of which none is sensitive. */
export type SpanFields = Readonly<Record<string, unknown>>;

/** A piece of work as part of a trace. */
export type Span = {
  /** By which its log lines and whoever comes after it belong to the trace. */
  readonly headers: TraceHeaders;
  child(name: string, kind: SpanKind): Span;
  /** @param fields where they have an `error`, the work failed. */
  end(fields?: SpanFields): void;
};

/** Begins spans, and sends them somewhere, later and beside the work: it never holds that up, nor makes it fail. */
export type Tracer = {
  begin(name: string, options: SpanOptions): Span;
  /** Sends what is left, for a moment at most. Never rejects. */
  close(): Promise<void>;
};

/** No spans of our own: the caller's is handed on. */
export const NO_TRACER: Tracer = {
  begin: (_, { from }) => passedOn(from),
  close: async () => {},
};

function passedOn(headers: TraceHeaders): Span {
  const span: Span = { headers, child: () => span, end: () => {} };
  return span;
}

/** Ends the span when the work ends, and settles as it does. */
export async function spanning<T>(span: Span, work: () => Promise<T>): Promise<T> {
  try {
    const result = await work();
    span.end();
    return result;
  } catch (error) {
    span.end({ error: true });
    throw error;
  }
}
