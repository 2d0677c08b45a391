import indexes from '../../infra/indexes.json' with { type: 'json' };
import { deadLetterTopic, replayTopic } from '../bus/topology.ts';
import { fingerprints, suspicions } from '../config.ts';
import { CANARY_ID, CANARY_TOPIC } from '../heron/canary.ts';
import { planOf, type Registration } from '../heron/registrations.ts';
import { DEPRECATED_TOPICS, HERON_TOPICS } from '../heron/topics.ts';
import { topologies } from '../local/running.ts';
import { counted } from './output.ts';

/**
 * What doctor looks at: a check asks for facts and judges them, and what it judges depends on nothing else.
 */

type Verdict = 'fine' | 'wrong' | 'unchecked';

export type Finding = {
  readonly verdict: Verdict;
  /** What was seen, or why nothing could be. */
  readonly detail: string;
  /** The command that mends it, or by which it can be checked. */
  readonly mend?: string;
  /** The same for programs. */
  readonly facts?: Readonly<Record<string, unknown>>;
};

/** What is examined, as far as verdicts and their commands depend on it. */
export type Patient = {
  readonly url: string;
  readonly ingestUrl: string;
  /** Empty where the environment does not say, or says nonsense. */
  readonly project: string;
  readonly prefix: string;
  readonly database: string;
  /** What npm start runs: neither Terraform nor gcloud has a part in it. */
  readonly isLocal: boolean;
  /** The file that the environment names for the secrets; null where it has them itself. */
  readonly secretFile: string | null;
  /** As they were given, for commands that work on the same. */
  readonly options: string;
};

/** A subscription of ours; names without prefix. */
export type SubscriptionFacts = {
  readonly name: string;
  /** Null where the topic is gone. */
  readonly topic: string | null;
  readonly isDetached: boolean;
  /** Whether it goes by itself once nobody uses it. */
  readonly expires: boolean;
  readonly filter: string;
  /** Null where it is not pushed. */
  readonly push: { readonly endpoint: string; readonly hasToken: boolean; readonly isWrapped: boolean } | null;
  readonly deadLetterTopic: string | null;
};

/** Topics and subscriptions of this environment, whoever's. */
export type Bus = { readonly topics: readonly string[]; readonly subscriptions: readonly SubscriptionFacts[] };

/** What Pub/Sub's own agent may not do, of what it needs for dead letters. */
export type Grants = { readonly looked: number; readonly missing: readonly { resource: string; role: string }[] };

export type Index = {
  readonly collection: string;
  readonly scope: string;
  readonly fields: readonly (readonly [path: string, order: string])[];
  readonly isReady: boolean;
};
export type Indexes = {
  readonly indexes: readonly Index[];
  /** `collection.field` of those that expire documents. */
  readonly expiring: readonly string[];
};

/** How old the oldest unacknowledged message of each subscription is that is pushed, in seconds. */
export type Lag = Readonly<Record<string, number>>;

export type Waiting = {
  readonly subscriber: string;
  readonly count: number;
  /** So many were looked at, and there may be more. */
  readonly isCut: boolean;
  readonly reason: string | null;
};

export type Registered = { readonly registrations: readonly Registration[]; readonly known: readonly string[] };

/** A canary's way in, one for each secret. */
export type Posted = {
  readonly status: number;
  readonly milliseconds: number;
  readonly event_id: string;
  /** RFC 3339. */
  readonly created: string;
};

export type Canary = {
  readonly posted: readonly Posted[];
  /** When query had it in the log, since it was sent; null where it had not within the time. */
  readonly readable: number | null;
  /** `last_event_at` of its state; null where there is none. */
  readonly state: string | null;
  readonly patience: number;
};

export type Answered = { readonly status: number; readonly isOurs: boolean };
export type Counts = { readonly endUsers: number; readonly events: number; readonly lastRecordedAt: string | null };

/** What can be asked. Each rejects where it cannot be, with an error that says why. */
export type Probe = {
  /** What is configured, in words. */
  config(): Promise<string>;
  query(): Promise<Counts>;
  /** How ingest answers who signs nothing. */
  unsigned(): Promise<Answered>;
  bus(): Promise<Bus>;
  grants(): Promise<Grants>;
  indexes(): Promise<Indexes>;
  lag(): Promise<Lag>;
  waiting(): Promise<readonly Waiting[]>;
  registrations(): Promise<Registered>;
  secrets(): readonly string[];
  canaries(): Promise<readonly Posted[]>;
  canary(): Promise<Canary>;
};

export type Check = {
  readonly name: string;
  /** Not answered within this, it counts as wrong. */
  readonly seconds: number;
  readonly examine: (probe: Probe, patient: Patient) => Promise<Finding>;
};

function check<F>(
  name: string,
  seconds: number,
  ask: (probe: Probe) => Promise<F>,
  judge: (facts: F, patient: Patient) => Finding,
): Check {
  return { name, seconds, examine: async (probe, patient) => judge(await ask(probe), patient) };
}

/** All of them, in the order in which they are told of. @param patience seconds that the canary may take. */
export function checks(patience: number): readonly Check[] {
  return [
    check(
      'config',
      20,
      (probe) => probe.config(),
      (detail) => fine(detail),
    ),
    check('query', 30, (probe) => probe.query(), judgeQuery),
    check('ingest', 15, (probe) => probe.unsigned(), judgeIngest),
    check('secret', 30, async (probe) => ({ secrets: probe.secrets(), posted: await probe.canaries() }), judgeSecret),
    check('registrations', 60, (probe) => probe.registrations(), judgeRegistrations),
    check('topics', 30, (probe) => probe.bus(), judgeTopics),
    check('subscriptions', 30, (probe) => probe.bus(), judgeSubscriptions),
    check('push', 30, (probe) => probe.bus(), judgePush),
    check('dead-lettering', 30, (probe) => probe.bus(), judgeDeadLettering),
    check('grants', 60, (probe) => probe.grants(), judgeGrants),
    check('indexes', 30, (probe) => probe.indexes(), judgeIndexes),
    check('lag', 30, (probe) => probe.lag(), judgeLag),
    check('dead-letters', 60, (probe) => probe.waiting(), judgeWaiting),
    check('canary', patience + 30, (probe) => probe.canary(), judgeCanary),
  ];
}

/** As Terraform and npm start make them for the projector. */
const [PROJECTOR = { topics: [], subscriptions: [] }] = topologies(0, []);
const PROJECTORS_NAME = 'projector';

function judgeQuery({ endUsers, events, lastRecordedAt }: Counts): Finding {
  const last = lastRecordedAt === null ? 'none recorded yet' : `the last recorded at ${lastRecordedAt}`;
  return fine(`answers: ${counted(endUsers, 'end user')}, ${counted(events, 'webhook')} within 24 hours, ${last}`);
}

function judgeIngest({ status, isOurs }: Answered, patient: Patient): Finding {
  const { ingestUrl, isLocal } = patient;
  if (status === 401 && isOurs) return fine('answers, and refuses what is not signed');
  if (status >= 200 && status < 300)
    return wrong(
      `${ingestUrl} takes what nobody signed (${status}): it is not ingest, or no longer ours`,
      isLocal ? 'npm start' : apply(patient),
    );
  if (status === 401 || status === 403)
    return wrong(
      `${ingestUrl} lets in only whom Google knows (${status}), and Heron has no Google account: see ingest_public`,
      apply(patient),
    );
  return wrong(`${ingestUrl} answers ${status}`, isLocal ? 'npm start' : logsOf('ingest', patient));
}

function judgeSecret(
  { secrets, posted }: { readonly secrets: readonly string[]; readonly posted: readonly Posted[] },
  patient: Patient,
): Finding {
  const of = (verifies: (status: number) => boolean) =>
    posted.flatMap(({ status }, i) => (verifies(status) ? [i + 1] : []));
  const [verified, refused] = [of((status) => status >= 200 && status < 300), of((status) => status === 401)];
  const facts = { secrets: secrets.length, verified, refused, fingerprints: fingerprints(secrets).split(', ') };
  const prints = `fingerprint${secrets.length === 1 ? '' : 's'} ${fingerprints(secrets)}`;
  if (refused.length > 0) {
    const odd = suspicions(secrets);
    const why = odd.length === 0 ? '' : `; ${odd.join('; ')}`;
    const which = `ingest takes ${verified.length === 0 ? 'none' : `only the ${ordinals(verified)}`} of your ${counted(secrets.length, 'secret')} (${prints}${why})`;
    const advice = patient.isLocal
      ? 'start it again where yours is set'
      : `if Heron signs with the ${ordinals(refused)}, add it to those that ingest has`;
    return { ...wrong(`${which}: ${advice}`, addSecret(patient)), facts };
  }
  if (verified.length < secrets.length)
    return { ...unchecked(`ingest answered ${posted.map(({ status }) => status).join(', ')}: see canary`), facts };
  const which =
    secrets.length === 1 ? 'ingest takes your secret' : `ingest takes all ${secrets.length} of your secrets`;
  return { ...fine(`${which} (${prints}); its log says by which of its own each webhook verified`), facts };
}

function ordinals(numbers: readonly number[]): string {
  const names = ['first', 'second', 'third', 'fourth', 'fifth'];
  return numbers.map((n) => names[n - 1] ?? `${n}th`).join(' and ');
}

function judgeRegistrations({ registrations, known }: Registered, { ingestUrl }: Patient): Finding {
  const wanted = known.filter((topic) => !DEPRECATED_TOPICS.includes(topic));
  const missing = planOf(registrations, wanted, ingestUrl, false)
    .filter(({ kind }) => kind !== 'keep')
    .map(({ topic }) => topic);
  const strange = known.filter((topic) => !HERON_TOPICS.includes(topic));
  const news =
    strange.length === 0
      ? ''
      : `; ${counted(strange.length, 'topic')} that Heron sends ${strange.length === 1 ? 'is' : 'are'} not in topics.json, and so unrouted: ${some(strange)}`;
  const facts = { missing, unknown: strange };
  if (missing.length === 0)
    return { ...fine(`Heron sends all of its ${counted(wanted.length, 'topic')} here${news}`), facts };
  const topics = missing.length === wanted.length ? '--all' : `--topics ${missing.map(word).join(' ')}`;
  return {
    ...wrong(
      `Heron does not send ${missing.length} of its ${wanted.length} topics here: ${some(missing)}${news}`,
      `npx heron webhooks register ${topics} --url ${word(ingestUrl)} --yes`,
    ),
    facts,
  };
}

function judgeTopics({ topics }: Bus, patient: Patient): Finding {
  const missing = PROJECTOR.topics.filter((topic) => !topics.includes(topic));
  const facts = { missing };
  if (missing.length === 0) return { ...fine(`all ${PROJECTOR.topics.length} are there`), facts };
  const heard = missing.filter((topic) => HERON_TOPICS.includes(topic));
  const meanwhile = heard.length === 0 ? '' : ': what is sent of them goes to unrouted';
  return {
    ...wrong(
      `${missing.length} of ${PROJECTOR.topics.length} are missing (${some(missing)})${meanwhile}`,
      apply(patient),
    ),
    facts,
  };
}

function judgeSubscriptions(bus: Bus, patient: Patient): Finding {
  const byName = new Map(bus.subscriptions.map((each) => [each.name, each]));
  const subscribers = subscribersIn(bus);
  const expected = [
    ...PROJECTOR.subscriptions,
    ...subscribers
      .filter((name) => name !== PROJECTORS_NAME)
      .flatMap((name) => [replayTopic(name), deadLetterTopic(name)].map((topic) => ({ name: topic, topic }))),
  ];
  const missing = expected.filter(({ name }) => !byName.has(name)).map(({ name }) => name);
  const ours = bus.subscriptions.filter((each) => subscribers.includes(ownerOf(each.name)));
  const flaws = ours.flatMap((each) => flawOf(each).map((flaw) => `${each.name} ${flaw}`));
  const strangers = bus.subscriptions
    .filter(({ name, topic }) => topic === CANARY_TOPIC && ownerOf(name) !== PROJECTORS_NAME)
    .map(({ name }) => name);
  const facts = { missing, flaws, strangers };
  if (missing.length > 0)
    return {
      ...wrong(
        `${missing.length} of ${expected.length} are missing (${some(missing)}): what comes meanwhile passes them by${patient.isLocal ? '' : ', and topics keep it for 7 days: gcloud pubsub subscriptions seek NAME --time=TIME brings it back'}`,
        apply(patient),
      ),
      facts,
    };
  if (flaws.length > 0) return { ...wrong(some(flaws), apply(patient)), facts };
  if (strangers.length > 0)
    return {
      ...wrong(
        `${some(strangers)} would hear doctor's canaries, which are the projector's alone`,
        patient.isLocal
          ? 'npm start'
          : `gcloud pubsub subscriptions delete ${strangers.map((name) => patient.prefix + name).join(' ')} --project=${patient.project}`,
      ),
      facts,
    };
  return { ...fine(`all ${ours.length} are there, each of its topic`), facts };
}

function flawOf({ name, topic, isDetached, expires, filter }: SubscriptionFacts): readonly string[] {
  const owner = ownerOf(name);
  const named = name === deadLetterTopic(owner) || name === replayTopic(owner) ? name : name.slice(owner.length + 1);
  return [
    ...(topic === null ? ['lost its topic, which was deleted'] : []),
    ...(topic !== null && topic !== named ? [`is of ${topic}`] : []),
    ...(isDetached ? ['is detached'] : []),
    ...(expires ? ['goes by itself when it is idle'] : []),
    ...(filter !== '' && (owner === PROJECTORS_NAME || name === replayTopic(owner))
      ? ['has a filter, and so loses messages']
      : []),
  ];
}

function judgePush(bus: Bus, patient: Patient): Finding {
  const subscribers = subscribersIn(bus);
  const pushed = bus.subscriptions.filter(
    ({ name }) => subscribers.includes(ownerOf(name)) && name !== deadLetterTopic(ownerOf(name)),
  );
  const projectors = pushed.filter(({ name }) => ownerOf(name) === PROJECTORS_NAME);
  if (projectors.length === 0) return unchecked('the projector has no subscription: see subscriptions');
  const endpoints = Map.groupBy(projectors, ({ push }) => push?.endpoint ?? '');
  const [[usual] = [''], ...others] = [...endpoints].sort(([a, x], [b, y]) => y.length - x.length || (a < b ? -1 : 1));
  const astray = others.flatMap(([, each]) => each.map(({ name }) => name));
  const flaws = [
    ...(usual === '' ? ['the projector is not pushed to: it gets nothing'] : []),
    ...(astray.length > 0 ? [`not pushed to ${usual || 'where the others are'}: ${some(astray)}`] : []),
    ...listing(
      'pushed without an identity token',
      patient.isLocal ? [] : pushed.filter(({ push }) => push && !push.hasToken),
    ),
    ...listing(
      'pushed unwrapped, which the projector does not read',
      projectors.filter(({ push }) => push && !push.isWrapped),
    ),
    ...subscribers
      .filter((owner) => owner !== PROJECTORS_NAME)
      .flatMap((owner) => {
        const own = pushed.filter(({ name }) => ownerOf(name) === owner);
        const pulled = own.filter(({ push }) => push === null);
        return pulled.length === own.length ? [] : listing(`not pushed, unlike others of ${owner}`, pulled);
      }),
  ];
  if (flaws.length > 0) return wrong(flaws.join('; '), apply(patient));
  return fine(`the projector is pushed to at ${usual}`);
}

function listing(what: string, found: readonly SubscriptionFacts[]): readonly string[] {
  return found.length === 0 ? [] : [`${what}: ${some(found.map(({ name }) => name))}`];
}

function judgeDeadLettering(bus: Bus, patient: Patient): Finding {
  const subscribers = subscribersIn(bus);
  const flaws = bus.subscriptions.flatMap(({ name, deadLetterTopic: target }) => {
    const owner = ownerOf(name);
    if (!subscribers.includes(owner) || name === deadLetterTopic(owner) || target === deadLetterTopic(owner)) return [];
    if (target === null && patient.isLocal) return []; // as npm start makes it: the emulator brings all again without end
    return [target === null ? `${name} has none` : `${name} has those of ${target}`];
  });
  const readable = (name: string) => bus.subscriptions.some((each) => each.name === deadLetterTopic(name));
  const lost = subscribers.filter((name) => !readable(name)).map((name) => `nobody can read ${deadLetterTopic(name)}`);
  if (flaws.length + lost.length > 0) return wrong(`${some([...lost, ...flaws])}`, apply(patient));
  if (patient.isLocal) return fine(`the dead letters of ${subscribers.join(', ')} can be read`);
  return fine(`each subscription of ${subscribers.join(', ')} has its dead letters`);
}

function judgeGrants({ looked, missing }: Grants, patient: Patient): Finding {
  if (missing.length === 0) return fine(`Pub/Sub may forward dead letters of all ${looked} subscriptions and topics`);
  return wrong(
    `Pub/Sub may not forward dead letters: it lacks ${some(missing.map(({ resource, role }) => `${role} on ${resource}`))}`,
    apply(patient),
  );
}

function judgeIndexes({ indexes: found, expiring }: Indexes, patient: Patient): Finding {
  const key = ({ collection, scope, fields }: Pick<Index, 'collection' | 'scope' | 'fields'>) =>
    `${collection} ${scope} ${fields
      .filter(([path]) => path !== '__name__')
      .map((field) => field.join(' '))
      .join(', ')}`;
  const ready = new Set(found.filter(({ isReady }) => isReady).map(key));
  const known = new Set(found.map(key));
  const wanted = indexes.map((each) => key(each as unknown as Index));
  const missing = wanted.filter((each) => !known.has(each));
  const building = wanted.filter((each) => known.has(each) && !ready.has(each));
  const kept = ['events.expires_at', 'body.expires_at'].filter((field) => !expiring.includes(field));
  const flaws = [
    ...(missing.length > 0 ? [`${missing.length} of ${wanted.length} are missing: ${some(missing)}`] : []),
    ...(kept.length > 0 ? [`nothing expires by ${some(kept)}`] : []),
  ];
  if (flaws.length > 0) return wrong(flaws.join('; '), apply(patient));
  if (building.length > 0)
    return wrong(
      `${building.length} of ${wanted.length} are still being built: ${some(building)}`,
      `gcloud firestore operations list --database=${JSON.stringify(patient.database)} --project=${patient.project}`,
    );
  return fine(`all ${wanted.length} are there, and what should expire does`);
}

/** The longest back-off: what waits for longer was refused each time, or nobody takes it. */
const LAG_SECONDS = 600;

function judgeLag(lag: Lag, patient: Patient): Finding {
  const found = Object.entries(lag).sort(([, a], [, b]) => b - a);
  if (found.length === 0) return unchecked('Monitoring has nothing of the last minutes');
  const [[, most] = ['', 0]] = found;
  const late = found.filter(([, seconds]) => seconds > LAG_SECONDS);
  const facts = { seconds: most };
  if (late.length === 0) return { ...fine(`the oldest message that waits to be pushed is ${most} s old`), facts };
  const [[worst] = ['']] = late;
  const isOurs = late.some(([name]) => ownerOf(name) === PROJECTORS_NAME);
  return {
    ...wrong(
      `messages wait for over ${LAG_SECONDS / 60} minutes: ${some(late.map(([name, seconds]) => `${name} for ${Math.round(seconds / 60)}`))}`,
      isOurs
        ? logsOf(PROJECTORS_NAME, patient)
        : `gcloud pubsub subscriptions describe ${patient.prefix}${worst} --project=${patient.project}`,
    ),
    facts,
  };
}

function judgeWaiting(waiting: readonly Waiting[], { options }: Patient): Finding {
  const found = waiting.filter(({ count }) => count > 0);
  const facts = Object.fromEntries(waiting.map(({ subscriber, count }) => [subscriber, count]));
  if (found.length === 0)
    return { ...fine(`none of ${waiting.map(({ subscriber }) => subscriber).join(', ')}`), facts };
  const told = found.map(
    ({ subscriber, count, isCut, reason }) =>
      `${isCut ? 'at least ' : ''}${count} of ${subscriber}${reason === null ? '' : ` (${reason})`}`,
  );
  const redrives = found.map(({ subscriber }) => {
    const whose = subscriber === PROJECTORS_NAME ? '' : ` --subscriber ${subscriber}`;
    return `npx heron dead-letters redrive --all${whose}${options}`;
  });
  return {
    ...wrong(
      `${told.join(', ')}: see why with heron dead-letters list; redriven they are tried again`,
      redrives.join(' && '),
    ),
    facts,
  };
}

function judgeCanary({ posted, readable, state, patience }: Canary, patient: Patient): Finding {
  const { isLocal, options } = patient;
  const taken = posted.find(({ status }) => status >= 200 && status < 300);
  if (taken === undefined) {
    const [first] = posted;
    if (posted.some(({ status }) => status === 401)) return unchecked('ingest takes none of your secrets: see secret');
    return wrong(
      `ingest answers ${first?.status}: ${first?.status === 503 ? 'Pub/Sub does not take it' : 'it is not kept'}`,
      isLocal ? 'npm start' : logsOf('ingest', patient),
    );
  }
  const { event_id, milliseconds, created } = taken;
  const facts = { event_id, answered_ms: milliseconds, readable_ms: readable };
  if (readable === null)
    return {
      ...wrong(
        `ingest has it, and query has it not after ${patience} s: it is on its way, or what is wrong stands above`,
        isLocal
          ? 'npm start'
          : `gcloud logging read 'jsonPayload.event_id="${event_id}"' --project=${patient.project} --freshness=1h`,
      ),
      facts,
    };
  if (state === null || Date.parse(state) < Date.parse(created))
    return {
      ...wrong('the log has it, and its state does not', `npx heron rebuild --end-user ${CANARY_ID}${options}`),
      facts,
    };
  return {
    ...fine(`went from ingest to its state in ${readable} ms, and was answered after ${milliseconds} ms`),
    facts,
  };
}

function fine(detail: string): Finding {
  return { verdict: 'fine', detail };
}

export function wrong(detail: string, mend: string): Finding {
  return { verdict: 'wrong', detail, mend };
}

export function unchecked(detail: string, mend?: string): Finding {
  return { verdict: 'unchecked', detail, ...(mend === undefined ? {} : { mend }) };
}

/** What makes all that Terraform, or npm start in its place, makes. */
function apply({ isLocal, project, prefix }: Patient): string {
  if (isLocal) return 'npm start';
  return `terraform -chdir=infra apply -var project_id=${project}${prefix === '' ? '' : ` -var prefix=${prefix}`}`;
}

/** Why a function does not do what it should. */
export function logsOf(name: string, { isLocal, project, prefix }: Patient): string {
  if (isLocal) return 'npm start';
  return `gcloud logging read 'resource.labels.service_name="${prefix}${name}" severity>=WARNING' --project=${project} --freshness=1h --limit=20`;
}

/** Beside those that are there: one that is put in their place may lock Heron out. */
function addSecret({ isLocal, project, prefix, secretFile }: Patient): string {
  if (isLocal) return 'npm start';
  const secret = `${prefix}heron-shared-secret`;
  const yours = secretFile === null ? 'printf %s "$HERON_SHARED_SECRET"' : `cat ${word(secretFile)}`;
  return `{ gcloud secrets versions access latest --secret=${secret} --project=${project}; echo; ${yours}; } | gcloud secrets versions add ${secret} --project=${project} --data-file=-`;
}

/** As a word of a shell's line, whatever it has. */
export function word(text: string): string {
  return /^[\w.,:/@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** All who have dead letters or replays. */
export function subscribersIn({ topics, subscriptions }: Bus): readonly string[] {
  const names = [...topics, ...subscriptions.map(({ name }) => name)].flatMap((name) =>
    [deadLetterTopic(''), replayTopic('')].flatMap((start) =>
      name.startsWith(start) ? [name.slice(start.length)] : [],
    ),
  );
  return [...new Set(names)].sort();
}

/** Whose it is, by its name. */
export function ownerOf(subscription: string): string {
  for (const start of [deadLetterTopic(''), replayTopic('')])
    if (subscription.startsWith(start)) return subscription.slice(start.length);
  return subscription.split('.', 1)[0] ?? '';
}

const MOST_NAMED = 4;

function some(names: readonly string[]): string {
  const rest = names.length - MOST_NAMED;
  return `${names.slice(0, MOST_NAMED).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}
