/** Cloud Logging's severities, as far as used here. */
export type Severity = 'DEBUG' | 'INFO' | 'NOTICE' | 'WARNING' | 'ERROR' | 'CRITICAL';

/**
 * What a line may carry: ids, topics and outcomes, so that metrics can be counted from it. Never a payload, a secret or
 * a signature: {@link describe} keeps them out of errors.
 */
export type LogFields = {
  readonly outcome?: string;
  readonly topic?: string | null;
  readonly event_id?: string;
  readonly heron_id?: string | null;
  readonly message_id?: string;
  /** An attempt of Heron's to deliver, `evt_…`. */
  readonly attempt_id?: string;
  readonly bytes?: number;
  readonly milliseconds?: number;
  readonly http_status?: number;
  readonly error?: string;
  readonly reason?: string;
  /** Which of the shared secrets made the signature: 1 for the first. */
  readonly secret?: number;
  /** Where lines were left out: which share of its kind was kept, so that this one stands for 1 / share. */
  readonly sampling?: number;
  /** See {@link traceOf}. */
  readonly trace?: LogTrace | undefined;
};

/**
 * The trace that a line belongs to, in Cloud Logging's own fields: `projects/P/traces/T`, and its span where that is kept.
 * Source: https://cloud.google.com/logging/docs/agent/logging/configuration#special-fields
 */
export type LogTrace = {
  readonly 'logging.googleapis.com/trace': string;
  readonly 'logging.googleapis.com/spanId'?: string;
  readonly 'logging.googleapis.com/trace_sampled'?: true;
};

export type Log = (severity: Severity, message: string, fields?: LogFields) => void;

/**
 * One JSON line an entry, in the structure that Cloud Logging reads from standard output.
 * Source: https://cloud.google.com/logging/docs/structured-logging
 * @param name of the function that logs.
 */
export function cloudLog(name: string, write: (line: string) => void = (line) => process.stdout.write(line)): Log {
  return (severity, message, fields = {}) => {
    const entry = { severity, message, function: name, ...fields, ...fields.trace, trace: undefined };
    write(`${JSON.stringify(entry)}\n`);
  };
}

/**
 * The same log with a share of the good news: of lines about an event that are INFO, those of events whose id falls
 * within it, so that all functions keep the lines of the same events. All else is logged, and so is what strangers
 * cause, which is about no event.
 * @param share over 0, and 1 for all.
 */
export function sampled(log: Log, share: number): Log {
  if (share === 1) return log;
  return (severity, message, fields = {}) => {
    const { event_id } = fields;
    if (severity !== 'INFO' || event_id === undefined) log(severity, message, fields);
    else if (Number.parseInt(event_id.slice(0, 8), 16) < share * 2 ** 32)
      log(severity, message, { ...fields, sampling: share });
  };
}

/** Headers of a request, or what a message has of them, by names in lower case. */
export type TraceHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** The trace that a request belongs to, from W3C's or Google's header, or undefined where it names none. */
export function traceOf(headers: TraceHeaders, projectId: string): LogTrace | undefined {
  const { id, span, flags } = contextOf(headers) ?? {};
  if (id === undefined) return undefined;
  const trace = { 'logging.googleapis.com/trace': `projects/${projectId}/traces/${id}` };
  // Of a trace that nobody keeps, a span's id names nothing.
  return span === undefined || !isSampled(flags)
    ? trace
    : { ...trace, 'logging.googleapis.com/spanId': span, 'logging.googleapis.com/trace_sampled': true };
}

function isSampled(flags = '00'): boolean {
  return (Number.parseInt(flags, 16) & 1) === 1;
}

/** The same as W3C's `traceparent`, to be handed on; undefined where the headers do not name the caller's span. */
export function traceparentOf(headers: TraceHeaders): string | undefined {
  const { id, span, flags } = contextOf(headers) ?? {};
  return id === undefined || span === undefined ? undefined : `00-${id}-${span}-${flags}`;
}

type TraceContext = { readonly id: string; readonly span: string | undefined; readonly flags: string };

/** What the headers name of the caller: its trace and span, in hex, and the flags that W3C has. */
export function contextOf(headers: TraceHeaders): TraceContext | null {
  if (headers.traceparent === undefined && headers['x-cloud-trace-context'] === undefined) return null;
  const context =
    w3cContext(String(headers.traceparent ?? '')) ?? googleContext(String(headers['x-cloud-trace-context'] ?? ''));
  if (context === null || isZero(context.id)) return null;
  return context.span !== undefined && isZero(context.span) ? { ...context, span: undefined } : context;
}

function isZero(id: string): boolean {
  return /^0+$/.test(id);
}

function w3cContext(header: string): TraceContext | null {
  const [, id, span, flags = '00'] = /^[0-9a-f]{2}-([0-9a-f]{32})-(?:([0-9a-f]{16})-([0-9a-f]{2}))?/.exec(header) ?? [];
  return id === undefined ? null : { id, span, flags };
}

/** Its span is a decimal number. */
function googleContext(header: string): TraceContext | null {
  const [, id, number, kept] = /^([0-9a-f]{32})(?:\/(\d{1,20})(?:;o=([01]))?)?(?=$|\/|;)/i.exec(header) ?? [];
  if (id === undefined) return null;
  const span = number === undefined ? undefined : BigInt.asUintN(64, BigInt(number)).toString(16).padStart(16, '0');
  return { id: id.toLowerCase(), span, flags: kept === '1' ? '01' : '00' };
}

/**
 * An error as a line that may be logged. Google's errors are told by code and text: they name resources, not contents.
 * Of any other only its kind and where it arose, as its text may quote what it choked on (JSON.parse's does).
 */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const { code, details } = error as { code?: unknown; details?: unknown };
  if (typeof code === 'number') return `${code} ${typeof details === 'string' ? details : ''}`.trim().slice(0, 300);
  if (typeof code === 'string') return `${error.name} ${code}`;
  // The stack repeats the text, which may have lines that look like its own: only what follows it is looked at.
  const { name, message, stack = '' } = error;
  const frame = stack.includes(message) && /^ {4}(at .*)$/m.exec(stack.slice(stack.indexOf(message) + message.length));
  return frame ? `${name} ${frame[1]}` : name;
}
