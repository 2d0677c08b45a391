import { isUtf8 } from 'node:buffer';
import type { Publisher, Subscriber } from '../bus/bus.ts';
import type { DeadLetter } from '../bus/dead-letter.ts';
import { type Tour, type Toured, visitDeadLetters } from '../bus/dead-letter-tour.ts';
import { discardDeadLetters, type Outcome, redriveDeadLetters } from '../bus/redrive.ts';
import { deadLetterTopic } from '../bus/topology.ts';
import { type BusConfig, busConfig, type Env } from '../config.ts';
import { CODE, codeOf } from '../grpc.ts';
import { rfc3339 } from '../heron/instant.ts';
import { CommandFailed, reasonOf } from './failure.ts';
import { counted, note, print, progress, styled } from './output.ts';

export type DeadLetterOptions = {
  readonly subscriber: string;
  readonly project?: string;
  readonly json: boolean;
};

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
  if (json) print(JSON.stringify({ subscriber, dead_letters: listed.map(told), incomplete }));
  else print([...listed.map(block), `${count(listed.length)} of ${subscriber}.`].join('\n\n'));
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
  if (json) print(JSON.stringify({ subscriber, dead_letters: shown.map(whole), ...toured }));
  else for (const letter of shown) print(`${block(letter)}\n${content(letter)}\n`);
  return exitCode(toured, []);
}

/** Sends dead letters to their subscriber again. Resolves with the exit code: 1 where not all that were named were. */
export async function redrive(
  ids: readonly string[],
  options: DeadLetterOptions & { readonly all: boolean },
  env: Env,
): Promise<number> {
  if (options.all === ids.length > 0) throw new CommandFailed('Name dead letters by their IDs, or all with --all.', 2);
  return settling('redriven', options, options.all ? 'all' : ids, env, async ({ tour, publisher }, onOutcome) => {
    const toured = await redriveDeadLetters(publisher(), tour, onOutcome);
    if (toured.again > 0) note(`${count(toured.again)} came back at once, redriven to no avail: they are left.`);
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
  work: (connected: Connected, onOutcome: (outcome: Outcome) => void) => Promise<Toured>,
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
  if (json) print(JSON.stringify({ subscriber, [done]: succeeded, failed, ...toured }));
  else
    print(`${count(succeeded.length)} of ${subscriber} ${done}${failed.length > 0 ? `, ${failed.length} not` : ''}.`);
  return exitCode(toured, failed);
}

/** Connects, goes, and says what was not met. Ctrl-C ends it in order: what is held is given back. */
async function touring<T extends Toured>(
  { subscriber: name, project }: DeadLetterOptions,
  chosen: Tour['chosen'],
  env: Env,
  work: (connected: Connected) => Promise<T>,
): Promise<T> {
  const config = busConfig({ ...env, GOOGLE_CLOUD_PROJECT: project ?? env.GOOGLE_CLOUD_PROJECT });
  // Google's libraries would look for a metadata server, in vain.
  if (env.PUBSUB_EMULATOR_HOST) process.env.METADATA_SERVER_DETECTION ??= 'none';
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
    if (toured.incomplete) note('It ended before all were looked at: there may be more.');
    for (const id of toured.missing) note(`${visible(id)} was not found among the dead letters of ${name}.`);
    return toured;
  } catch (error) {
    progress('');
    throw failureOf(error, config, name);
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
    await Promise.allSettled([subscriber.close(), publisher?.close()]);
  }
}

function failureOf(error: unknown, { projectId, topicPrefix }: BusConfig, name: string): CommandFailed {
  if (codeOf(error) === CODE.NOT_FOUND)
    return new CommandFailed(
      `${projectId} has no subscription ${topicPrefix}${deadLetterTopic(name)}: check --project, --subscriber and TOPIC_PREFIX.`,
    );
  return new CommandFailed(`Pub/Sub: ${reasonOf(error)}`);
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
  const rows = {
    reason,
    from: subscription,
    deliveries: deliveries === null ? null : String(deliveries),
    since: published_at && rfc3339(published_at),
    'given up': rfc3339(dead_lettered_at),
    event: event_id,
  };
  const head = [styled('bold', visible(id)), visible(topic ?? 'no topic'), `${bytes.toLocaleString('en')} bytes`];
  return [head.join('  '), ...table(rows)].join('\n');
}

function content({ message: { data, attributes }, bytes }: DeadLetter): string {
  const text = textOf(data);
  const body = text === null ? styled('dim', `(${bytes} bytes that are no text: see --json)`) : visible(text);
  return [styled('bold', 'attributes'), ...table(attributes), styled('bold', 'body'), body].join('\n');
}

function table(rows: Readonly<Record<string, string | null>>): readonly string[] {
  const names = Object.keys(rows).map(visible);
  const width = Math.max(0, ...names.map((name) => name.length));
  return Object.values(rows).map(
    (value, i) => `  ${styled('dim', names[i]?.padEnd(width) ?? '')}  ${visible(value ?? '–')}`,
  );
}

/** What comes from outside must not steer the terminal, nor look like other text than it is. */
function visible(text: string): string {
  return text.replaceAll(/[^\P{C}\n\t]/gu, (c) => `\\u{${c.codePointAt(0)?.toString(16)}}`);
}

function count(letters: number): string {
  return counted(letters, 'dead letter');
}
