import { describe, type Log, type LogFields, type Severity, traceOf } from '../log.ts';
import { deadLetterAttributes, type SendDeadLetter } from './dead-letter.ts';
import { type Delivery, subscriberOf } from './message.ts';
import { contextOf, Discard, RetryAfter, type Route } from './subscriber.ts';

/** What becomes of a message, whatever way it came. */
export type Answer =
  | { readonly kind: 'acknowledge' }
  | {
      readonly kind: 'again';
      /** 500 for an error that nobody expected, 503 for what is to be tried later. */
      readonly status: 500 | 503;
      readonly seconds?: number;
      /** For whoever delivers; quotes nothing of the event or of the error. */
      readonly detail: string;
    };

export type Handling = {
  readonly route: (delivery: Delivery) => Route;
  readonly deadLetter: SendDeadLetter | undefined;
  readonly topicPrefix: string;
  readonly log: Log;
  /** What is left until the ack deadline. */
  readonly milliseconds: number;
  /** Aborted where it is over before that. */
  readonly over?: AbortSignal;
};

const AGAIN = 'The event could not be handled now. Send it again.';

/** Has a delivery handled. Never rejects, and answers before the ack deadline, whether or not the handler has ended. */
export async function handle(
  delivery: Delivery,
  { route, deadLetter, topicPrefix, log, milliseconds, over }: Handling,
): Promise<Answer> {
  const begun = performance.now();
  const { received, attributes, messageId, subscription } = delivery;
  const say = (severity: Severity, message: string, fields: LogFields) =>
    log(severity, message, {
      ...fields,
      topic: received.topic,
      event_id: received.id,
      ...(attributes['ce-subject'] !== undefined && { heron_id: attributes['ce-subject'] }),
      ...(messageId !== undefined && { message_id: messageId }),
      bytes: received.body.byteLength,
      milliseconds: Math.round(performance.now() - begun),
      trace: traceOf({ traceparent: attributes['ce-traceparent'] }, subscription?.split('/')[1] ?? ''),
    });
  const again = (status: 500 | 503, seconds?: number): Answer => ({
    kind: 'again',
    status,
    detail: AGAIN,
    ...(seconds !== undefined && { seconds }),
  });

  const deadline = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<'late'>((resolve) => {
    const end = () => {
      resolve('late');
      deadline.abort(new DOMException('The ack deadline is nearly over.', 'TimeoutError'));
    };
    timer = setTimeout(end, milliseconds);
    over?.addEventListener('abort', end);
  });

  const settled = async (): Promise<Answer | 'late'> => {
    try {
      const context = contextOf(delivery, deadline.signal);
      const outcome = await Promise.race([route(delivery)({ delivery, context, milliseconds }), late]);
      if (outcome === 'late') return 'late';
      say('INFO', outcome === 'handled' ? 'handled' : 'seen before', { outcome });
      return { kind: 'acknowledge' };
    } catch (error) {
      if (deadline.signal.aborted) return 'late';
      if (error instanceof Discard) return discard(error);
      if (error instanceof RetryAfter) {
        say('WARNING', `to be tried again: ${error.message}`, { outcome: 'retry_after', reason: error.message });
        return again(503, error.seconds);
      }
      say('ERROR', 'The handler failed: Pub/Sub delivers it again.', { outcome: 'failed', error: describe(error) });
      return again(500);
    }
  };

  const discard = async ({ message: reason, cause }: Discard): Promise<Answer | 'late'> => {
    const fields = { reason, ...(cause !== undefined && { error: describe(cause) }) };
    const subscriber = subscriberOf(subscription, topicPrefix);
    if (deadLetter === undefined || subscriber === undefined) {
      const why =
        deadLetter === undefined
          ? 'nothing was given to dead-letter it with'
          : 'the name of its subscription does not say whose dead letters they are';
      say('ERROR', `Discarded, but ${why}: Pub/Sub does it, after the subscription's attempts.`, {
        ...fields,
        outcome: 'not_dead_lettered',
      });
      return again(503);
    }
    try {
      const letter = {
        topic: `${topicPrefix}dead-letter.${subscriber}`,
        data: received.body,
        attributes: deadLetterAttributes(delivery, subscriber, reason),
        signal: deadline.signal,
      };
      if ((await Promise.race([deadLetter(letter), late])) === 'late') return 'late';
    } catch (error) {
      say('ERROR', 'Discarded, but its dead letter was not taken: Pub/Sub delivers it again.', {
        ...fields,
        outcome: 'not_dead_lettered',
        error: describe(error),
      });
      return again(503);
    }
    say('ERROR', `dead-lettered: ${reason}`, { ...fields, outcome: 'dead_lettered' });
    return { kind: 'acknowledge' };
  };

  try {
    const answer = await settled();
    if (answer !== 'late') return answer;
    say('WARNING', 'Not handled before the ack deadline: Pub/Sub delivers it again.', { outcome: 'late' });
    return again(503);
  } finally {
    clearTimeout(timer);
  }
}
