import { type Publisher, Refused } from '../bus/bus.ts';
import { UNROUTED } from '../bus/topology.ts';
import type { HeronEvent } from '../events/event.ts';
import type { Message } from '../events/message.ts';
import { CODE } from '../grpc.ts';
import { describe, type Log, type LogFields } from '../log.ts';
import { type Destination, destinationOf, unrouted } from './destination.ts';

/** What to do about a topic that refuses, by the code with which it does. */
const ADVICE: Readonly<Record<number, string>> = {
  [CODE.NOT_FOUND]: "Apply the Terraform module: it makes a topic for each of Heron's.",
  [CODE.PERMISSION_DENIED]: 'Grant ingest roles/pubsub.publisher on it: applying the Terraform module does.',
  [CODE.INVALID_ARGUMENT]: 'Take the schema off the topic, if it has one: what Heron sends changes.',
  [CODE.FAILED_PRECONDITION]: "Look at the topic's policies, such as the regions that may keep its messages.",
};

export type Route = {
  readonly publisher: Publisher;
  readonly log: Log;
  /** Milliseconds that are left, asked before each attempt. */
  readonly left: () => number;
  readonly trace?: LogFields['trace'];
};

/**
 * Publishes an event where it belongs. @returns where it is in the end: where its own topic refuses it for good, that is
 * `unrouted`. @throws where Pub/Sub could not be reached in time, or where `unrouted` refuses it too.
 */
export async function publishEvent(event: HeronEvent, message: Message, route: Route): Promise<Destination> {
  const { publisher, log, left, trace } = route;
  const destination = destinationOf(event);
  try {
    await publisher.publish(destination.topic, message, left());
    return destination;
  } catch (error) {
    if (!(error instanceof Refused) || destination.topic === UNROUTED) throw error;
    const outcome = error.code === CODE.NOT_FOUND ? 'topic_missing' : 'topic_refused';
    const text = [error.message, ADVICE[error.code]].join(' ');
    log('ERROR', text, { ...idsOf(event), outcome, error: describe(error), trace });
    await publisher.publish(UNROUTED, message, left());
    return unrouted(outcome === 'topic_missing' ? 'its topic does not exist' : 'its topic refuses it');
  }
}

export function idsOf({ topic, event_id, heron_id, body }: HeronEvent): LogFields {
  return { topic, event_id, heron_id, bytes: body.byteLength };
}
