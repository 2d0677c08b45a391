import { toDeadLetter } from '../events/dead-letter.ts';
import { parseInstant } from '../heron/instant.ts';
import { isHeronTopic } from '../heron/topics.ts';
import { describe, type Log, type LogFields, type Severity, traceOf } from '../log.ts';
import type { SendDeadLetter } from './dead-letter.ts';
import { type Delivery, type Envelope, isListeners, NotAnEvent, subscriberOf } from './message.ts';
import { contextOf, Discard, type Noted, RetryAfter, type Serving, type Task } from './subscriber.ts';

/** Of the ack deadline: the rest is for the way there and back. */
const USABLE = 0.9;

/** How many seconds a message may take at most. @param ackDeadlineSeconds the subscription's. @throws RangeError */
export function usableSeconds(ackDeadlineSeconds: number): number {
  if (!(ackDeadlineSeconds >= 1 && ackDeadlineSeconds <= 600))
    throw new RangeError("ackDeadlineSeconds is a number from 1 to 600: the subscription's.");
  return ackDeadlineSeconds * USABLE;
}

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

/** A message, and what is to be done with it. */
export type Job = {
  readonly envelope: Envelope;
  readonly data: Uint8Array;
  /** For its log line. */
  readonly facts: LogFields;
  readonly task: Task;
};

export type Handling = {
  readonly deadLetter: SendDeadLetter | undefined;
  /** The subscriber's; its subscription's name says it unless given. */
  readonly name: string | undefined;
  readonly topicPrefix: string;
  readonly log: Log;
  /** When the message came, by `performance.now()`, and how many milliseconds there are from then on. */
  readonly arrived: number;
  readonly milliseconds: number;
  /** Aborted where the time is over before that. */
  readonly over?: AbortSignal;
  /** Of the request that brought the message, by names in lower case; what the message itself says comes first. */
  readonly traceHeaders?: Readonly<Record<string, string | undefined>>;
};

/** What is to be done with a message. @throws NotAnEvent where it is none, and nobody takes such. */
export async function jobOf(reading: Promise<Delivery>, { taskOf, taskOfForeign }: Serving): Promise<Job> {
  try {
    const delivery = await reading;
    const { topic, id, body } = delivery.received;
    const heronId = delivery.attributes['ce-subject'];
    const facts = { topic, event_id: id, ...(heronId !== undefined && { heron_id: heronId }) };
    return { envelope: delivery, data: body, facts, task: taskOf(delivery) };
  } catch (error) {
    if (!(error instanceof NotAnEvent) || taskOfForeign === undefined) throw error;
    const { foreign, message: reason } = error;
    const facts = { reason: `not an event of Heron's: ${reason}` };
    return { envelope: foreign, data: foreign.data, facts, task: taskOfForeign(foreign, reason) };
  }
}

const AGAIN = 'The event could not be handled now. Send it again.';

/** Has a message handled. Never rejects, and answers in time, whether or not the handler has ended. */
export async function handle(
  { envelope, data, facts, task }: Job,
  { deadLetter, name, topicPrefix, log, arrived, milliseconds, over, traceHeaders = {} }: Handling,
): Promise<Answer> {
  const { attributes, messageId, publishTime, subscription, attempt } = envelope;
  const called = subscriberOf(subscription, topicPrefix);
  // A developer's copy: what comes of it has no part in the subscriber's own dead letters and marks.
  const isCopy = called !== undefined && isListeners(called);
  const subscriber = isCopy ? called : (name ?? called);
  const left = () => Math.max(0, milliseconds - (performance.now() - arrived));
  let noted: Noted = {};
  const say = (
    severity: Severity,
    message: string,
    { traceparent, ...fields }: LogFields & Pick<Noted, 'traceparent'>,
  ) => {
    const ofEvent = traceparent ?? attributes['ce-traceparent'];
    const project = subscription?.split('/')[1];
    log(severity, message, {
      ...facts,
      ...(messageId !== undefined && { message_id: messageId }),
      bytes: data.byteLength,
      ...fields,
      milliseconds: Math.round(performance.now() - arrived),
      ...(project && { trace: traceOf(ofEvent === undefined ? traceHeaders : { traceparent: ofEvent }, project) }),
    });
  };
  /** What the handler took for the outcome is not what it was. */
  const otherwise = (severity: Severity, told: string, fields: LogFields) => {
    const { severity: _, message, outcome, ...others } = noted;
    say(severity, told, { ...others, ...fields });
  };
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
      deadline.abort(new DOMException('The time for this event is over.', 'TimeoutError'));
    };
    timer = setTimeout(end, left());
    over?.addEventListener('abort', end);
  });

  const settled = async (): Promise<Answer | 'late'> => {
    try {
      const note = (fields: Noted) => {
        noted = { ...noted, ...fields };
      };
      const context = contextOf(envelope, { known: isHeronTopic(facts.topic ?? ''), signal: deadline.signal, note });
      const unnamed = subscription?.split('/').at(-1) ?? '';
      const whose = subscriber === undefined ? unnamed : `${topicPrefix}${subscriber}`;
      const outcome = await Promise.race([task({ context, subscriber: whose, milliseconds: left() }), late]);
      if (outcome === 'late') return 'late';
      const { severity = 'INFO', message = outcome === 'handled' ? 'handled' : 'seen before', ...fields } = noted;
      say(severity, message, { outcome, ...fields });
      return { kind: 'acknowledge' };
    } catch (error) {
      if (deadline.signal.aborted) return 'late';
      if (error instanceof Discard) return discard(error);
      if (error instanceof RetryAfter) {
        const { message: reason, cause, seconds } = error;
        const fields = { outcome: 'retry_after', reason, ...(cause !== undefined && { error: describe(cause) }) };
        otherwise('WARNING', `to be tried again: ${reason}`, fields);
        return again(503, seconds);
      }
      const fields = { outcome: 'failed', error: describe(error) };
      otherwise('ERROR', 'The handler failed: Pub/Sub delivers it again.', fields);
      return again(500);
    }
  };

  const discard = async ({ message: reason, cause }: Discard): Promise<Answer | 'late'> => {
    const fields = { reason, ...(cause !== undefined && { error: describe(cause) }) };
    if (isCopy) {
      const told = `discarded: ${reason}. It is gone, as heron listen has no dead letters.`;
      otherwise('WARNING', told, { ...fields, outcome: 'discarded' });
      return { kind: 'acknowledge' };
    }
    if (deadLetter === undefined || subscriber === undefined) {
      const why =
        deadLetter === undefined
          ? 'nothing was given to dead-letter it with'
          : 'the name of its subscription does not say whose dead letters they are';
      otherwise('ERROR', `Discarded, but ${why}: Pub/Sub does it, after the subscription's attempts.`, {
        ...fields,
        outcome: 'not_dead_lettered',
      });
      return again(503);
    }
    try {
      const letter = {
        ...toDeadLetter(
          { data, attributes },
          {
            subscriber,
            reason,
            messageId,
            publishTime: parseInstant(publishTime),
            subscription,
            deliveryAttempt: attempt,
          },
        ),
        topic: `${topicPrefix}dead-letter.${subscriber}`,
        signal: deadline.signal,
        milliseconds: left(),
      };
      if ((await Promise.race([deadLetter(letter), late])) === 'late') return 'late';
    } catch (error) {
      otherwise('ERROR', 'Discarded, but its dead letter was not taken: Pub/Sub delivers it again.', {
        ...fields,
        outcome: 'not_dead_lettered',
        error: describe(error),
      });
      return again(503);
    }
    otherwise('ERROR', `dead-lettered: ${reason}`, { ...fields, outcome: 'dead_lettered' });
    return { kind: 'acknowledge' };
  };

  try {
    const answer = await settled();
    if (answer !== 'late') return answer;
    otherwise('WARNING', 'Not handled in time: Pub/Sub delivers it again.', { outcome: 'late' });
    return again(503);
  } finally {
    clearTimeout(timer);
  }
}
