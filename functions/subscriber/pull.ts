import { setTimeout as sleep } from 'node:timers/promises';
import { PubSub, type protos, v1 } from '@google-cloud/pubsub';
import { CODE, codeOf } from '../grpc.ts';
import { instantOfEpoch, rfc3339 } from '../heron/instant.ts';
import { HERON_TOPICS } from '../heron/topics.ts';
import { describe, type Log } from '../log.ts';
import type { SendDeadLetter } from './dead-letter.ts';
import { handle, jobOf, usableSeconds } from './handle.ts';
import { NotAnEvent, readMessage } from './message.ts';
import { defaultLog } from './respond.ts';
import { matches, type Subscriber, serve } from './subscriber.ts';

export type { DeadLetter, SendDeadLetter } from './dead-letter.ts';

export type PullOptions = {
  /** The subscriber's name, as Terraform has it: its subscriptions are `NAME.TOPIC` and `replay.NAME`. */
  readonly name: string;
  /** Topics and patterns, as Terraform has them; those with handlers unless given. Patterns mean Heron's known topics. */
  readonly topics?: readonly string[];
  /** A client of your own; unless given one with the application's default credentials. */
  readonly pubsub?: PubSub;
  /** What stands before the names of topics and subscriptions, where Terraform's `prefix` says so. */
  readonly topicPrefix?: string;
  /** The subscriptions'; 60 unless given, as Terraform's is. */
  readonly ackDeadlineSeconds?: number;
  /** How many messages of a subscription are handled at once; 10 unless given. */
  readonly concurrency?: number;
  /** Takes what handlers discard; unless given it goes to the subscriber's dead letters. */
  readonly deadLetter?: SendDeadLetter;
  /** Cloud Logging's JSON lines on standard output, unless given. */
  readonly log?: Log;
};

export type Pulling = {
  /** Ends the pulling, and resolves once what was pulled is handled; what is not comes again. */
  close(): Promise<void>;
};

/** Pub/Sub holds a pull open until a message comes. A connection that died in silence is noticed by this. */
const PULL_MS = 30_000;
const CALL_MS = 10_000;
/** Source: https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions/modifyAckDeadline */
const MAX_ACK_DEADLINE_SECONDS = 600;
const [FIRST_PAUSE_MS, LAST_PAUSE_MS] = [500, 30_000];

/** Publishes what handlers discard, for `nodeHandler` and `fetchHandler`. */
export function deadLetters(pubsub: PubSub = new PubSub()): SendDeadLetter {
  return async ({ topic, data, attributes, milliseconds }) => {
    const options = { batching: { maxMessages: 1 }, gaxOpts: { timeout: milliseconds } };
    await pubsub.topic(topic, options).publishMessage({ data, attributes });
  };
}

/**
 * Pulls a subscriber's messages and has them handled, each within the ack deadline; what is not acknowledged comes
 * again. One call to Pub/Sub is open a subscription, so that all 45 share a connection: a stream for each, five by
 * default, leaves none for acknowledging (https://github.com/googleapis/nodejs-pubsub/issues/550).
 * @returns once it has begun; rejects where there are no credentials, or nothing to pull from.
 */
export async function pull(
  subscriber: Subscriber,
  {
    name,
    topics = subscriber.patterns(),
    pubsub = new PubSub(),
    topicPrefix = '',
    ackDeadlineSeconds = 60,
    concurrency = 10,
    deadLetter = deadLetters(pubsub),
    log = defaultLog(),
  }: PullOptions,
): Promise<Pulling> {
  const serving = serve(subscriber);
  const milliseconds = usableSeconds(ackDeadlineSeconds) * 1000;
  const chosen = topicsOf(topics);
  if (!name) throw new TypeError("pull() takes the subscriber's name, as Terraform has it.");
  if (!(Number.isInteger(concurrency) && concurrency >= 1))
    throw new RangeError('concurrency is a whole number, 1 or more.');
  if (chosen.length === 0)
    throw new TypeError(
      `pull() knows of no topic: ${topics.length === 0 ? 'no topic has a handler of its own, so give topics' : `no topic of Heron's is ${topics.join(' or ')}`}.`,
    );
  // This finds the project's id, too.
  const config = await pubsub.getClientConfig();
  const client = new v1.SubscriberClient(config as ConstructorParameters<typeof v1.SubscriberClient>[0]);
  const closing = new AbortController();
  const closed = new Promise<void>((resolve) => closing.signal.addEventListener('abort', () => resolve()));

  const handleMessage = async (
    subscription: string,
    { ackId, message, deliveryAttempt }: ReceivedMessage,
  ): Promise<void> => {
    const arrived = performance.now();
    const to = { subscription, ackIds: [ackId ?? ''] };
    const { attributes, data, messageId, publishTime } = message ?? {};
    const envelope = {
      attempt: deliveryAttempt || undefined,
      messageId: messageId ?? undefined,
      publishTime: publishTime ? toText(publishTime) : undefined,
      subscription,
    };
    let again: number | undefined;
    try {
      const job = await jobOf(readMessage(Buffer.from(data ?? ''), { ...attributes }, envelope), serving);
      const answer = await handle(job, { deadLetter, name, topicPrefix, log, arrived, milliseconds });
      if (answer.kind === 'again') again = Math.min(answer.seconds ?? 0, MAX_ACK_DEADLINE_SECONDS);
    } catch (error) {
      if (!(error instanceof NotAnEvent)) throw error;
      const reason = `Not an event of Heron's: ${error.message}.`;
      log('WARNING', `refused: ${reason}`, { outcome: 'refused', reason, message_id: messageId ?? '' });
      again = 0;
    }
    try {
      const options = { timeout: CALL_MS };
      if (again === undefined) await client.acknowledge(to, options);
      else await client.modifyAckDeadline({ ...to, ackDeadlineSeconds: again }, options);
    } catch (error) {
      // It comes again when its ack deadline is over.
      log('WARNING', 'Not acknowledged.', { outcome: 'not_acknowledged', error: describe(error) });
    }
  };

  /** Pulls that are open. Pub/Sub has no way to end one: what comes by it after closing is given back. */
  const open = new Set<Promise<unknown>>();
  const pullOnce = async (subscription: string, maxMessages: number): Promise<readonly ReceivedMessage[]> => {
    const call = client
      .pull({ subscription, maxMessages }, { timeout: PULL_MS, retry: null })
      .then(async ([{ receivedMessages }]) => {
        const received = receivedMessages ?? [];
        if (!closing.signal.aborted || received.length === 0) return received;
        const ackIds = received.map(({ ackId }) => ackId ?? '');
        await client.modifyAckDeadline({ subscription, ackIds, ackDeadlineSeconds: 0 }, { timeout: CALL_MS });
        return [];
      })
      .catch((error) => {
        if (closing.signal.aborted || codeOf(error) === CODE.DEADLINE_EXCEEDED) return []; // none came
        throw error;
      })
      .finally(() => open.delete(call));
    open.add(call);
    return Promise.race([call, closed.then(() => [])]);
  };

  const pullFrom = async (subscription: string): Promise<void> => {
    const underWay = new Set<Promise<void>>();
    let pause = FIRST_PAUSE_MS;
    while (!closing.signal.aborted) {
      if (underWay.size >= concurrency) {
        await Promise.race(underWay);
        continue;
      }
      try {
        for (const received of await pullOnce(subscription, concurrency - underWay.size)) {
          const handling = handleMessage(subscription, received).finally(() => underWay.delete(handling));
          underWay.add(handling);
        }
        pause = FIRST_PAUSE_MS;
      } catch (error) {
        const [severity, advice] = adviceOn(error);
        log(severity, `Could not pull from ${subscription}${advice}`, {
          outcome: 'not_pulled',
          error: describe(error),
        });
        await sleep(pause * (0.5 + Math.random()), undefined, { signal: closing.signal }).catch(() => {});
        pause = Math.min(2 * pause, LAST_PAUSE_MS);
      }
    }
    await Promise.all(underWay);
  };

  const names = [...chosen.map((topic) => `${name}.${topic}`), `replay.${name}`];
  const running = Promise.all(
    names.map((each) => pullFrom(`projects/${pubsub.projectId}/subscriptions/${topicPrefix}${each}`)),
  );
  return {
    close: async () => {
      closing.abort();
      await running;
      // Not waited for: those that are open last for half a minute.
      void Promise.allSettled(open).then(() => client.close());
    },
  };
}

/** Heron's topics that patterns stand for, and those that were named. */
function topicsOf(patterns: readonly string[]): string[] {
  const topics = patterns.flatMap((pattern) =>
    pattern.includes('*') ? HERON_TOPICS.filter((topic) => matches(pattern, topic)) : [pattern],
  );
  return [...new Set(topics)];
}

type ReceivedMessage = protos.google.pubsub.v1.IReceivedMessage;

function toText({ seconds, nanos }: protos.google.protobuf.ITimestamp): string {
  return rfc3339(instantOfEpoch(Number(seconds ?? 0), Math.floor((nanos ?? 0) / 1000)));
}

function adviceOn(error: unknown): ['ERROR' | 'WARNING', string] {
  switch (codeOf(error)) {
    case CODE.NOT_FOUND:
      return ['ERROR', ": it does not exist. Has that topic a place in this subscriber's `topics` in Terraform?"];
    case CODE.PERMISSION_DENIED:
      return ['ERROR', ": not permitted. Is this account among the subscriber's in Terraform?"];
    default:
      return ['WARNING', '. It is tried again.'];
  }
}
