import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Message, PubSub, type Subscription, SubscriptionCloseBehaviors } from '@google-cloud/pubsub';
import { UNROUTED } from '../bus/topology.ts';
import { type BusConfig, busConfig, type Env } from '../config.ts';
import { within } from '../deadline.ts';
import { CODE, codeOf } from '../grpc.ts';
import { HERON_TOPICS } from '../heron/topics.ts';
import { pool } from '../pool.ts';
import { CommandFailed, googleFailure, isOutage, reasonOf } from './failure.ts';
import { complain, counted, inLine, note, print, printJson, readerGone, sayWaiting, styled } from './output.ts';
import { announce, envOf } from './project.ts';
import { matches } from './topic-pattern.ts';

type Chosen = { readonly topic?: readonly string[]; readonly project?: string; readonly json: boolean };
export type TailOptions = Chosen & { readonly endUser?: string };

const DAY_S = 86_400;
/** Pub/Sub keeps messages for ten minutes at least. */
const SHORT_S = 600;
const CALL_MS = 10_000;
/** So often it is asked whether Pub/Sub is there: the client reconnects without a word. */
const CHECK_MS = 10_000;
const MAX_WAITING = 100;
const CLOSE_MS = 5_000;

/** Prints events as they flow, until it is interrupted. Leaves nothing behind. Resolves with the exit code. */
export async function tail({ endUser, json, ...chosen }: TailOptions, environment: Env): Promise<number> {
  const env = envOf(environment, chosen.project);
  const plan = { name: `tail-${randomUUID().slice(0, 8)}`, keepSeconds: SHORT_S, expireSeconds: DAY_S };
  return following(chosen.topic, plan, env, async ({ attributes, data }) => {
    const { 'ce-subject': heron_id, 'ce-enduserid': end_user_id } = attributes;
    if (endUser !== undefined && endUser !== heron_id && endUser !== end_user_id) return true;
    if (json) printJson({ attributes, body: data.toString() });
    else print(line(attributes));
    return true;
  });
}

type Plan = {
  readonly name: string;
  readonly keepSeconds: number;
  readonly expireSeconds: number;
};

/** @param take resolves with whether the message is done with. */
async function following(
  patterns: readonly string[] | undefined,
  plan: Plan,
  env: Env,
  take: (message: Message, subscription: string) => Promise<boolean>,
): Promise<number> {
  const config = busConfig(env);
  const wanted = patterns ?? ['*'];
  const topics = [...HERON_TOPICS, UNROUTED].filter((topic) => wanted.some((pattern) => matches(pattern, topic)));
  if (topics.length === 0) throw new CommandFailed(`No topic is ${wanted.join(' or ')}.`, 'misused');
  await announce(env, ['Pub/Sub']);
  const pubsub = new PubSub({ projectId: config.projectId });
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  readerGone.addEventListener('abort', onSignal);
  const subscriptions: Subscription[] = [];
  let names: readonly string[] = [];
  const hush = sayWaiting(`Pub/Sub of ${config.projectId}`);
  try {
    const found = await pool(topics, 8, (topic) => subscribe(pubsub, config, topic, plan));
    names = found.filter((name) => name !== null);
    if (names.length === 0)
      throw new CommandFailed(
        `${config.projectId} has no topic ${config.topicPrefix}${topics[0]}: check --project and TOPIC_PREFIX.`,
        'not-found',
      );
    hush();
    note(`Listening to ${counted(names.length, 'topic')}. Ctrl-C ends it.`);
    const failed = new Promise<never>((_, reject) => {
      for (const name of names) {
        const flowControl = { maxMessages: MAX_WAITING };
        const subscription = pubsub.subscription(name, {
          flowControl,
          streamingOptions: { maxStreams: 1 },
          closeOptions: { behavior: SubscriptionCloseBehaviors.NackImmediately },
        });
        subscriptions.push(subscription);
        subscription.on('error', reject).on('message', (message: Message) => {
          take(message, `projects/${config.projectId}/subscriptions/${name}`).then(
            (isDone) => (isDone ? message.ack() : message.nack()),
            reject,
          );
        });
      }
    });
    const stopped = new Promise<void>((resolve) => stop.signal.addEventListener('abort', () => resolve()));
    void watchConnection(pubsub, names[0] ?? '', stop.signal);
    await Promise.race([failed, stopped]);
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
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
    // In order: a stream that is cut off holds its messages back until their deadline is over.
    await within(CLOSE_MS, Promise.allSettled(subscriptions.map((each) => each.close())), () => []);
    await pool(names, 8, (name) =>
      pubsub
        .subscription(name)
        .delete({ timeout: CALL_MS })
        .catch(() => {}),
    );
  }
}

/** Resolves with the subscription's name, or null where there is no such topic. */
async function subscribe(pubsub: PubSub, { topicPrefix }: BusConfig, topic: string, plan: Plan) {
  const name = `${topicPrefix}${plan.name}.${topic}`;
  try {
    await pubsub.topic(`${topicPrefix}${topic}`).createSubscription(name, {
      ackDeadlineSeconds: 60,
      expirationPolicy: { ttl: { seconds: plan.expireSeconds } },
      messageRetentionDuration: { seconds: plan.keepSeconds },
      retryPolicy: { minimumBackoff: { seconds: 10 }, maximumBackoff: { seconds: 600 } },
      gaxOpts: { timeout: CALL_MS },
    });
  } catch (error) {
    if (codeOf(error) === CODE.NOT_FOUND) return null;
    if (codeOf(error) !== CODE.ALREADY_EXISTS) throw error;
  }
  return name;
}

/** Says when it is cut off, and when it is back. */
async function watchConnection(pubsub: PubSub, name: string, signal: AbortSignal): Promise<void> {
  for (let isCut = false; !signal.aborted; await sleep(CHECK_MS, undefined, { signal }).catch(() => {})) {
    const reason = await pubsub
      .subscription(name)
      .getMetadata({ timeout: CALL_MS, retry: null })
      .then(() => null, reasonOf);
    if (signal.aborted) return;
    if (reason !== null && !isCut) complain(`Cut off from Pub/Sub (${inLine(reason)}): it is tried again …`);
    if (reason === null && isCut) complain('Pub/Sub is there again.');
    isCut = reason !== null;
  }
}

/** An event in a line: when, what, of whom. */
function line(attributes: Message['attributes']): string {
  const { 'ce-time': time, 'ce-type': topic, 'ce-subject': heronId, 'ce-enduserid': endUserId } = attributes;
  const facts = [
    styled('dim', inLine(time?.slice(0, 19).replace('T', ' ')).padEnd(19)),
    inLine(topic).padEnd(28),
    inLine(attributes['ce-status']).padEnd(16),
    inLine(endUserId ?? heronId),
  ];
  return `${facts.join(' ')}${attributes['ce-replayid'] === undefined ? '' : styled('dim', ' replay')}`;
}
