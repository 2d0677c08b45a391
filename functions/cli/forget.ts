import { userInfo } from 'node:os';
import { PubSub } from '@google-cloud/pubsub';
import { visitDeadLetters } from '../bus/dead-letter-tour.ts';
import { GoogleSubscriber } from '../bus/google-subscriber.ts';
import { deadLetterTopic } from '../bus/topology.ts';
import { type BusConfig, busConfig, type Env } from '../config.ts';
import { eventOf, type HeronEvent } from '../events/event.ts';
import { CANARY_ID } from '../heron/canary.ts';
import { instantOf, rfc3339 } from '../heron/instant.ts';
import { isHeronId } from '../heron/webhook.ts';
import { hashOf } from '../store/tombstone.ts';
import type { Shared, Tombstone, Upkeep } from '../store/upkeep.ts';
import { CommandFailed, googleFailure, isOutage } from './failure.ts';
import { complain, counted, print, printJson, progress, sayWaiting, shown, styled } from './output.ts';
import { announce, envOf } from './project.ts';
import { withUpkeep } from './upkeep.ts';

export type ForgetOptions = {
  readonly by?: string;
  readonly lift: boolean;
  readonly project?: string;
  readonly json: boolean;
};

/**
 * Erases an end user: what is on its way, or comes later, is acknowledged and not recorded. Run again, it goes on where
 * it was cut off. Resolves with the exit code: 1 where there was nothing of it, or something may be left.
 */
export async function forget(heronId: string, options: ForgetOptions, environment: Env): Promise<number> {
  if (!isHeronId(heronId))
    throw new CommandFailed(`${JSON.stringify(heronId)} is not a heron_id, which begins with eus_.`, 'misused');
  if (heronId === CANARY_ID)
    throw new CommandFailed(
      `${CANARY_ID} is nobody: heron doctor sends its events, which leave the log after a day. Forgotten, it would find the path broken.`,
      'misused',
    );
  const env = envOf(environment, options.project);
  const bus = busConfig(env);
  await announce(env, options.lift ? ['Firestore'] : ['Firestore', 'Pub/Sub']);
  const by = options.by ?? userInfo().username;
  if (options.lift) return withUpkeep(env, (upkeep) => lift(upkeep, heronId, options.json));

  const { was, events, bodies, shared, tombstone } = await withUpkeep(env, (upkeep) => eraseAll(upkeep, heronId, by));
  const { taken, incomplete } = await eraseDeadLetters(bus, heronId, tombstone, shared);
  const deadLetters = Object.values(taken).reduce((sum, count) => sum + count, 0);
  const isKnown = was === 'state' || tombstone.events + bodies + deadLetters > 0;
  if (options.json) {
    const { at, ...rest } = tombstone;
    const left = { ...rest, at: rfc3339(at) };
    printJson({
      heron_id: heronId,
      state: was === 'state',
      events,
      bodies,
      dead_letters: taken,
      incomplete,
      shared,
      tombstone: left,
    });
  } else {
    const rows: readonly (readonly [string, string])[] = [
      ['state', was === 'state' ? 'erased' : was === 'tombstone' ? 'erased before' : 'none'],
      ['events', `${events} erased${tombstone.events > events ? `, ${tombstone.events} in all` : ''}`],
      ['bodies', `${bodies} erased that were kept apart`],
      ...Object.entries(taken).map(([name, count]) => ['dead letters', `${count} of ${name} erased`] as const),
      ['tombstone', told(tombstone)],
    ];
    print(
      [styled('bold', heronId), ...rows.map(([name, what]) => `  ${styled('dim', name.padEnd(14))}${what}`)].join('\n'),
    );
  }
  for (const { end_user_id, heron_ids, event_ids } of shared)
    complain(
      `What names only the end_user_id ${shown(end_user_id)} stays, as it is also that of ${heron_ids.join(', ')}: ${event_ids.join(', ')}. Forget those too, or leave it.`,
    );
  const isUnsearched = Object.keys(taken).length === 0;
  if (isUnsearched)
    complain(
      `There is no subscription ${bus.topicPrefix}${deadLetterTopic('…')} in ${bus.projectId}, not even the projector's: check --project and TOPIC_PREFIX, as dead letters may be left.`,
    );
  if (incomplete) complain('Not all dead letters were looked at: run it again.');
  if (!isKnown) complain('Nothing of it was found. The tombstone stands: what arrives is not recorded, until --lift.');
  return incomplete || isUnsearched || shared.length > 0 || !isKnown ? 1 : 0;
}

async function eraseAll(upkeep: Upkeep, heronId: string, by: string) {
  const { was } = await upkeep.forget(heronId, by);
  let [events, bodies] = [0, 0];
  let shared: readonly Shared[] = [];
  for (let left = true; left; ) {
    const erased = await upkeep.erase(heronId);
    events += erased.events;
    bodies += erased.bodies;
    shared = erased.shared;
    left = !erased.isOver;
    progress(`${counted(events, 'event')} and ${bodies.toLocaleString('en')} of their bodies erased`);
  }
  progress('');
  const tombstone = await upkeep.tombstone(heronId);
  if (tombstone === null) throw new CommandFailed(`Somebody lifted the tombstone of ${heronId} meanwhile.`);
  return { was, events, bodies, shared, tombstone };
}

async function lift(upkeep: Upkeep, heronId: string, json: boolean): Promise<number> {
  const tombstone = await upkeep.lift(heronId);
  if (tombstone === null) throw new CommandFailed(`${heronId} is not forgotten.`, 'not-found');
  const lifted = { ...tombstone, at: rfc3339(tombstone.at) };
  if (json) printJson({ heron_id: heronId, lifted });
  else print(`${heronId} is no longer forgotten: new events count. The tombstone said ${told(tombstone)}.`);
  return 0;
}

/** In every dead-letter subscription there is, whoever's. */
async function eraseDeadLetters(
  config: BusConfig,
  heronId: string,
  { end_user_ids }: Tombstone,
  shared: readonly Shared[],
) {
  const isOwn = ({ heron_id, end_user_id }: HeronEvent): boolean => {
    if (heron_id !== null || end_user_id === null) return heron_id === heronId;
    return end_user_ids.includes(hashOf(end_user_id)) && !shared.some((each) => each.end_user_id === end_user_id);
  };
  const subscriber = new GoogleSubscriber(config);
  const hush = sayWaiting(`Pub/Sub of ${config.projectId}`);
  const taken: Record<string, number> = {};
  let incomplete = false;
  const erase = async (name: string) => {
    taken[name] = 0;
    const toured = await visitDeadLetters({ subscriber, name, chosen: 'all' }, async (letters, held) => {
      const found = letters.filter(
        ({ message: { data, attributes } }) => attributes['ce-subject'] === heronId || isOwn(eventOf(data, RECEIVED)),
      );
      await held.acknowledge(found.map(({ id }) => id));
      taken[name] = (taken[name] ?? 0) + found.length;
    });
    incomplete ||= toured.incomplete;
  };
  try {
    await Promise.all((await deadLetterNames(config)).map(erase));
  } catch (error) {
    if (!isOutage(error)) throw error;
    const failure = googleFailure(error, {
      service: 'Pub/Sub',
      projectId: config.projectId,
      what: 'such subscription',
      check: '--project and TOPIC_PREFIX',
      role: 'roles/pubsub.editor',
      again: 'Run it again: it goes on from there.',
    });
    throw new CommandFailed(`State and events are erased, dead letters may be left. ${failure.message}`, failure.code);
  } finally {
    hush();
    await subscriber.close();
  }
  return { taken, incomplete };
}

/** Does not matter where only the end user is looked for. */
const RECEIVED = instantOf(0);

const LIST_MS = 10_000;

/** The names of all subscribers that have dead letters. */
async function deadLetterNames({ projectId, topicPrefix }: BusConfig): Promise<readonly string[]> {
  const pubsub = new PubSub({ projectId });
  try {
    const [subscriptions] = await pubsub.getSubscriptions({ gaxOpts: { timeout: LIST_MS, retry: null } });
    const start = `${topicPrefix}${deadLetterTopic('')}`;
    return subscriptions
      .map(({ name }) => name.split('/').at(-1) ?? '')
      .filter((name) => name.startsWith(start))
      .map((name) => name.slice(start.length));
  } finally {
    await pubsub.close();
  }
}

function told({ at, by, events }: Tombstone): string {
  return `${rfc3339(at)} by ${JSON.stringify(by)}, ${counted(events, 'event')}`;
}
