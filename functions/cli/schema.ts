import type { ErrorObject, ValidateFunction } from 'ajv';
import { UNROUTED } from '../bus/topology.ts';
import { clock } from '../clock.ts';
import { type Env, storeConfig } from '../config.ts';
import { type Instant, parseInstant, rfc3339 } from '../heron/instant.ts';
import { isRecord } from '../heron/json.ts';
import { payloadSchema } from '../heron/payloads.ts';
import { isHeronTopic } from '../heron/topics.ts';
import { pool } from '../pool.ts';
import { FirestoreStore } from '../store/firestore.ts';
import type { LogCursor, Store } from '../store/store.ts';
import { CommandFailed, firestoreFailure, isOutage, reasonOf } from './failure.ts';
import { read } from './input.ts';
import { isName, Learned } from './learn.ts';
import { counted, inLine, note, print, printJson, progress, sayWaiting } from './output.ts';
import { announce, envOf } from './project.ts';

export type SchemaOptions = {
  readonly types: boolean;
  /** A JSON Schema that events are held against; - is standard input. */
  readonly check?: string;
  readonly since?: string;
  readonly limit?: number;
  readonly project?: string;
  readonly json: boolean;
};

const PAGE = 100;
/** Bodies over 32 KiB are fetched one by one, and may be 10 MB each. */
const BODIES_AT_ONCE = 4;
const MAX_TOLD = 20;
const MAX_PLACES = 10;

/**
 * Learns the shape of a topic's webhooks from the log, or holds them against a schema. No value of theirs is told.
 * Resolves with the exit code: 1 where one does not fit, or there is nothing to learn from.
 */
export async function schema(topic: string, options: SchemaOptions, environment: Env): Promise<number> {
  if (topic === UNROUTED)
    throw new CommandFailed('What is unrouted has no shape in common: name its topic.', 'misused');
  if (options.check !== undefined && options.types)
    throw new CommandFailed(
      '--check holds events against a schema, and --types prints one: give one of them.',
      'misused',
    );
  const validate = options.check === undefined ? null : await validator(options.check);
  const env = envOf(environment, options.project);
  const config = storeConfig(env);
  await announce(env, ['Firestore']);
  const store = new FirestoreStore(config, clock);
  const hush = sayWaiting(`Firestore of ${config.projectId}`);
  try {
    return await (validate === null ? learn(topic, options, store) : check(topic, options, store, validate));
  } catch (error) {
    if (!isOutage(error)) throw error;
    throw firestoreFailure(error, config, { role: 'roles/datastore.viewer', again: 'Run it again.' });
  } finally {
    hush();
    progress('');
    await store.close();
  }
}

async function learn(topic: string, options: SchemaOptions, store: Store): Promise<number> {
  const learned = new Learned();
  let leftOut = 0;
  const { oldest, newest } = await eachBody(topic, options, store, (body) => {
    const webhook = parsed(body);
    if (webhook === undefined) leftOut++;
    else learned.add(webhook);
  });
  if (learned.count === 0)
    throw new CommandFailed(
      `The log has no ${options.since === undefined ? '' : 'such '}event of ${inLine(topic)} to learn from${isHeronTopic(topic) ? '' : ', and Heron documents no such topic'}.`,
      'not-found',
    );
  const from = oldest === null ? '' : `, recorded from ${rfc3339(oldest)}`;
  const until = newest === null ? '' : ` to ${rfc3339(newest)}`;
  const description = `Learned from ${counted(learned.count, 'event')} of ${topic}${from}${until}.`;
  note(description);
  if (leftOut > 0) note(`${counted(leftOut, 'event')} more, which are not JSON, were left out.`);
  if (payloadSchema(topic) !== null)
    note('Heron documents the data of this topic: see /asyncapi.json of the query API.');
  const result = options.types
    ? { types: learned.types(typeName(topic), description) }
    : { schema: learned.schema(description) };
  if (options.json) printJson({ topic, events: learned.count, left_out: leftOut, ...result });
  else print('types' in result ? result.types : JSON.stringify(result.schema, null, 2));
  return 0;
}

type Unfit = { readonly event_id: string; readonly flaws: readonly Flaw[] };
/** @param at JSONPath, in which `*` stands for a key that may be a value. */
type Flaw = { readonly at: string; readonly flaw: string };

async function check(topic: string, options: SchemaOptions, store: Store, validate: Validator): Promise<number> {
  const told: Unfit[] = [];
  let [events, unfit] = [0, 0];
  await eachBody(topic, options, store, (body, event_id) => {
    events++;
    const webhook = parsed(body);
    const flaws = webhook === undefined ? [{ at: '$', flaw: 'is not JSON' }] : validate(webhook);
    if (flaws.length === 0) return;
    if (unfit++ < MAX_TOLD) told.push({ event_id, flaws });
  });
  if (options.json) printJson({ topic, events, unfit, first: told });
  else {
    for (const { event_id, flaws } of told)
      print(`${event_id}\n${flaws.map(({ at, flaw }) => `  ${inLine(at)} ${inLine(flaw)}`).join('\n')}`);
    if (unfit > told.length) print(`… and ${counted(unfit - told.length, 'more event')}`);
    print(
      `${counted(unfit, 'event')} of ${events.toLocaleString('en')} of ${inLine(topic)} ${unfit === 1 ? 'does' : 'do'} not fit.`,
    );
  }
  return unfit > 0 ? 1 : 0;
}

/** Goes through a topic's events, newest recorded first, a page at a time. Erased ones are passed over. */
async function eachBody(
  topic: string,
  { since, limit = Number.POSITIVE_INFINITY }: SchemaOptions,
  store: Store,
  take: (body: Uint8Array, eventId: string) => void,
): Promise<{ readonly oldest: Instant | null; readonly newest: Instant | null }> {
  const start = since === undefined ? null : parseInstant(since);
  let [oldest, newest]: [Instant | null, Instant | null] = [null, null];
  let read = 0;
  let [cursor, isOver]: [LogCursor | null, boolean] = [null, false];
  while (!isOver) {
    const { events, next } = await store.eventsOfTopic(topic, Math.min(PAGE, limit - read), cursor);
    const due = events.filter(({ recorded_at }) => start === null || recorded_at >= start);
    await pool(due, BODIES_AT_ONCE, async ({ event_id, body }) => {
      const whole = body ?? (await store.body(event_id));
      if (whole !== null) take(whole, event_id);
    });
    newest ??= due[0]?.recorded_at ?? null;
    oldest = due.at(-1)?.recorded_at ?? oldest;
    read += events.length;
    progress(`${counted(read, 'event')} of ${topic} read`);
    cursor = next;
    isOver = next === null || due.length < events.length || read >= limit;
  }
  return { oldest, newest };
}

/** undefined where it is not JSON. */
function parsed(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    return undefined;
  }
}

/** PdfProcessed of pdf.processed. */
function typeName(topic: string): string {
  const words = topic.split(/[^A-Za-z0-9]+/).filter((word) => word !== '');
  return words
    .map((word) => `${word[0]?.toUpperCase()}${word.slice(1)}`)
    .join('')
    .replace(/^(?![A-Za-z])/, 'Event');
}

type Validator = (webhook: unknown) => readonly Flaw[];

/** @throws CommandFailed where there is no JSON Schema in the file. */
async function validator(file: string): Promise<Validator> {
  const misused = (why: string) => new CommandFailed(`${inLine(file)} ${why}.`, 'misused');
  const text = await read(file);
  let given: unknown;
  try {
    given = JSON.parse(text.toString());
  } catch {
    throw misused('is not JSON: it should hold a JSON Schema');
  }
  if (!isRecord(given)) throw misused('holds no JSON Schema');
  const isOld = /draft-0[67]/.test(String(given.$schema));
  const { Ajv } = isOld ? await import('ajv') : { Ajv: (await import('ajv/dist/2020.js')).Ajv2020 };
  const ajv = new Ajv({
    strict: false,
    strictNumbers: false,
    allErrors: true,
    ownProperties: true,
    validateFormats: false,
    logger: false,
  });
  let validate: ValidateFunction;
  try {
    validate = ajv.compile(given);
  } catch (error) {
    throw misused(`holds no JSON Schema that can be used (${reasonOf(error)})`);
  }
  const declared = namesIn(given);
  return (webhook) => (validate(webhook) ? [] : flawsOf(validate.errors ?? [], declared));
}

/** What does not fit, without a value: keys are told that the schema knows, and names of new members. */
function flawsOf(errors: readonly ErrorObject[], declared: ReadonlySet<string>): readonly Flaw[] {
  const flaws = new Map<string, Flaw>();
  for (const { instancePath, keyword, params } of errors) {
    if (flaws.size === MAX_PLACES) break;
    const at = pathOf(instancePath, declared);
    const flaw = flawOf(keyword, params);
    flaws.set(`${at} ${flaw}`, { at, flaw });
  }
  return [...flaws.values()];
}

function flawOf(keyword: string, params: Readonly<Record<string, unknown>>): string {
  const { type, missingProperty, additionalProperty } = params;
  switch (keyword) {
    case 'type':
      return `is not of type ${[type].flat().join(' or ')}`;
    case 'required':
      return `lacks ${missingProperty}`;
    case 'additionalProperties':
      return `has a member that the schema does not know${isName(String(additionalProperty)) ? `: ${additionalProperty}` : ''}`;
    default:
      return `is not what the schema says by ${keyword}`;
  }
}

/** JSON Pointer as JSONPath. */
function pathOf(pointer: string, declared: ReadonlySet<string>): string {
  const steps = pointer
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
  return `$${steps.map((step) => (declared.has(step) ? (/^\w+$/.test(step) ? `.${step}` : `['${step}']`) : /^\d+$/.test(step) ? '[*]' : '.*')).join('')}`;
}

/** All names of members that a schema declares, wherever they are. */
function namesIn(value: unknown, found = new Set<string>()): ReadonlySet<string> {
  if (typeof value !== 'object' || value === null) return found;
  for (const [keyword, inner] of Object.entries(value)) {
    if (keyword === 'properties' && typeof inner === 'object' && inner !== null)
      for (const name of Object.keys(inner)) found.add(name);
    namesIn(inner, found);
  }
  return found;
}
