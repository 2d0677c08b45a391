import { fitsPubSub, MAX_MESSAGE_BYTES, type Publisher, TopicNotFound } from '../bus/bus.ts';
import { UNROUTED } from '../bus/topology.ts';
import type { Clock, Stopwatch } from '../clock.ts';
import { eventOf, type HeronEvent } from '../events/event.ts';
import { type Message, toMessage } from '../events/message.ts';
import { isSignatureShaped, SIGNATURE_HEADER, verify } from '../heron/signature.ts';
import { answer, answerProblem, answerUnavailable } from '../http/answer.ts';
import { readBody } from '../http/body.ts';
import type { Handler } from '../http/server.ts';
import { describe, type Log, type LogFields, type Severity, traceOf } from '../log.ts';
import { type Destination, destinationOf, unrouted } from './destination.ts';
import type { Secrets } from './secrets.ts';

export type IngestDependencies = {
  readonly publisher: Publisher;
  readonly secrets: Secrets;
  readonly log: Log;
  readonly clock: Clock;
  readonly stopwatch: Stopwatch;
  readonly projectId: string;
};

/** From arrival. Heron gives up after 10 s, a cold start's queueing included. */
const BODY_MS = 5_000;
const DURABLE_MS = 6_000;

type Refusal = {
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  readonly outcome: string;
  readonly severity?: Severity;
  readonly headers?: Readonly<Record<string, string>>;
};

const NOT_POST: Refusal = {
  status: 405,
  title: 'Method Not Allowed',
  detail: 'Webhooks are sent with POST.',
  outcome: 'method_not_allowed',
  headers: { Allow: 'POST' },
};
const ENCODED: Refusal = {
  status: 415,
  title: 'Unsupported Media Type',
  detail: 'Send the body as it is, without Content-Encoding.',
  outcome: 'encoding_refused',
  headers: { 'Accept-Encoding': 'identity' },
};
/** The same whether the signature is missing or wrong. */
const UNAUTHORIZED: Refusal = {
  status: 401,
  title: 'Unauthorized',
  detail: 'The Heron-Signature header is missing or does not match the body.',
  outcome: 'rejected',
  headers: { 'WWW-Authenticate': 'Heron-Signature' },
};
const TOO_LARGE: Refusal = {
  status: 413,
  title: 'Content Too Large',
  detail: `Pub/Sub takes ${MAX_MESSAGE_BYTES} bytes a message, attributes included.`,
  outcome: 'too_large',
  severity: 'ERROR',
};
const TIMED_OUT: Refusal = {
  status: 408,
  title: 'Request Timeout',
  detail: `The body did not arrive within ${BODY_MS / 1000} s.`,
  outcome: 'timed_out',
};

/**
 * The webhook: answers 2xx only once Pub/Sub has the event. What Heron signed is published whatever it says; what Heron
 * did not sign is refused as early as can be told.
 */
export function ingest({ publisher, secrets, log, clock, stopwatch, projectId }: IngestDependencies): Handler {
  return async (request, response) => {
    const arrived = stopwatch();
    const elapsed = () => Math.round(stopwatch() - arrived);
    const left = () => DURABLE_MS - elapsed();
    const received_at = clock();
    const trace = traceOf(request.headers, projectId);
    const done = (severity: Severity, message: string, fields: LogFields) =>
      log(severity, message, { ...fields, milliseconds: elapsed(), trace });
    const refuse = (
      { status, title, detail, outcome, severity = 'WARNING', headers = {} }: Refusal,
      fields?: LogFields,
    ) => {
      done(severity, `${title}: ${detail}`, { ...fields, outcome, http_status: status });
      answerProblem(response, status, title, detail, { headers });
    };

    /** @returns where it was published in the end: where its own topic is missing, to `unrouted`. */
    const publish = async (event: HeronEvent, message: Message): Promise<Destination> => {
      const destination = destinationOf(event);
      try {
        await publisher.publish(destination.topic, message, left());
        return destination;
      } catch (error) {
        if (!(error instanceof TopicNotFound) || destination.topic === UNROUTED) throw error;
        const advice = "Apply the Terraform module: it makes a topic for each of Heron's.";
        log('ERROR', `${error.message} ${advice}`, { ...idsOf(event), outcome: 'topic_missing', trace });
        await publisher.publish(UNROUTED, message, left());
        return unrouted('its topic does not exist');
      }
    };

    if (request.method !== 'POST') return refuse(NOT_POST);
    if (request.headers['content-encoding'] !== undefined) return refuse(ENCODED);
    const signature = request.headers[SIGNATURE_HEADER];
    if (typeof signature !== 'string' || !isSignatureShaped(signature)) return refuse(UNAUTHORIZED);

    const body = await readBody(request, MAX_MESSAGE_BYTES, BODY_MS);
    switch (body.kind) {
      case 'too_large':
        return refuse(TOO_LARGE, { bytes: body.announced ?? body.start.byteLength });
      case 'timed_out':
        return refuse(TIMED_OUT);
      case 'client_left':
        return done('WARNING', 'The client left before it had sent its body.', { outcome: 'client_left' });
      case 'complete':
        break;
      default:
        body satisfies never;
    }
    const { bytes } = body;
    if (!(await secrets.some((known) => verify(bytes, signature, known)))) return refuse(UNAUTHORIZED);

    const event = eventOf(bytes, received_at);
    const ids = idsOf(event);
    const message = toMessage(event);
    if (!fitsPubSub(message)) return refuse(TOO_LARGE, ids);

    try {
      const { topic, why } = await publish(event, message);
      if (why === null) done('INFO', 'published', { ...ids, outcome: 'published', http_status: 200 });
      else done('WARNING', `published to ${topic}: ${why}`, { ...ids, outcome: 'unrouted', http_status: 200 });
      answer(response, 200);
    } catch (error) {
      done('ERROR', 'The event could not be made durable. Heron sends it again.', {
        ...ids,
        outcome: 'unavailable',
        http_status: 503,
        error: error instanceof TopicNotFound ? error.message : describe(error),
      });
      answerUnavailable(response, 'The event could not be made durable. Send it again later.');
    }
  };
}

function idsOf({ topic, event_id, heron_id, body }: HeronEvent): LogFields {
  return { topic, event_id, heron_id, bytes: body.byteLength };
}
