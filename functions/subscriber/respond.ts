import { cloudLog, describe, type Log } from '../log.ts';
import type { SendDeadLetter } from './dead-letter.ts';
import { handle, jobOf, usableSeconds } from './handle.ts';
import { NotAnEvent, readPush } from './message.ts';
import { type OidcCheck, type OidcOptions, oidcCheck } from './oidc.ts';
import { type Subscriber, serve } from './subscriber.ts';

export type HandlerOptions = {
  /** Takes what handlers discard. Without it Pub/Sub dead-letters it, after the subscription's attempts. */
  readonly deadLetter?: SendDeadLetter;
  /** The subscriber's, as Terraform has it, where the names of subscriptions (`NAME.TOPIC`, `replay.NAME`) do not say it. */
  readonly name?: string;
  /** What stands before the names of topics and subscriptions, where Terraform's `prefix` says so. */
  readonly topicPrefix?: string;
  /** The subscription's; 60 unless given, as Terraform's is. */
  readonly ackDeadlineSeconds?: number;
  /**
   * How long a message may take, from when its request begins to come; nine tenths of the ack deadline unless given, and
   * no more, as the rest is for the way there and back. Then its `signal` is aborted, and it is answered 503.
   */
  readonly timeoutSeconds?: number;
  /** Where IAM does not guard the service: only Pub/Sub, as that account, with a token for that audience. */
  readonly oidc?: OidcOptions;
  /** Cloud Logging's JSON lines on standard output, unless given. */
  readonly log?: Log;
};

/** A request, whatever server took it. */
export type PushRequest = {
  readonly method: string;
  /** By its name in lower case. */
  readonly header: (name: string) => string | undefined;
  readonly headerNames: Iterable<string>;
  /** Reads at most so many bytes, for so long. Rejects where it cannot be read. */
  readonly body: (maxBytes: number, milliseconds: number) => Promise<PushBody>;
};

export type PushBody =
  | { readonly kind: 'complete'; readonly bytes: Uint8Array }
  | { readonly kind: 'too_large' | 'timed_out' | 'client_left' };

export type PushResponse = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
};

/** A message of 10 MB in base64, and the envelope around it. */
const MAX_PUSH_BYTES = 14_000_000;

/** Answers push requests for a subscriber, which is as it is from now on. Never rejects. */
export function responder(
  subscriber: Subscriber,
  {
    deadLetter,
    name,
    topicPrefix = '',
    ackDeadlineSeconds = 60,
    timeoutSeconds = usableSeconds(ackDeadlineSeconds),
    oidc,
    log = defaultLog(),
  }: HandlerOptions = {},
): (request: PushRequest) => Promise<PushResponse> {
  const most = usableSeconds(ackDeadlineSeconds);
  if (!(timeoutSeconds > 0 && timeoutSeconds <= most))
    throw new RangeError(`timeoutSeconds is over 0, and at most nine tenths of ackDeadlineSeconds: ${most}.`);
  const milliseconds = timeoutSeconds * 1000;
  const serving = serve(subscriber);
  const check: OidcCheck | undefined = oidc && oidcCheck(oidc);
  const refuse = (status: number, title: string, detail: string, headers: Record<string, string> = {}) => {
    log('WARNING', `refused: ${detail}`, { outcome: 'refused', reason: detail, http_status: status });
    return problem(status, title, detail, headers);
  };

  return async (request) => {
    const arrived = performance.now();
    if (request.method !== 'POST')
      return problem(405, 'Method Not Allowed', 'Pub/Sub pushes with POST.', { Allow: 'POST' });
    if (check !== undefined) {
      const verdict = await check(request.header('authorization'));
      if (verdict.kind === 'refused') return refuse(401, 'Unauthorized', verdict.why, { 'WWW-Authenticate': 'Bearer' });
      if (verdict.kind === 'unknown') return refuse(503, 'Service Unavailable', verdict.why);
    }
    try {
      const body = await request.body(MAX_PUSH_BYTES, milliseconds - (performance.now() - arrived));
      switch (body.kind) {
        case 'complete':
          break;
        case 'too_large':
          return refuse(
            413,
            'Content Too Large',
            `The body is over ${MAX_PUSH_BYTES} bytes, which Pub/Sub never sends.`,
          );
        case 'timed_out':
          return refuse(408, 'Request Timeout', 'The body did not come in time.');
        case 'client_left':
          log('WARNING', 'The client left before it had sent the message.', { outcome: 'client_left' });
          return problem(400, 'Bad Request', 'The body was cut off.');
        default:
          return body satisfies never;
      }
      const job = await jobOf(readPush(request.header, request.headerNames, body.bytes), serving);
      const answer = await handle(job, {
        deadLetter,
        name,
        topicPrefix,
        log,
        arrived,
        milliseconds,
        traceHeaders: {
          traceparent: request.header('traceparent'),
          'x-cloud-trace-context': request.header('x-cloud-trace-context'),
        },
      });
      if (answer.kind === 'acknowledge') return { status: 204, headers: {}, body: null };
      const retryAfter = answer.seconds === undefined ? {} : { 'Retry-After': String(answer.seconds) };
      return problem(
        answer.status,
        answer.status === 500 ? 'Internal Server Error' : 'Service Unavailable',
        answer.detail,
        retryAfter,
      );
    } catch (error) {
      if (error instanceof NotAnEvent) return refuse(400, 'Bad Request', `Not an event of Heron's: ${error.message}.`);
      log('ERROR', 'The request could not be read.', { outcome: 'unread', http_status: 500, error: describe(error) });
      return problem(500, 'Internal Server Error', 'The request could not be read. Send it again.');
    }
  };
}

/** @returns a log of the service's name, which Cloud Run tells, in lines that every runtime's console writes. */
export function defaultLog(): Log {
  const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } };
  return cloudLog(process?.env?.K_SERVICE ?? 'subscriber', (line) => console.log(line.trimEnd()));
}

/** RFC 9457. */
function problem(status: number, title: string, detail: string, headers: Record<string, string> = {}): PushResponse {
  return {
    status,
    headers: { ...headers, 'Content-Type': 'application/problem+json' },
    body: `${JSON.stringify({ type: 'about:blank', title, status, detail })}\n`,
  };
}
