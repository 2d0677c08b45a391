import { isUtf8 } from 'node:buffer';
import type { Publisher, Subscriber } from '../bus/bus.ts';
import type { DeadLetter } from '../bus/dead-letter.ts';
import { type Tour, type Toured, visitDeadLetters } from '../bus/dead-letter-tour.ts';
import { discardDeadLetters, type Outcome, redriveDeadLetters } from '../bus/redrive.ts';
import { deadLetterTopic } from '../bus/topology.ts';
import { busConfig, type Env } from '../config.ts';
import { rfc3339 } from '../heron/instant.ts';
import { CommandFailed, googleFailure, isOutage, reasonOf } from './failure.ts';
import { complain, counted, note, print, printJson, progress, sayWaiting, styled, visible } from './output.ts';
import { announce, envOf } from './project.ts';

export type DeadLetterOptions = {
  readonly subscriber: string;
  readonly project?: string;
  readonly json: boolean;
};

/** Whose they are, unless another is named. */
const PROJECTOR = 'projector';

/** Everything but the message. */
type Facts = Omit<DeadLetter, 'message'>;

/** Lists a subscriber's dead letters. Resolves with the exit code: 1 where some may be missing. */
export async function list(options: DeadLetterOptions, env: Env): Promise<number> {
  const listed: Facts[] = [];
  const { incomplete } = await touring(options, 'all', env, ({ tour }) =>
    visitDeadLetters(tour, async (letters) => void listed.push(...letters.map(factsOf))),
  );
  listed.sort(bySince);
  const { subscriber, json } = options;
  if (json) printJson({ subscriber, dead_letters: listed.map(told), incomplete });
  else {
    print([...listed.map(block), `${count(listed.length)} of ${subscriber}.`].join('\n\n'));
    if (listed.length > 0)
      note(
        `heron dead-letters show ID${same(options)} reads one whole, redrive ID (or --all) sends it again, discard ID takes it away.`,
      );
  }
  return incomplete ? 1 : 0;
}

/** Shows dead letters with all that is in them. Resolves with the exit code: 1 where one was not found. */
export async function show(ids: readonly string[], options: DeadLetterOptions, env: Env): Promise<number> {
  const shown: DeadLetter[] = [];
  const toured = await touring(options, ids, env, ({ tour }) =>
    visitDeadLetters(tour, async (letters) => void shown.push(...letters)),
  );
  const { subscriber, json } = options;
  shown.sort(bySince);
  if (json) printJson({ subscriber, dead_letters: shown.map(whole), ...toured });
  else for (const letter of shown) print(`${block(letter)}\n${content(letter)}\n`);
  return exitCode(toured, []);
}

/**
 * Sends dead letters to their subscriber again. Resolves with the exit code: 1 where not all that were named were, or
 * some came back at once.
 */
export async function redrive(
  ids: readonly string[],
  options: DeadLetterOptions & { readonly all: boolean },
  env: Env,
): Promise<number> {
  if (options.all === ids.length > 0)
    throw new CommandFailed('Name dead letters by their IDs, or all with --all.', 'misused');
  return settling('redriven', options, options.all ? 'all' : ids, env, async ({ tour, publisher }, onOutcome) => {
    const toured = await redriveDeadLetters(publisher(), tour, onOutcome);
    if (toured.again > 0)
      complain(
        `${count(toured.again)} came back at once, refused again: they are left, and heron dead-letters list says why.`,
      );
    return toured;
  });
}

/** Takes dead letters away for good. Resolves with the exit code: 1 where not all that were named were. */
export async function discard(ids: readonly string[], options: DeadLetterOptions, env: Env): Promise<number> {
  return settling('discarded', options, ids, env, ({ tour }, onOutcome) => discardDeadLetters(tour, onOutcome));
}

type Connected = { readonly tour: Tour; readonly publisher: () => Publisher };

async function settling(
  done: 'redriven' | 'discarded',
  options: DeadLetterOptions,
  chosen: Tour['chosen'],
  env: Env,
  work: (connected: Connected, onOutcome: (outcome: Outcome) => void) => Promise<Toured & { again?: number }>,
): Promise<number> {
  const { subscriber, json } = options;
  const outcomes: { readonly facts: Facts; readonly error: string | null }[] = [];
  // Each is told of at once: an error later on must not hide what was done.
  const onOutcome = ({ letter, failure }: Outcome) => {
    const facts = factsOf(letter);
    const error = failure === undefined ? null : reasonOf(failure);
    outcomes.push({ facts, error });
    if (json) return;
    const what = [facts.id, facts.topic, facts.event_id].filter((part) => part !== null).map(visible);
    print(`${error === null ? styled('green', done) : styled('red', `not ${done}`)}  ${what.join('  ')}`);
    if (error !== null) print(`  ${visible(error)}`);
  };
  const toured = await touring(options, chosen, env, (connected) => work(connected, onOutcome));
  const failed = outcomes.flatMap(({ facts, error }) => (error === null ? [] : [{ ...told(facts), error }]));
  const succeeded = outcomes.flatMap(({ facts, error }) => (error === null ? [told(facts)] : []));
  if (json) printJson({ subscriber, [done]: succeeded, failed, ...toured });
  else {
    print(`${count(succeeded.length)} of ${subscriber} ${done}${failed.length > 0 ? `, ${failed.length} not` : ''}.`);
    if (done === 'redriven' && succeeded.length > 0)
      note(`What is refused again comes back: heron dead-letters list${same(options)} shows it.`);
  }
  return exitCode(toured, failed) || (toured.again ? 1 : 0);
}

/** Connects, goes, and says what was not met. Ctrl-C ends it in order: what is held is given back. */
async function touring<T extends Toured>(
  { subscriber: name, project }: DeadLetterOptions,
  chosen: Tour['chosen'],
  env: Env,
  work: (connected: Connected) => Promise<T>,
): Promise<T> {
  const environment = envOf(env, project);
  const config = busConfig(environment);
  await announce(environment, ['Pub/Sub']);
  const [{ GoogleSubscriber }, { GooglePublisher }] = await Promise.all([
    import('../bus/google-subscriber.ts'),
    import('../bus/google.ts'),
  ]);
  const subscriber: Subscriber = new GoogleSubscriber(config);
  let publisher: Publisher | undefined;
  const stop = new AbortController();
  const onSignal = () => {
    note('Stopping: what was looked at is given back …');
    stop.abort();
  };
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  const hush = sayWaiting(`Pub/Sub of ${config.projectId}`);
  try {
    const onProgress = (met: number) => progress(`${count(met)} looked at`);
    const toured = await work({
      tour: { subscriber, name, chosen, signal: stop.signal, onProgress },
      publisher: () => {
        publisher ??= new GooglePublisher(config);
        return publisher;
      },
    });
    progress('');
    if (toured.incomplete) complain('It ended before all were looked at: there may be more.');
    for (const id of toured.missing) complain(`${visible(id)} was not found among the dead letters of ${name}.`);
    return toured;
  } catch (error) {
    progress('');
    if (!isOutage(error)) throw error;
    throw googleFailure(error, {
      service: 'Pub/Sub',
      projectId: config.projectId,
      what: `subscription ${config.topicPrefix}${deadLetterTopic(name)}`,
      check: '--project, --subscriber and TOPIC_PREFIX',
      role: 'roles/pubsub.subscriber and roles/pubsub.publisher',
      again: 'Run it again later: none is lost.',
    });
  } finally {
    hush();
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
    await Promise.allSettled([subscriber.close(), publisher?.close()]);
  }
}

/** The options by which another command works on the same. */
function same({ subscriber, project }: DeadLetterOptions): string {
  const whose = subscriber === PROJECTOR ? '' : ` --subscriber ${visible(subscriber)}`;
  return `${whose}${project === undefined ? '' : ` --project ${visible(project)}`}`;
}

function exitCode({ missing, incomplete }: Toured, failed: readonly unknown[]): number {
  return missing.length > 0 || incomplete || failed.length > 0 ? 1 : 0;
}

function factsOf({ message, ...facts }: DeadLetter): Facts {
  return facts;
}

/** As programs are told. */
function told(facts: Facts) {
  const { published_at, dead_lettered_at } = facts;
  return {
    ...facts,
    published_at: published_at && rfc3339(published_at),
    dead_lettered_at: rfc3339(dead_lettered_at),
  };
}

function whole(letter: DeadLetter) {
  const { data, attributes } = letter.message;
  const body = Buffer.from(data);
  return { ...told(factsOf(letter)), attributes, body: body.toString('base64'), text: textOf(body) };
}

function textOf(body: Uint8Array): string | null {
  return isUtf8(body) ? Buffer.from(body).toString() : null;
}

function bySince(a: Facts, b: Facts): number {
  const [one, other] = [a.published_at ?? a.dead_lettered_at, b.published_at ?? b.dead_lettered_at];
  return one < other ? -1 : one > other ? 1 : 0;
}

/** A dead letter in a few lines. */
function block(facts: Facts): string {
  const { id, subscription, reason, deliveries, published_at, dead_lettered_at, topic, event_id, bytes } = facts;
  const rows: readonly (readonly [string, string | null])[] = [
    ['reason', reason],
    ['from', subscription],
    ['deliveries', deliveries === null ? null : String(deliveries)],
    ['since', published_at && rfc3339(published_at)],
    ['given up', rfc3339(dead_lettered_at)],
    ['event', event_id],
  ];
  const known = rows.flatMap(([name, value]) => (value === null ? [] : [[name, value] as const]));
  const head = [styled('bold', visible(id)), visible(topic ?? 'no topic'), counted(bytes, 'byte')];
  return [head.join('  '), ...table(Object.fromEntries(known))].join('\n');
}

function content({ message: { data, attributes }, bytes }: DeadLetter): string {
  const text = textOf(data);
  const body = text === null ? styled('dim', `(${bytes} bytes that are no text: see --json)`) : visible(text);
  return [styled('bold', 'attributes'), ...table(attributes), styled('bold', 'body'), body].join('\n');
}

function table(rows: Readonly<Record<string, string>>): readonly string[] {
  const names = Object.keys(rows).map(visible);
  const width = Math.max(0, ...names.map((name) => name.length));
  return Object.values(rows).map((value, i) => {
    const text = visible(value).replaceAll('\n', `\n${' '.repeat(width + 4)}`);
    return `  ${styled('dim', names[i]?.padEnd(width) ?? '')}  ${text}`;
  });
}

function count(letters: number): string {
  return counted(letters, 'dead letter');
}
