import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { PubSub, type protos } from '@google-cloud/pubsub';
import { deadLetterOf } from '../bus/dead-letter.ts';
import { GoogleSubscriber } from '../bus/google-subscriber.ts';
import { DELETED_TOPIC, deadLetterTopic } from '../bus/topology.ts';
import { type BusConfig, busConfig, type Env, storeConfig } from '../config.ts';
import { within } from '../deadline.ts';
import { eventId } from '../events/event.ts';
import { CODE, codeOf } from '../grpc.ts';
import { CANARY_ID, CANARY_TOPIC } from '../heron/canary.ts';
import { isRecord } from '../heron/json.ts';
import { pool } from '../pool.ts';
import type { EventAnswer, StatsAnswer } from '../query/answers.ts';
import {
  type Answered,
  type Bus,
  type Canary,
  type Counts,
  type Grants,
  type Index,
  type Indexes,
  type Lag,
  ownerOf,
  type Patient,
  type Posted,
  type Probe,
  type Registered,
  type SubscriptionFacts,
  subscribersIn,
  type Waiting,
} from './doctor-checks.ts';
import { CommandFailed } from './failure.ts';
import { heronApi, heronApiFailure } from './heron-api.ts';
import { visible } from './output.ts';
import { ownSecrets } from './own-secrets.ts';
import { reach } from './project.ts';
import { ask, isEndUser, unreachable } from './query-api.ts';
import { post } from './send.ts';

/** It cannot be told from here, and nothing is wrong by that. */
export class NotAskable extends Error {
  readonly mend: string | undefined;
  constructor(message: string, mend?: string) {
    super(message);
    this.mend = mend;
  }
}

/** Google refuses who asks: it takes a role. */
export class Forbidden extends Error {
  readonly role: string;
  constructor(message: string, role: string, options?: ErrorOptions) {
    super(message, options);
    this.role = role;
  }
}

/** How what is asked is reached. */
export type Reach = {
  readonly env: Env;
  readonly patient: Patient;
  readonly token: string | undefined;
  /** Seconds that the canary may take. */
  readonly patience: number;
  /** Asks one of Google's APIs by an address, as the application default credentials; rejects with a gRPC code. */
  readonly google: (url: string) => Promise<unknown>;
};

const CALL_MS = 10_000;
const AT_ONCE = 8;
/** As many dead letters are looked at: more need no counting. */
const MOST_WAITING = 100;
/** Monitoring's samples come each minute, and are seen minutes later. */
const SAMPLES_MS = 600_000;
const [FIRST_PAUSE_MS, LAST_PAUSE_MS] = [50, 1_000];

/** Asks what there is to ask. What several checks need is asked once. */
export function probeOf(reached: Reach): Probe {
  const { env, patient, token, patience, google } = reached;
  const { url, ingestUrl, isLocal } = patient;
  const where = { url, ...(token === undefined ? {} : { token }) };
  const secrets = secretsOf(env, patient);
  const bus = once(async () => busOf(await pubsubOf(reached), busConfig(env)));
  const canaries = once(async () => Promise.all(knownSecrets(secrets).map((secret) => postCanary(ingestUrl, secret))));

  return {
    bus,
    canaries,
    secrets: () => knownSecrets(secrets),

    async config() {
      const { projectId, topicPrefix } = busConfig(env);
      const { databaseId } = storeConfig(env);
      const { PUBSUB_EMULATOR_HOST: pubsub, FIRESTORE_EMULATOR_HOST: firestore } = env;
      if (pubsub) await reach('Pub/Sub', pubsub);
      if (firestore) await reach('Firestore', firestore);
      if (!isLocal) await knownToGoogle(google, projectId);
      const facts = [
        `project ${projectId}`,
        `database ${databaseId}`,
        topicPrefix === '' ? 'no topic prefix' : `topic prefix ${topicPrefix}`,
        ...(pubsub ? [`Pub/Sub emulator at ${pubsub}`] : []),
        ...(firestore ? [`Firestore emulator at ${firestore}`] : []),
        ...(secrets instanceof Error || secrets.length === 0 ? [] : [`${secrets.length} of Heron's secrets`]),
      ];
      if (secrets instanceof Error) throw secrets;
      return facts.join(', ');
    },

    async query(): Promise<Counts> {
      const { body } = await ask(where, 'stats', isStats);
      const { end_users, events } = body;
      return { endUsers: end_users.total, events: events.total, lastRecordedAt: events.last_recorded_at };
    },

    async unsigned(): Promise<Answered> {
      try {
        const timeout = AbortSignal.timeout(CALL_MS);
        const response = await fetch(ingestUrl, { method: 'POST', body: '{}', redirect: 'manual', signal: timeout });
        await response.arrayBuffer();
        const type = response.headers.get('content-type') ?? '';
        return { status: response.status, isOurs: type.startsWith('application/problem+json') };
      } catch (error) {
        throw unreachable(ingestUrl, error, CALL_MS, '--ingest-url');
      }
    },

    async grants(): Promise<Grants> {
      if (isLocal) throw new NotAskable('the emulator knows no rights');
      return grantsOf(google, await bus(), patient);
    },

    async indexes(): Promise<Indexes> {
      if (isLocal) throw new NotAskable('the emulator needs no indexes and expires nothing');
      return indexesOf(google, patient);
    },

    async lag(): Promise<Lag> {
      if (isLocal) throw new NotAskable('nobody counts what waits in the emulator; the canary tells how long it took');
      const known = await bus();
      const subscribers = subscribersIn(known);
      // Who pulls may do so once a day, and who is paused gets nothing: that is theirs to know.
      const pushed = known.subscriptions.filter(
        ({ name, push }) => push !== null && subscribers.includes(ownerOf(name)),
      );
      return lagOf(
        google,
        patient,
        pushed.map(({ name }) => name),
      );
    },

    async waiting(): Promise<readonly Waiting[]> {
      const subscribers = subscribersIn(await bus());
      const subscriber = new GoogleSubscriber(busConfig(env));
      try {
        return await pool(subscribers, AT_ONCE, (name) => waitingOf(subscriber, name));
      } finally {
        await subscriber.close();
      }
    },

    async registrations(): Promise<Registered> {
      if (!env.HERON_API_KEY && !env.HERON_API_KEY_FILE)
        throw new NotAskable("no key of Heron's API: set HERON_API_KEY, or HERON_API_KEY_FILE");
      if (!/^https:/.test(ingestUrl)) throw new NotAskable(`Heron sends to https addresses only, not to ${ingestUrl}`);
      const api = heronApi(env);
      try {
        const [registrations, known] = await Promise.all([api.registrations(), api.topics()]);
        return { registrations, known };
      } catch (error) {
        throw heronApiFailure(error);
      }
    },

    async canary(): Promise<Canary> {
      const posted = await canaries();
      const taken = posted.find(({ status }) => status >= 200 && status < 300);
      if (taken === undefined) return { posted, readable: null, state: null, patience };
      const readable = await readableAfter(where, taken, patience);
      if (readable === null) return { posted, readable, state: null, patience };
      const { body } = await ask(where, `end-users/${CANARY_ID}`, isEndUser);
      return { posted, readable, state: body.last_event_at, patience };
    },
  };
}

/** Whether there are credentials that work; what they may do is for others to find out. */
async function knownToGoogle(google: Google, projectId: string): Promise<void> {
  try {
    await google(`https://pubsub.googleapis.com/v1/projects/${projectId}/topics?pageSize=1`);
  } catch (error) {
    if (codeOf(error) !== CODE.PERMISSION_DENIED) throw error;
  }
}

/** The first call's promise for all. */
function once<T>(work: () => Promise<T>): () => Promise<T> {
  let begun: Promise<T> | undefined;
  return () => {
    begun ??= work();
    return begun;
  };
}

/** What is wrong with them is for one check to say. */
function secretsOf(env: Env, { ingestUrl }: Patient): readonly string[] | Error {
  try {
    return ownSecrets(env, ingestUrl);
  } catch (error) {
    return error as Error;
  }
}

function knownSecrets(secrets: readonly string[] | Error): readonly string[] {
  if (secrets instanceof Error) throw secrets;
  if (secrets.length === 0)
    throw new NotAskable('no secret to sign with: set HERON_SHARED_SECRET, or HERON_SHARED_SECRET_FILE');
  return secrets;
}

/** @throws NotAskable where the local stack has no Pub/Sub that could be asked. */
async function pubsubOf({ env, patient: { isLocal } }: Reach): Promise<PubSub> {
  const { projectId } = busConfig(env);
  const host = env.PUBSUB_EMULATOR_HOST;
  if (isLocal && !host)
    throw new NotAskable(
      'npm start keeps Pub/Sub in memory, or has an emulator: name the one that it prints',
      'PUBSUB_EMULATOR_HOST=HOST:PORT FIRESTORE_EMULATOR_HOST=HOST:PORT npx heron doctor',
    );
  if (host) await reach('Pub/Sub', host);
  return new PubSub({ projectId });
}

async function busOf(pubsub: PubSub, { topicPrefix }: BusConfig): Promise<Bus> {
  const gaxOpts = { timeout: CALL_MS, retry: null };
  try {
    const [[topics], [subscriptions]] = await Promise.all([
      pubsub.getTopics({ gaxOpts }),
      pubsub.getSubscriptions({ gaxOpts }),
    ]);
    return {
      topics: topics.flatMap(({ name }) => nameIn(topicPrefix, name) ?? []),
      subscriptions: subscriptions.flatMap(({ name, metadata }) => {
        const own = nameIn(topicPrefix, name);
        return own === null ? [] : [subscriptionFacts(own, topicPrefix, metadata ?? {})];
      }),
    };
  } catch (error) {
    throw forbidden(error, 'roles/pubsub.viewer');
  } finally {
    await pubsub.close();
  }
}

/** The name without prefix, or null where it is of another environment. */
function nameIn(prefix: string, full: string): string | null {
  const name = full.split('/').at(-1) ?? '';
  return name.startsWith(prefix) ? name.slice(prefix.length) : null;
}

function subscriptionFacts(
  name: string,
  prefix: string,
  { topic, detached, expirationPolicy, filter, pushConfig, deadLetterPolicy }: protos.google.pubsub.v1.ISubscription,
): SubscriptionFacts {
  const source = topic?.split('/').at(-1) ?? '';
  const target = deadLetterPolicy?.deadLetterTopic;
  return {
    name,
    topic: source === DELETED_TOPIC || source === '' ? null : (nameIn(prefix, source) ?? source),
    isDetached: detached ?? false,
    expires: expirationPolicy?.ttl != null,
    filter: filter ?? '',
    push: pushConfig?.pushEndpoint
      ? {
          endpoint: pushConfig.pushEndpoint,
          hasToken: Boolean(pushConfig.oidcToken?.serviceAccountEmail),
          isWrapped: pushConfig.noWrapper == null,
        }
      : null,
    deadLetterTopic: target ? nameIn(prefix, target) : null,
  };
}

/** Source: https://cloud.google.com/pubsub/docs/handling-failures#grant_forwarding_permissions */
const AGENT = /^serviceAccount:service-\d+@gcp-sa-pubsub\.iam\.gserviceaccount\.com$/;

/** Looks at the rights of Pub/Sub's own agent. Source: https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.topics/getIamPolicy */
export async function grantsOf(google: Google, bus: Bus, { project, prefix }: Patient): Promise<Grants> {
  const subscribers = subscribersIn(bus);
  const wanted = [
    ...subscribers.map((name) => ({ resource: deadLetterTopic(name), role: 'roles/pubsub.publisher', kind: 'topics' })),
    ...bus.subscriptions
      .filter(({ name, deadLetterTopic: target }) => target !== null && subscribers.includes(ownerOf(name)))
      .map(({ name }) => ({ resource: name, role: 'roles/pubsub.subscriber', kind: 'subscriptions' })),
  ];
  try {
    const missing = await pool(wanted, AT_ONCE, async ({ resource, role, kind }) => {
      const name = `${prefix}${resource}`;
      const policy = await google(`https://pubsub.googleapis.com/v1/projects/${project}/${kind}/${name}:getIamPolicy`);
      const { bindings = [] } = policy as { bindings?: readonly { role?: string; members?: readonly string[] }[] };
      const granted = bindings.some(
        (binding) => binding.role === role && binding.members?.some((member) => AGENT.test(member)),
      );
      return granted ? [] : [{ resource: name, role }];
    });
    return { looked: wanted.length, missing: missing.flat() };
  } catch (error) {
    throw forbidden(error, 'roles/iam.securityReviewer');
  }
}

type Google = Reach['google'];

/** Source: https://cloud.google.com/firestore/docs/reference/rest/v1/projects.databases.collectionGroups.indexes/list */
async function indexesOf(google: Google, { project, database }: Patient): Promise<Indexes> {
  const all = `https://firestore.googleapis.com/v1/projects/${project}/databases/${database}/collectionGroups/-`;
  const fieldsBy = (filter: string) => pages(google, `${all}/fields?filter=${encodeURIComponent(filter)}`, 'fields');
  try {
    const [composites, overridden, expiring] = await Promise.all([
      pages(google, `${all}/indexes`, 'indexes'),
      fieldsBy('indexConfig.usesAncestorConfig:false'),
      fieldsBy('ttlConfig:*'),
    ]);
    const singles = overridden.flatMap(({ name, indexConfig }) => {
      const { indexes = [] } = (indexConfig ?? {}) as { indexes?: readonly Json[] };
      return indexes.map((index) => indexOf(name, index));
    });
    const inForce = expiring.filter(({ ttlConfig }) => (ttlConfig as Json | undefined)?.state === 'ACTIVE');
    return {
      indexes: [...composites.map((index) => indexOf(index.name, index)), ...singles],
      expiring: inForce.map(({ name }) => `${partAfter(name, 'collectionGroups')}.${partAfter(name, 'fields')}`),
    };
  } catch (error) {
    throw forbidden(error, 'roles/datastore.viewer');
  }
}

type Json = Readonly<Record<string, unknown>>;

function indexOf(name: unknown, { queryScope, fields, state }: Json): Index {
  return {
    collection: partAfter(name, 'collectionGroups'),
    scope: String(queryScope),
    fields: ((fields ?? []) as readonly Json[]).map(({ fieldPath, order, arrayConfig }) => [
      String(fieldPath),
      String(order ?? arrayConfig),
    ]),
    isReady: state === 'READY',
  };
}

function partAfter(name: unknown, word: string): string {
  const parts = String(name).split('/');
  return parts[parts.indexOf(word) + 1] ?? '';
}

/** Source: https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.timeSeries/list */
export async function lagOf(google: Google, patient: Patient, names: readonly string[]): Promise<Lag> {
  const { project, prefix } = patient;
  const now = Date.now();
  const query = new URLSearchParams({
    filter: 'metric.type = "pubsub.googleapis.com/subscription/oldest_unacked_message_age"',
    'interval.startTime': new Date(now - SAMPLES_MS).toISOString(),
    'interval.endTime': new Date(now).toISOString(),
  });
  try {
    const series = await pages(
      google,
      `https://monitoring.googleapis.com/v3/projects/${project}/timeSeries?${query}`,
      'timeSeries',
    );
    const ages = series.flatMap(({ resource, points }) => {
      const { labels } = (resource ?? {}) as { labels?: Json };
      const name = nameIn(prefix, String(labels?.subscription_id ?? ''));
      // The newest point comes first.
      const [{ value } = {}] = (points ?? []) as readonly { readonly value?: Json }[];
      return name === null || !names.includes(name) ? [] : [[name, Number(value?.int64Value ?? 0)] as const];
    });
    return Object.fromEntries(ages);
  } catch (error) {
    throw forbidden(error, 'roles/monitoring.viewer');
  }
}

/** All that a list of Google's has, page by page. */
async function pages(google: Google, url: string, member: string): Promise<readonly Json[]> {
  const found: Json[] = [];
  for (let token = ''; ; ) {
    const page = (await google(
      token === '' ? url : `${url}${url.includes('?') ? '&' : '?'}pageToken=${encodeURIComponent(token)}`,
    )) as Json;
    found.push(...((page[member] ?? []) as readonly Json[]));
    token = String(page.nextPageToken ?? '');
    if (token === '') return found;
  }
}

async function waitingOf(subscriber: GoogleSubscriber, name: string): Promise<Waiting> {
  const subscription = deadLetterTopic(name);
  const nobody = { subscriber: name, count: 0, isCut: false, reason: null };
  let pulled: Awaited<ReturnType<GoogleSubscriber['pull']>>;
  try {
    pulled = await subscriber.pull(subscription, MOST_WAITING);
  } catch (error) {
    if (codeOf(error) === CODE.NOT_FOUND) return nobody; // told of by another check
    throw forbidden(error, 'roles/pubsub.subscriber');
  }
  await subscriber.release(
    subscription,
    pulled.map(({ ackId }) => ackId),
  );
  const [first] = pulled.map((each) => deadLetterOf(name, each));
  if (first === undefined) return nobody;
  return {
    subscriber: name,
    count: pulled.length,
    isCut: pulled.length === MOST_WAITING,
    reason: visible(first.reason),
  };
}

/** A webhook of doctor's own, another each time. */
async function postCanary(ingestUrl: string, secret: string): Promise<Posted> {
  const created = new Date().toISOString();
  const data = { heron_id: CANARY_ID, run: randomUUID() };
  const body = Buffer.from(JSON.stringify({ topic: CANARY_TOPIC, created, data, meta: null }));
  const began = performance.now();
  const { status } = await post(ingestUrl, body, secret, '--ingest-url');
  return { status, milliseconds: Math.round(performance.now() - began), event_id: eventId(body), created };
}

/** Since it was sent, in milliseconds; null where it is not in the log within the time. */
async function readableAfter(
  where: { readonly url: string; readonly token?: string },
  { event_id, milliseconds }: Posted,
  patience: number,
): Promise<number | null> {
  const began = performance.now();
  const end = began + 1000 * patience;
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(LAST_PAUSE_MS, 1.5 * pause)) {
    const left = end - performance.now();
    try {
      await ask(where, `events/${event_id}`, isEvent, Math.ceil(Math.max(1_000, left)));
      return Math.round(performance.now() - began) + milliseconds;
    } catch (error) {
      const mayPass = error instanceof CommandFailed && ['event-unknown', 'unavailable'].includes(error.code);
      if (!mayPass) throw error;
      if (left <= 0 && error.code === 'event-unknown') return null;
      if (left <= 0) throw error;
    }
    await sleep(pause);
  }
}

function isEvent(body: unknown): body is EventAnswer {
  return isRecord(body) && typeof body.id === 'string' && typeof body.recorded_at === 'string';
}

function isStats(body: unknown): body is StatsAnswer {
  return isRecord(body) && isRecord(body.end_users) && isRecord(body.events);
}

function forbidden(error: unknown, role: string): unknown {
  if (codeOf(error) !== CODE.PERMISSION_DENIED) return error;
  return new Forbidden((error as Error).message, role, { cause: error });
}

/** Asks Google's APIs over HTTP as the application default credentials. Their errors get the codes of its other clients. */
export function googleOverHttp(timeoutMs = CALL_MS): Google {
  const client = once(async () => {
    const { GoogleAuth } = await import('google-auth-library');
    return new GoogleAuth({ scopes: 'https://www.googleapis.com/auth/cloud-platform' });
  });
  return async (url) => {
    const asking = (async () => (await client()).request({ url, responseType: 'json', retry: false }))();
    try {
      const { data } = await within(timeoutMs, asking, () => {
        throw Object.assign(new Error(`no answer within ${timeoutMs / 1000} s`), { code: CODE.DEADLINE_EXCEEDED });
      });
      return data;
    } catch (error) {
      const { status } = error as { status?: unknown };
      const code = { 401: CODE.UNAUTHENTICATED, 403: CODE.PERMISSION_DENIED, 404: CODE.NOT_FOUND }[Number(status)];
      throw code === undefined ? error : Object.assign(new Error((error as Error).message), { code });
    }
  };
}
