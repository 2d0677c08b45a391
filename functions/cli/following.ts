import { setTimeout as sleep } from 'node:timers/promises';
import { Duration, type Message, PubSub, type Subscription, SubscriptionCloseBehaviors } from '@google-cloud/pubsub';
import { DELETED_TOPIC, UNROUTED } from '../bus/topology.ts';
import { type BusConfig, busConfig, type Env } from '../config.ts';
import { within } from '../deadline.ts';
import { CODE, codeOf } from '../grpc.ts';
import { HERON_TOPICS } from '../heron/topics.ts';
import { pool } from '../pool.ts';
import { CommandFailed, googleFailure, isOutage, reasonOf } from './failure.ts';
import { complain, inLine, readerGone, sayWaiting } from './output.ts';
import { announce } from './project.ts';
import { matches } from './topic-pattern.ts';

/** Subscriptions of a person's own, one a topic: `NAME.TOPIC`, prefix and all. */
export type Plan = {
  /** With an underscore, which no subscriber's name has: so none is taken for another. */
  readonly name: `${string}_${string}`;
  /** Whether they stay when this ends; they expire by themselves. */
  readonly isKept: boolean;
  readonly keepSeconds: number;
  readonly expireSeconds: number;
};

export type Followed = {
  readonly topics: readonly string[];
  readonly subscriptions: readonly string[];
  readonly made: number;
};

const CALL_MS = 10_000;
/** So many messages are here and not done with, of all topics; at least one of each. */
const MAX_OUTSTANDING = 100;
/** So often it is asked whether Pub/Sub is there: the client connects again without a word. */
const CHECK_MS = 5_000;
const CLOSE_S = 5;
/** A laptop wakes up with connections that are long dead, and nobody says so: pings do. */
const PINGS = { 'grpc.keepalive_time_ms': 15_000, 'grpc.keepalive_timeout_ms': 5_000 };
/** Pub/Sub may be back long before a minute, to which the client's own back-off grows. */
const MAX_BACKOFF = Duration.from({ seconds: 2 });

/**
 * Takes events of topics as they flow, until it is interrupted, nobody reads what it prints, or it fails. Resolves with
 * the exit code.
 * @param take resolves with whether the message is done with; else it comes again. Its signal says that this ends.
 */
export async function follow(
  patterns: readonly string[] | undefined,
  plan: Plan,
  env: Env,
  onListening: (followed: Followed) => void,
  take: (message: Message, subscription: string, stopping: AbortSignal) => Promise<boolean>,
): Promise<number> {
  const config = busConfig(env);
  const wanted = patterns ?? ['*'];
  const topics = [...HERON_TOPICS, UNROUTED].filter((topic) => wanted.some((pattern) => matches(pattern, topic)));
  if (topics.length === 0) throw new CommandFailed(`No topic is ${wanted.map(inLine).join(' or ')}.`, 'misused');
  await announce(env, ['Pub/Sub']);
  const pubsub = new PubSub({ projectId: config.projectId, ...PINGS });
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal).once('SIGHUP', onSignal);
  readerGone.addEventListener('abort', onSignal);
  const stopped = new Promise<void>((resolve) => stop.signal.addEventListener('abort', () => resolve()));
  const listening: Subscription[] = [];
  const made: Subscribed[] = []; // also where another could not be
  const hush = sayWaiting(`Pub/Sub of ${config.projectId}`);
  try {
    const found = await pool(topics, 8, async (topic) => {
      const each = await subscribe(pubsub, config, topic, plan);
      if (each !== null) made.push(each);
      return each;
    });
    const subscribed = found.filter((each) => each !== null);
    const [first] = subscribed;
    if (first === undefined)
      throw new CommandFailed(
        `${config.projectId} has ${topics.length > 1 ? `none of ${topics.length} topics, such as` : 'no topic'} ${config.topicPrefix}${topics[0]}: check --project and TOPIC_PREFIX.`,
        'not-found',
      );
    hush();
    const failed = new Promise<never>((_, reject) => {
      const maxMessages = Math.max(1, Math.floor(MAX_OUTSTANDING / subscribed.length));
      for (const { name } of subscribed) {
        const subscription = pubsub.subscription(name, {
          flowControl: { maxMessages, allowExcessMessages: false },
          streamingOptions: { maxStreams: 1, retryMaxBackoff: MAX_BACKOFF },
          closeOptions: {
            behavior: SubscriptionCloseBehaviors.WaitForProcessing,
            timeout: Duration.from({ seconds: CLOSE_S }),
          },
        });
        listening.push(subscription);
        const fullName = `projects/${config.projectId}/subscriptions/${name}`;
        subscription.on('error', reject).on('message', (message: Message) => {
          take(message, fullName, stop.signal).then((isDone) => (isDone ? message.ack() : message.nack()), reject);
        });
      }
    });
    onListening({
      topics: subscribed.map(({ topic }) => topic),
      subscriptions: subscribed.map(({ name }) => name),
      made: subscribed.filter(({ isNew }) => isNew).length,
    });
    await Promise.race([failed, watchConnection(pubsub, first.name, stop.signal), stopped]);
    return 0;
  } catch (error) {
    if (!isOutage(error)) throw error;
    throw googleFailure(error, {
      service: 'Pub/Sub',
      projectId: config.projectId,
      what: 'such topic or subscription',
      check: '--project and TOPIC_PREFIX',
      role: 'roles/pubsub.editor',
      again: 'Run it again.',
    });
  } finally {
    hush();
    stop.abort();
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal).off('SIGHUP', onSignal);
    // In order: a stream that is cut off holds its messages back until their deadline is over.
    await within(CLOSE_S * 1_000 + 500, Promise.allSettled(listening.map((each) => each.close())), () => []);
    if (!plan.isKept)
      await pool(made, 8, ({ name }) =>
        pubsub
          .subscription(name)
          .delete({ timeout: CALL_MS })
          .catch(() => {}),
      );
  }
}

type Subscribed = { readonly topic: string; readonly name: string; readonly isNew: boolean };

/** Resolves with the subscription, which may have been there, or null where there is no such topic. */
async function subscribe(
  pubsub: PubSub,
  { topicPrefix }: BusConfig,
  topic: string,
  { name: owner, keepSeconds, expireSeconds }: Plan,
): Promise<Subscribed | null> {
  const name = `${topicPrefix}${owner}.${topic}`;
  const create = async (): Promise<Subscribed> => {
    await pubsub.topic(`${topicPrefix}${topic}`).createSubscription(name, {
      ackDeadlineSeconds: 60,
      expirationPolicy: { ttl: { seconds: expireSeconds } },
      messageRetentionDuration: { seconds: keepSeconds },
      // No retry policy: with one, an emulator (0.8.20) hands out nothing more once an answer came too late.
      gaxOpts: { timeout: CALL_MS },
    });
    return { topic, name, isNew: true };
  };
  try {
    return await create();
  } catch (error) {
    if (codeOf(error) === CODE.NOT_FOUND) return null;
    if (codeOf(error) !== CODE.ALREADY_EXISTS) throw error;
  }
  const subscription = pubsub.subscription(name);
  const [metadata] = await subscription.getMetadata({ timeout: CALL_MS });
  if (metadata.topic !== DELETED_TOPIC) return { topic, name, isNew: false };
  await subscription.delete({ timeout: CALL_MS });
  return create();
}

/** Says when it is cut off, and when it is back. Resolves when that is over; rejects where the subscription is gone. */
async function watchConnection(pubsub: PubSub, name: string, signal: AbortSignal): Promise<void> {
  for (let isCut = false; !signal.aborted; await sleep(CHECK_MS, undefined, { signal }).catch(() => {})) {
    const error = await pubsub
      .subscription(name)
      .getMetadata({ timeout: CALL_MS, retry: null })
      .then(
        () => null,
        (error: unknown) => error,
      );
    if (signal.aborted) return;
    if (codeOf(error) === CODE.NOT_FOUND) throw error;
    if (error !== null && !isCut)
      complain(`Cut off from Pub/Sub (${inLine(reasonOf(error))}): what comes meanwhile waits. It is tried again …`);
    if (error === null && isCut) complain('Pub/Sub is there again.');
    isCut = error !== null;
  }
}
