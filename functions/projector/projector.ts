import type { Publisher } from '../bus/bus.ts';
import { DELIVERY, deadLetterTopic } from '../bus/topology.ts';
import { NewerFold } from '../events/carry-over.ts';
import {
  concernsEndUser,
  FAR_AHEAD_MICROSECONDS,
  type HeronEvent,
  microsecondsAhead,
  Unprocessable,
} from '../events/event.ts';
import { fromMessage } from '../events/message.ts';
import { parseInstant } from '../heron/instant.ts';
import type { Handler } from '../http/server.ts';
import { describe, type Log, type LogFields, traceparentOf } from '../log.ts';
import type { Appended, Store } from '../store/store.ts';
import { nodeHandler } from '../subscriber/node.ts';
import { type Context, Discard, RetryAfter, subscriber } from '../subscriber/subscriber.ts';
import { NO_TRACER, spanning, type Tracer } from '../telemetry/tracer.ts';
import { Lanes } from './lanes.ts';

/** The projector's name as a subscriber. */
export const PROJECTOR = 'projector';

export type ProjectorDependencies = {
  readonly publisher: Publisher;
  readonly store: Store;
  readonly log: Log;
  readonly tracer?: Tracer;
};

/** Pub/Sub waits 60 s for an answer: what takes longer than this is refused, and comes again. */
const MESSAGE_SECONDS = 25;
const TOLD: Readonly<Record<Appended, string>> = {
  appended: 'recorded',
  duplicate: 'seen before',
  forgotten: 'not recorded: its end user is forgotten',
};

/**
 * Takes Pub/Sub's push, by the kit that other services have: 2xx once the event is in the log and its end user's state,
 * both or neither. What can never succeed goes to the projector's dead letters with the reason, also what is no
 * message; all else is refused, and comes again.
 */
export function projector({ publisher, store, log, tracer = NO_TRACER }: ProjectorDependencies): Handler {
  const lanes = new Lanes((events) => store.append(events));

  const append = async (event: HeronEvent, signal: AbortSignal): Promise<Appended> => {
    if (concernsEndUser(event)) return lanes.submit(event, signal);
    const [outcome = 'duplicate'] = await store.append([event]);
    return outcome;
  };

  /** @param id where the kit has made sure that it is the body's. */
  const record = async (data: Uint8Array, { message, note, signal }: Context, id?: string): Promise<void> => {
    const from = { traceparent: message.attributes['ce-traceparent'] }; // the webhook's trace, not the push's own
    const span = tracer.begin('projector', { kind: 'consumer', from });
    note({ traceparent: traceparentOf(span.headers) });
    let ids: Pick<LogFields, 'topic' | 'event_id' | 'heron_id'> = {};
    try {
      const event = fromMessage({ data, attributes: message.attributes }, parseInstant(message.publishTime), id);
      ids = { topic: event.topic, event_id: event.event_id, heron_id: event.heron_id };
      note(ids);
      const appended = await spanning(span.child('append', 'client'), () => append(event, signal));
      const outcome = appended === 'appended' ? 'recorded' : appended;
      const doubt = appended === 'appended' ? doubtOf(event) : null;
      note({ outcome, message: TOLD[appended] });
      if (doubt !== null) note({ severity: 'WARNING', message: `${TOLD[appended]}: ${doubt}`, reason: doubt });
      span.end({ ...ids, outcome });
    } catch (error) {
      span.end({ ...ids, error: describe(error) });
      if (error instanceof Unprocessable) throw new Discard(error.message, { cause: error.cause });
      // A newer version is being rolled out, or this one was rolled back.
      const reason = error instanceof NewerFold ? error.message : 'it could not be recorded now';
      throw new RetryAfter(DELIVERY.minimum_backoff_seconds, reason, { cause: error });
    }
  };

  const service = subscriber(({ id, body }, context) => record(body, context, id)).onInvalid(
    // What others publish has its place in the log as well, as long as it can be read.
    ({ data, isMessage, reason }, context) => {
      if (!isMessage) throw new Discard(reason);
      return record(data, context);
    },
  );
  return nodeHandler(service, {
    name: PROJECTOR,
    timeoutSeconds: MESSAGE_SECONDS,
    log,
    deadLetter: async ({ data, attributes, milliseconds }) => {
      await publisher.publish(deadLetterTopic(PROJECTOR), { data, attributes }, milliseconds);
    },
  });
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
