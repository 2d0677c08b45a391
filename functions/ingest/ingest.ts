import type { IncomingMessage } from 'node:http';
import { fitsPubSub, maxDataBytes, type Publisher, Refused } from '../bus/bus.ts';
import type { Clock, Stopwatch } from '../clock.ts';
import { eventOf } from '../events/event.ts';
import { toMessage } from '../events/message.ts';
import { givenSignature, SIGNATURE_HEADER, Signing, signedBy } from '../heron/signature.ts';
import { answer, answerProblem, answerUnavailable } from '../http/answer.ts';
import { type Body, readBody, readChunks } from '../http/body.ts';
import type { Handler } from '../http/server.ts';
import { describe, type Log, type LogFields, type Severity, traceOf, traceparentOf } from '../log.ts';
import { NO_TRACER, type Span, spanning, type Tracer } from '../telemetry/tracer.ts';
import { idsOf, publishEvent } from './publish.ts';
import { MALFORMED, MISMATCH, NOT_POST, oversized, type Refusal, timedOut, tooLarge, UNSIGNED } from './refusals.ts';
import type { Secrets } from './secrets.ts';

export type IngestDependencies = {
  readonly publisher: Publisher;
  readonly secrets: Secrets;
  readonly log: Log;
  readonly clock: Clock;
  readonly stopwatch: Stopwatch;
  readonly projectId: string;
  readonly tracer?: Tracer;
};

/** From arrival. Heron gives up after 10 s, a cold start's queueing included. */
const BODY_MS = 5_000;
const DURABLE_MS = 6_000;

/** What Pub/Sub takes of a body whose attributes are not known. */
const MAX_BODY_BYTES = maxDataBytes();
/** Cloud Run's own limit for a request. */
const MAX_HASHED_BYTES = 32 * 1024 * 1024;

/**
 * The webhook: answers 2xx only once Pub/Sub has the event. What Heron signed is published whatever it says; what Heron
 * did not sign is refused as early as can be told. A Content-Encoding changes nothing: the bytes as they came are what
 * is signed, and what is kept.
 */
export function ingest({
  publisher,
  secrets,
  log,
  clock,
  stopwatch,
  projectId,
  tracer = NO_TRACER,
}: IngestDependencies): Handler {
  return async (request, response) => {
    const arrived = stopwatch();
    const elapsed = () => Math.round(stopwatch() - arrived);
    const left = () => DURABLE_MS - elapsed();
    const received_at = clock();
    let trace = traceOf(request.headers, projectId);
    let span: Span | null = null; // only what Heron signed has one
    const done = (severity: Severity, message: string, fields: LogFields) => {
      log(severity, message, { ...fields, milliseconds: elapsed(), trace });
      span?.end(fields);
    };
    const refuse = ({ status, title, detail, told, outcome, severity, headers = {} }: Refusal, fields?: LogFields) => {
      done(severity, told, { ...fields, outcome, http_status: status });
      answerProblem(response, status, title, detail, { headers });
    };
    const clientLeft = () =>
      done('WARNING', 'The client left before it had sent its body.', { outcome: 'client_left' });

    if (request.method !== 'POST') return refuse(NOT_POST);
    const given = givenSignature(request.headers[SIGNATURE_HEADER]);
    if (given.kind !== 'shaped') return refuse(given.kind === 'unsigned' ? UNSIGNED : MALFORMED);
    const { signature } = given;

    const body = await readBody(request, MAX_BODY_BYTES, BODY_MS);
    switch (body.kind) {
      case 'too_large': {
        const known = await secrets.current();
        const { refusal, bytes } = await judgeLarge(request, body, signature, known, BODY_MS - elapsed());
        return refusal === null ? clientLeft() : refuse(refusal, { bytes });
      }
      case 'timed_out':
        return refuse(timedOut(BODY_MS));
      case 'client_left':
        return clientLeft();
      case 'complete':
        break;
      default:
        body satisfies never;
    }
    const { bytes } = body;
    const secret = await secrets.find((known) => signedBy(bytes, signature, known));
    if (secret === null) return refuse(MISMATCH, { bytes: bytes.byteLength });

    span = tracer.begin('ingest', { kind: 'server', from: request.headers, began: arrived });
    trace = traceOf(span.headers, projectId);
    const event = eventOf(bytes, received_at);
    const ids = { ...idsOf(event), secret: secret + 1 };
    const message = toMessage(event, { traceparent: traceparentOf(span.headers) });
    if (!fitsPubSub(message)) return refuse(tooLarge(bytes.byteLength, maxDataBytes(message.attributes)), ids);

    try {
      const route = { publisher, log, left, trace };
      const { topic, why } = await spanning(span.child('publish', 'producer'), () =>
        publishEvent(event, message, route),
      );
      if (why === null) done('INFO', 'published', { ...ids, outcome: 'published', http_status: 200 });
      else done('WARNING', `published to ${topic}: ${why}`, { ...ids, outcome: 'unrouted', http_status: 200 });
      answer(response, 200);
    } catch (error) {
      done('ERROR', 'The event could not be made durable. Heron sends it again.', {
        ...ids,
        outcome: 'unavailable',
        http_status: 503,
        error: error instanceof Refused ? `${describe(error)} (${error.message})` : describe(error),
      });
      answerUnavailable(response, 'The event could not be made durable. Send it again later.');
    }
  };
}

/**
 * Looks whose a body is that is too large to be kept: Heron's is lost, which somebody should know, and a stranger's is
 * not. It is hashed as it comes; what is larger or slower than bears hashing counts as a stranger's.
 * @param secrets as they are now: the bytes are gone when a mismatch might be worth reading them again.
 * @returns no refusal where the client left.
 */
async function judgeLarge(
  request: IncomingMessage,
  { announced, start }: Extract<Body, { kind: 'too_large' }>,
  signature: string,
  secrets: readonly string[],
  timeoutMs: number,
): Promise<{ readonly refusal: Refusal | null; readonly bytes: number }> {
  if (announced !== null && announced > MAX_HASHED_BYTES)
    return { refusal: oversized(MAX_BODY_BYTES), bytes: announced };
  const signing = new Signing(secrets);
  signing.update(start);
  let bytes = start.byteLength;
  const read = await readChunks(request, MAX_HASHED_BYTES - bytes, timeoutMs, (chunk) => {
    signing.update(chunk);
    bytes += chunk.byteLength;
  });
  switch (read) {
    case 'complete':
      return { refusal: signing.signedBy(signature) === null ? MISMATCH : tooLarge(bytes, MAX_BODY_BYTES), bytes };
    case 'too_large':
    case 'timed_out':
      return { refusal: oversized(MAX_BODY_BYTES), bytes: announced ?? bytes };
    case 'client_left':
      return { refusal: null, bytes };
  }
}
