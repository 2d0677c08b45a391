import type { IncomingMessage, ServerResponse } from 'node:http';
import { fitsPubSub, MAX_MESSAGE_BYTES, type Publisher, TopicNotFound } from '../bus/bus.ts';
import { UNROUTED } from '../bus/topology.ts';
import { eventOf } from '../events/event.ts';
import { toMessage } from '../events/message.ts';
import { instantOf } from '../heron/instant.ts';
import { isSignatureShaped, SIGNATURE_HEADER, verify } from '../heron/signature.ts';
import { isHeronTopic } from '../heron/topics.ts';
import { answer, answerProblem, readBody } from '../http.ts';
import { describe, type Log, type LogFields, traceOf } from '../log.ts';
import type { Secrets } from './secrets.ts';

export type IngestDependencies = {
  readonly publisher: Publisher;
  readonly secrets: Secrets;
  readonly log: Log;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly projectId: string;
};

/** From arrival. Heron gives up after 10 s, a cold start's queueing included. */
const BODY_MS = 5_000;
const DURABLE_MS = 6_000;
/** Heron's first retry comes a minute after a failure. */
const RETRY_AFTER = { 'Retry-After': '60' };

/**
 * The webhook: answers 2xx only once Pub/Sub has the event. What Heron signed is published whatever it says; what Heron
 * did not sign is refused as early as can be told.
 */
export function ingest({ publisher, secrets, log, now, projectId }: IngestDependencies) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const arrived = now();
    const left = () => arrived + DURABLE_MS - now();
    const trace = traceOf(request.headers, projectId);
    const done = (severity: Parameters<Log>[0], message: string, fields: LogFields) =>
      log(severity, message, { ...fields, milliseconds: now() - arrived, trace });
    const refuse = (
      status: number,
      title: string,
      detail: string,
      fields: LogFields & { outcome: string },
      headers = {},
    ) => {
      done(status === 413 || status === 503 ? 'ERROR' : 'WARNING', `${title}: ${detail}`, {
        ...fields,
        http_status: status,
      });
      answerProblem(response, status, title, detail, { headers });
    };
    const unauthorized = () =>
      refuse(
        401,
        'Unauthorized',
        'The Heron-Signature header is missing or does not match the body.',
        {
          outcome: 'rejected',
        },
        { 'WWW-Authenticate': 'Heron-Signature' },
      );

    if (request.method !== 'POST')
      return refuse(
        405,
        'Method Not Allowed',
        'Webhooks are sent with POST.',
        { outcome: 'method_not_allowed' },
        {
          Allow: 'POST',
        },
      );
    if (request.headers['content-encoding'] !== undefined)
      return refuse(415, 'Unsupported Media Type', 'Send the body as it is, without Content-Encoding.', {
        outcome: 'encoding_refused',
      });
    const signature = request.headers[SIGNATURE_HEADER];
    if (typeof signature !== 'string' || !isSignatureShaped(signature)) return unauthorized();

    const tooLarge = (bytes: number) =>
      refuse(413, 'Content Too Large', `Pub/Sub takes ${MAX_MESSAGE_BYTES} bytes a message.`, {
        outcome: 'too_large',
        bytes,
      });
    const body = await readBody(request, MAX_MESSAGE_BYTES, BODY_MS);
    switch (body.kind) {
      case 'too_large':
        return tooLarge(body.bytes);
      case 'timed_out':
        return refuse(408, 'Request Timeout', `The body did not arrive within ${BODY_MS} ms.`, {
          outcome: 'timed_out',
        });
      case 'client_left':
        return done('WARNING', 'The client left before it had sent its body.', { outcome: 'client_left' });
      case 'complete':
        break;
      default:
        body satisfies never;
    }
    const { bytes } = body;
    if (!(await secrets.some((known) => verify(bytes, signature, known)))) return unauthorized();

    const event = eventOf(bytes, instantOf(arrived));
    const message = toMessage(event);
    if (!fitsPubSub(message)) return tooLarge(bytes.byteLength);

    const { topic, event_id, heron_id, undocumented } = event;
    const ids = { topic, event_id, heron_id, bytes: bytes.byteLength };
    const why = undocumented ?? (topic !== null && isHeronTopic(topic) ? null : 'Heron does not document the topic');
    try {
      if (why === null && topic !== null) {
        try {
          await publisher.publish(topic, message, left());
          done('INFO', 'published', { ...ids, outcome: 'published', http_status: 200 });
          return answer(response, 200);
        } catch (error) {
          if (!(error instanceof TopicNotFound)) throw error;
          log('ERROR', `${error.message} Apply the Terraform module: it makes a topic for each of Heron's.`, {
            ...ids,
            outcome: 'topic_missing',
            trace,
          });
        }
      }
      await publisher.publish(UNROUTED, message, left());
      done('WARNING', `published to ${UNROUTED}: ${why ?? 'its topic does not exist'}`, {
        ...ids,
        outcome: 'unrouted',
        http_status: 200,
      });
      return answer(response, 200);
    } catch (error) {
      refuse(
        503,
        'Service Unavailable',
        'The event could not be made durable. Send it again later.',
        {
          ...ids,
          outcome: 'unavailable',
          error: error instanceof TopicNotFound ? error.message : describe(error),
        },
        RETRY_AFTER,
      );
    }
  };
}
