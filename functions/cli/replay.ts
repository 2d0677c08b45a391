import { hash, randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { PubSub } from '@google-cloud/pubsub';
import { type Publisher, Refused } from '../bus/bus.ts';
import { GooglePublisher } from '../bus/google.ts';
import { replayTopic, UNROUTED } from '../bus/topology.ts';
import { clock } from '../clock.ts';
import { type BusConfig, busConfig, type Env, storeConfig } from '../config.ts';
import { eventOf } from '../events/event.ts';
import { toMessage } from '../events/message.ts';
import { CODE } from '../grpc.ts';
import { CANARY_ID, CANARY_TOPIC } from '../heron/canary.ts';
import { type Instant, parseInstant } from '../heron/instant.ts';
import { HERON_TOPICS } from '../heron/topics.ts';
import { isHeronId } from '../heron/webhook.ts';
import { pool } from '../pool.ts';
import { FirestoreStore } from '../store/firestore.ts';
import { type Claimed, type ReplayState, Replays, type Runner, TakenOver } from '../store/replays.ts';
import type { EventCursor, LogCursor, LoggedEvent, Store } from '../store/store.ts';
import { CommandFailed, firestoreFailure, googleFailure, isOutage, reasonOf } from './failure.ts';
import { complain, counted, inLine, note, print, printJson, progress, sayWaiting } from './output.ts';
import { announce, envOf } from './project.ts';
import { matches } from './topic-pattern.ts';

export type ReplayOptions = {
  readonly to: string;
  readonly topic?: readonly string[];
  readonly from?: string;
  readonly until?: string;
  readonly endUser?: string;
  /** Messages a second. */
  readonly rate: number;
  readonly dryRun: boolean;
  readonly restart: boolean;
  readonly project?: string;
  readonly json: boolean;
};

const PAGE = 100;
const AT_ONCE = 32;
const PUBLISH_MS = 30_000;
/** Heron's clock may be ahead of ours by less than this: what is recorded this long before was not sent later. */
const CLOCKS_MS = 86_400_000;

/** Where a replay has come in one part of the log; absent once that is through. */
type Part = { readonly name: string; readonly page: (after: unknown) => Promise<Page> };
type Page = { readonly events: readonly LoggedEvent[]; readonly next: unknown };

/** So often a process says that it lives, and after this silence it is taken for dead. */
const [BEAT_MS, SILENCE_MS] = [5_000, 20_000];
const POLL_MS = 1_000;

/**
 * Sends events of the log again, to one subscriber alone and marked as a replay. Killed, it goes on where it was when it
 * is run again in the same way, wherever that is; some may come twice. Run twice at once, one sends, and the other waits
 * for it, and takes over where it dies. Resolves with the exit code: 1 where an event could not be sent.
 */
export async function replay(options: ReplayOptions, environment: Env): Promise<number> {
  const { to, dryRun, json } = options;
  if (options.endUser !== undefined && !isHeronId(options.endUser))
    throw new CommandFailed(`${inLine(options.endUser)} is not a heron_id, which begins with eus_.`, 'misused');
  if (options.endUser === CANARY_ID)
    throw new CommandFailed(
      `${CANARY_ID} is nobody: heron doctor sends its events, which are never replayed.`,
      'misused',
    );
  const env = envOf(environment, options.project);
  const bus = busConfig(env);
  await announce(env, ['Firestore', 'Pub/Sub']);
  const store = new FirestoreStore(storeConfig(env), clock);
  const publisher = new GooglePublisher(bus, env);
  const replays = new Replays(storeConfig(env));
  const hush = sayWaiting(`Google Cloud's answer for ${bus.projectId}`);
  try {
    const subscriptions = await subscriptionsOf(to, bus);
    const topics = await topicsOf(options, subscriptions, store);
    for (const filter of new Set(subscriptions.flatMap(({ filter }) => filter || [])))
      note(`The filter of ${to} is not applied to a replay: ${inLine(filter)}`);
    const asked = JSON.stringify([bus, options.from, options.until, options.endUser, topics, to]);
    const name = `${to}-${hash('sha256', asked).slice(0, 16)}`;
    const runner: Runner = { token: randomUUID(), host: hostname(), pid: process.pid };
    const fresh: ReplayState = { id: randomUUID(), started: clock(), done: [], at: null, events: 0, failed: 0 };
    const claimed: Claimed = dryRun
      ? { kind: 'begun', state: fresh }
      : await claim(replays, name, { fresh, runner, restart: options.restart });
    if (claimed.kind === 'resumed')
      note(
        `Going on with the replay begun at ${claimed.state.started}: ${counted(claimed.state.events, 'event')} so far.`,
      );
    let { state } = claimed;
    if (claimed.kind !== 'finished') {
      const keeper = dryRun ? null : new Keeper(replays, name, runner, state);
      try {
        for await (state of run(state, options, topics, store, dryRun ? null : publisher, keeper?.lost))
          await keeper?.keep(state);
        await keeper?.keep({ ...state, done: [], at: null }, true); // where it was says nothing any more
      } finally {
        keeper?.stop();
      }
    }
    const { id, events, failed } = state;
    if (json) {
      const facts = { events, failed, subscriber: to, topics, replay_id: dryRun ? null : id };
      printJson({ ...facts, dry_run: dryRun, resumed: claimed.kind !== 'begun' });
    } else {
      const what = dryRun ? 'would be sent' : 'sent';
      print(`${counted(events, 'event')} of ${counted(topics.length, 'topic')} ${what} to ${to} alone.`);
    }
    if (failed > 0) complain(`${counted(failed, 'event')} could not be sent.`);
    return failed > 0 ? 1 : 0;
  } catch (error) {
    if (error instanceof TakenOver)
      throw new CommandFailed(`${error.message} Run it again to see it to its end.`, 'taken-over', { cause: error });
    const again = 'Run it again: it goes on from there.';
    if (error instanceof PubSubFailed)
      throw googleFailure(error.cause, {
        service: 'Pub/Sub',
        projectId: bus.projectId,
        what: `topic or subscription ${bus.topicPrefix}${replayTopic(to)}`,
        check: '--project, --to and TOPIC_PREFIX',
        role: 'roles/pubsub.viewer and roles/pubsub.publisher',
        again,
      });
    if (error instanceof CommandFailed || !isOutage(error)) throw error;
    throw firestoreFailure(error, storeConfig(env), { role: 'roles/datastore.user', again });
  } finally {
    hush();
    progress('');
    await Promise.allSettled([store.close(), publisher.close(), replays.close()]);
  }
}

/** A call to Pub/Sub failed, which its cause tells: what else of Google's fails is Firestore. */
class PubSubFailed extends Error {
  constructor(cause: unknown) {
    super('Pub/Sub failed', { cause });
  }
}

/** A sign of life of somebody else's. */
type Seen = { readonly id: string; readonly beat: number; readonly at: number };

/** Begins the replay, or takes it up; where another process sends it, waits for that one's end, or takes over from it. */
async function claim(
  replays: Replays,
  name: string,
  asked: Pick<Parameters<Replays['claim']>[1], 'fresh' | 'runner' | 'restart'>,
): Promise<Claimed> {
  let last: Seen | undefined;
  for (;;) {
    const seen = last;
    const isSilent = (beat: number) => seen?.beat === beat && performance.now() - seen.at > SILENCE_MS;
    const claimed = await replays.claim(name, {
      ...asked,
      isDead: (runner, beat) => hasEnded(runner) || isSilent(beat),
      following: seen?.id ?? null,
    });
    if (claimed.kind !== 'running') return claimed;
    const { state, runner, beat } = claimed;
    if (seen === undefined)
      note(
        `A process on ${inLine(runner.host)} sends this replay, begun at ${state.started}: waiting for its end, or to go on where it ends before …`,
      );
    if (seen?.id !== state.id || seen.beat !== beat) last = { id: state.id, beat, at: performance.now() };
    progress(`${counted(state.events, 'event')} sent`);
    await sleep(POLL_MS);
  }
}

/** Whether it ran on this machine, and is no more. */
function hasEnded({ host, pid }: Runner): boolean {
  if (host !== hostname()) return false;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

/** Keeps how far a replay has come, and says every few seconds that this process lives. */
class Keeper {
  readonly #save: (state: ReplayState, isFinished: boolean) => Promise<void>;
  readonly #beating: NodeJS.Timeout;
  readonly #lost = new AbortController();
  #state: ReplayState;
  #saving: Promise<void> = Promise.resolve();

  constructor(replays: Replays, name: string, runner: Runner, begun: ReplayState) {
    this.#save = (state, isFinished) => replays.save(name, runner, state, isFinished);
    this.#state = begun;
    this.#beating = setInterval(() => this.keep(this.#state).catch(() => {}), BEAT_MS);
  }

  /** Aborted, with {@link TakenOver}, once another process sends it. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** One after another, so that none undoes a later one. */
  keep(state: ReplayState, isFinished = false): Promise<void> {
    this.#state = state;
    if (isFinished) this.stop(); // a beat saved after it would say that it goes on
    this.#saving = this.#saving
      .catch(() => {}) // it was told to who kept it
      .then(() => this.#save(state, isFinished))
      .catch((error) => {
        if (error instanceof TakenOver) this.#lost.abort(error);
        throw error;
      });
    return this.#saving;
  }

  stop(): void {
    clearInterval(this.#beating);
  }
}

/** Goes through the log, a page at a time, and tells after each how far it has come. */
async function* run(
  begun: ReplayState,
  options: ReplayOptions,
  topics: readonly string[],
  store: Store,
  publisher: Publisher | null,
  lost: AbortSignal | undefined,
): AsyncGenerator<ReplayState> {
  let state = begun;
  const pace = paced(options.rate);
  for (const part of partsOf(options, topics, store)) {
    if (state.done.includes(part.name)) continue;
    let cursor: unknown = state.at?.part === part.name ? state.at.cursor : null;
    do {
      const { events, next } = await part.page(cursor);
      const due = events.filter((event) => isWithin(event, options));
      let [passed, failed] = [0, 0];
      await pool(due, AT_ONCE, async (event) => {
        if (publisher === null) return;
        await pace();
        lost?.throwIfAborted();
        if (!(await sent(event, options.to, state.id, store, publisher))) failed++;
        progress(`${counted(state.events + ++passed, 'event')} sent, ${part.name}`);
      });
      const isOver = next === null || isBefore(events.at(-1), options.from);
      cursor = isOver ? null : next;
      state = {
        ...state,
        events: state.events + due.length - failed,
        failed: state.failed + failed,
        done: isOver ? [...state.done, part.name] : state.done,
        at: isOver ? null : { part: part.name, cursor },
      };
      yield state;
    } while (cursor !== null);
  }
}

/** Resolves with false where Pub/Sub refuses this one for good. Its body may have been erased meanwhile. */
async function sent(event: LoggedEvent, to: string, id: string, store: Store, publisher: Publisher): Promise<boolean> {
  const body = event.body ?? (await store.body(event.event_id));
  if (body === null) return true;
  const message = toMessage(eventOf(body, event.received_at), { replayid: id });
  try {
    await publisher.publish(replayTopic(to), message, PUBLISH_MS);
    return true;
  } catch (error) {
    if (!(error instanceof Refused) || error.code === CODE.NOT_FOUND || error.code === CODE.PERMISSION_DENIED)
      throw new PubSubFailed(error);
    complain(`Event ${event.event_id} is refused by Pub/Sub: ${inLine(reasonOf(error))}.`);
    return false;
  }
}

/** The parts of the log that make up what is asked for: each event is in one of them. */
function partsOf({ endUser }: ReplayOptions, topics: readonly string[], store: Store): readonly Part[] {
  if (endUser !== undefined) {
    const page = async (after: unknown) => {
      const { events, next } = await store.events(endUser, PAGE, after as EventCursor | null);
      return { events: events.filter(({ topic }) => topics.includes(placeOf(topic))), next };
    };
    return [{ name: 'the end user', page }];
  }
  const named = new Set(topics);
  return topics.map((topic) => ({
    name: topic,
    page: async (after: unknown): Promise<Page> => {
      const cursor = after as LogCursor | null;
      if (topic !== UNROUTED) return store.eventsOfTopic(topic, PAGE, cursor);
      const { events, next } = await store.unroutedEvents(PAGE, cursor);
      return { events: events.filter((event) => event.topic === null || !named.has(event.topic)), next };
    },
  }));
}

function placeOf(topic: string | null): string {
  return topic !== null && HERON_TOPICS.includes(topic) ? topic : UNROUTED;
}

function isWithin(event: LoggedEvent, { from, until }: ReplayOptions): boolean {
  const time = event.created ?? event.received_at;
  return (!from || time >= at(from)) && (!until || time < at(until));
}

function at(time: string): Instant {
  return parseInstant(time) as Instant;
}

function isBefore(event: LoggedEvent | undefined, from: string | undefined): boolean {
  return !!event && !!from && Date.parse(event.recorded_at) < Date.parse(at(from)) - CLOCKS_MS;
}

/** Resolves as often in a second as the rate says. */
function paced(rate: number): () => Promise<void> {
  let next = performance.now();
  return async () => {
    const turn = Math.max(next, performance.now());
    next = turn + 1000 / rate;
    const wait = turn - performance.now();
    if (wait > 1) await sleep(wait);
  };
}

type Subscribed = { readonly topic: string; readonly filter: string };

const LIST_MS = 10_000;

/** What a subscriber subscribes to, and by which filter. @throws CommandFailed where there is no such subscriber. */
async function subscriptionsOf(name: string, { projectId, topicPrefix }: BusConfig): Promise<readonly Subscribed[]> {
  const pubsub = new PubSub({ projectId });
  try {
    const [all] = await pubsub.getSubscriptions({ gaxOpts: { timeout: LIST_MS, retry: null } }).catch((error) => {
      throw new PubSubFailed(error);
    });
    const found = all.map((each) => ({ name: each.name.split('/').at(-1) ?? '', filter: each.metadata?.filter ?? '' }));
    if (!found.some((each) => each.name === `${topicPrefix}${replayTopic(name)}`))
      throw new CommandFailed(
        `${projectId} has no subscription ${topicPrefix}${replayTopic(name)}: check --project, --to and TOPIC_PREFIX.`,
        'not-found',
      );
    const start = `${topicPrefix}${name}.`;
    return found
      .filter((each) => each.name.startsWith(start))
      .map((each) => ({ topic: each.name.slice(start.length), filter: each.filter }))
      .filter(({ topic }) => topic !== CANARY_TOPIC);
  } finally {
    await pubsub.close();
  }
}

async function topicsOf({ topic: patterns, to }: ReplayOptions, subscribed: readonly Subscribed[], store: Store) {
  if (patterns === undefined) return subscribed.map(({ topic }) => topic).sort();
  const { topics } = await store.topics();
  const inLog = topics.flatMap(({ topic }) => topic ?? []);
  const all = [...new Set([...HERON_TOPICS, ...inLog, UNROUTED])].sort();
  const chosen = all.filter((topic) => patterns.some((pattern) => matches(pattern, topic)));
  if (chosen.length === 0)
    throw new CommandFailed(`No topic is ${patterns.join(' or ')}: ${to} would get nothing.`, 'misused');
  return chosen;
}
