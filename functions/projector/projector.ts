import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Publisher } from '../bus/bus.ts';
import { toDeadLetter } from '../bus/dead-letter.ts';
import { deadLetterTopic } from '../bus/topology.ts';
import type { Stopwatch } from '../clock.ts';
import { within } from '../deadline.ts';
import { NewerFold } from '../events/carry-over.ts';
import {
  concernsEndUser,
  FAR_AHEAD_MICROSECONDS,
  type HeronEvent,
  microsecondsAhead,
  Unprocessable,
} from '../events/event.ts';
import { fromMessage, type Pushed, parsePush } from '../events/message.ts';
import { answer, answerProblem } from '../http/answer.ts';
import { readBody } from '../http/body.ts';
import { describe, type Log, type LogFields, type Severity, traceOf } from '../log.ts';
import type { Appended, Store } from '../store/store.ts';
import { Lanes } from './lanes.ts';

/** The projector's name as a subscriber. */
export const PROJECTOR = 'projector';

export type ProjectorDependencies = {
  readonly publisher: Publisher;
  readonly store: Store;
  readonly log: Log;
  readonly stopwatch: Stopwatch;
  readonly projectId: string;
};

/** Pub/Sub waits 60 s for an answer: what takes longer than this is refused, and comes again. */
const MESSAGE_MS = 25_000;
const TOLD: Readonly<Record<Appended, string>> = {
  appended: 'recorded',
  duplicate: 'seen before',
  forgotten: 'not recorded: its end user is forgotten',
};

/** A message of 10 MB in base64, and the envelope around it. */
const MAX_PUSH_BYTES = 14_000_000;

/**
 * Takes Pub/Sub's push: 2xx once the event is in the log and its end user's state, both in one transaction. What can
 * never succeed goes to the projector's dead letters with the reason; all else is refused, and comes again.
 */
export function projector({ publisher, store, log, stopwatch, projectId }: ProjectorDependencies) {
  const lanes = new Lanes((events) => store.append(events));

  const append = async (event: HeronEvent, signal: AbortSignal): Promise<Appended> => {
    if (concernsEndUser(event)) return lanes.submit(event, signal);
    const [outcome = 'duplicate'] = await store.append([event]);
    return outcome;
  };

  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const arrived = stopwatch();
    const elapsed = () => Math.round(stopwatch() - arrived);
    const left = () => Math.max(0, MESSAGE_MS - elapsed());
    const abandoned = new AbortController();
    const trace = traceOf(request.headers, projectId);
    const done = (severity: Severity, message: string, status: number, fields: LogFields) =>
      log(severity, message, { ...fields, http_status: status, milliseconds: elapsed(), trace });

    if (request.method !== 'POST') {
      answerProblem(response, 405, 'Method Not Allowed', 'Pub/Sub pushes with POST.', { headers: { Allow: 'POST' } });
      return;
    }
    const body = await readBody(request, MAX_PUSH_BYTES, left());
    if (body.kind === 'client_left') {
      const fields = { outcome: 'client_left', milliseconds: elapsed(), trace };
      return log('WARNING', 'Pub/Sub left before it had sent the message.', fields);
    }
    if (body.kind !== 'complete') {
      const status = body.kind === 'too_large' ? 413 : 408;
      done('ERROR', `The push was not read: ${body.kind}.`, status, { outcome: 'refused', reason: body.kind });
      answerProblem(response, status, 'Not read', 'The push request was too large, too slow or cut off.');
      return;
    }

    let pushed: Pushed | undefined;
    let ids: LogFields = { bytes: body.bytes.byteLength };
    try {
      try {
        pushed = parsePush(body.bytes);
        ids = { message_id: pushed.messageId, bytes: pushed.message.data.byteLength };
        const event = fromMessage(pushed.message, pushed.publishTime);
        ids = { ...ids, topic: event.topic, event_id: event.event_id, heron_id: event.heron_id };
        const outcome = await within(left(), append(event, abandoned.signal), () => {
          abandoned.abort();
          throw new Error('not recorded in time');
        });
        const doubt = outcome === 'appended' ? doubtOf(event) : null;
        done(doubt === null ? 'INFO' : 'WARNING', doubt === null ? TOLD[outcome] : `${TOLD[outcome]}: ${doubt}`, 200, {
          ...ids,
          ...(doubt === null ? {} : { reason: doubt }),
          outcome: outcome === 'appended' ? 'recorded' : outcome,
        });
      } catch (error) {
        if (!(error instanceof Unprocessable)) throw error;
        // The message as it came, or where it is none the request's body.
        const message = pushed?.message ?? { data: body.bytes, attributes: {} };
        const dead = toDeadLetter(message, { ...pushed, subscriber: PROJECTOR, reason: error.message });
        await publisher.publish(deadLetterTopic(PROJECTOR), dead, left());
        const cause = error.cause === undefined ? {} : { error: describe(error.cause) };
        done('ERROR', `dead-lettered: ${error.message}`, 200, {
          ...ids,
          ...cause,
          outcome: 'dead_lettered',
          reason: error.message,
        });
      }
      answer(response, 200);
    } catch (error) {
      // A newer version is being rolled out, or this one was rolled back.
      const cause = error instanceof NewerFold ? error.message : describe(error);
      done('WARNING', 'refused: Pub/Sub sends it again', 503, { ...ids, outcome: 'refused', error: cause });
      answerProblem(response, 503, 'Service Unavailable', 'The event could not be recorded now. Send it again.');
    }
  };
}

/** A clock may differ by minutes; what is further ahead, somebody should look at. */
const AHEAD_MICROSECONDS = 300_000_000;

/** What is wrong with the time of an event that was recorded all the same. */
function doubtOf(event: HeronEvent): string | null {
  const ahead = microsecondsAhead(event);
  if (ahead <= AHEAD_MICROSECONDS) return null;
  const told = `created is ${Math.floor(ahead / 1_000_000)} s ahead of its arrival`;
  return ahead > FAR_AHEAD_MICROSECONDS ? `${told}, which counts in its place` : told;
}
