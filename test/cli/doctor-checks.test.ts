import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { deadLetterTopic, topology } from '../../functions/bus/topology.ts';
import { examine } from '../../functions/cli/doctor.ts';
import {
  type Bus,
  type Canary,
  type Check,
  checks,
  type Finding,
  type Patient,
  type Posted,
  type Probe,
  type SubscriptionFacts,
} from '../../functions/cli/doctor-checks.ts';
import { Forbidden, grantsOf, lagOf, NotAskable, probeOf } from '../../functions/cli/doctor-probe.ts';
import { CommandFailed } from '../../functions/cli/failure.ts';
import { ConfigError } from '../../functions/config.ts';
import { CODE } from '../../functions/grpc.ts';
import { HERON_TOPICS } from '../../functions/heron/topics.ts';
import indexes from '../../infra/indexes.json' with { type: 'json' };
import { heron } from '../end-to-end/local.ts';
import { callsOf, gcloudCommands, unknownTo } from './shell.ts';

const GOOGLE: Patient = {
  url: 'https://query.example/',
  ingestUrl: 'https://ingest.example/',
  project: 'my-project',
  prefix: '',
  database: '(default)',
  isLocal: false,
  secretFile: null,
  options: ' --project my-project',
};
const LOCAL: Patient = { ...GOOGLE, url: 'http://localhost:8081/', ingestUrl: 'http://localhost:8080/', isLocal: true };

/** What Terraform makes: the projector, and a service that is pushed to two topics. */
function healthyBus(): Bus {
  const push = { endpoint: 'https://projector.example/', hasToken: true, isWrapped: true };
  const of = (name: string, topic: string, owner: string, how: SubscriptionFacts['push']): SubscriptionFacts => ({
    name,
    topic,
    isDetached: false,
    expires: false,
    filter: '',
    push: name === deadLetterTopic(owner) ? null : how,
    deadLetterTopic: name === deadLetterTopic(owner) ? null : deadLetterTopic(owner),
  });
  const projector = topology('projector', '');
  const mailer = topology('mailer', '', { sources: ['end_user.processed', 'end_user.failed'] });
  const unwrapped = { endpoint: 'https://mailer.example/', hasToken: true, isWrapped: false };
  return {
    topics: [...new Set([...projector.topics, ...mailer.topics])],
    subscriptions: [
      ...projector.subscriptions.map(({ name, topic }) => of(name, topic, 'projector', push)),
      ...mailer.subscriptions.map(({ name, topic }) => of(name, topic, 'mailer', unwrapped)),
    ],
  };
}

/** The same, but for one subscription; null takes it away. */
function busBut(name: string, change: Partial<SubscriptionFacts> | null): Bus {
  const { topics, subscriptions } = healthyBus();
  expect(subscriptions.map((each) => each.name)).toContain(name);
  return {
    topics,
    subscriptions: subscriptions.flatMap((each) =>
      each.name !== name ? [each] : change ? [{ ...each, ...change }] : [],
    ),
  };
}

const POSTED: Posted = { status: 200, milliseconds: 12, event_id: 'a'.repeat(64), created: '2026-11-25T12:00:00.000Z' };
const CANARY: Canary = { posted: [POSTED], readable: 80, state: '2026-11-25T12:00:00.000000Z', patience: 60 };

const INDEXES = {
  indexes: indexes.map(({ collection, scope, fields }) => ({
    collection,
    scope,
    fields: [...(fields as [string, string][]), ['__name__', 'ASCENDING'] as [string, string]],
    isReady: true,
  })),
  expiring: ['events.expires_at', 'body.expires_at'],
};

function probe(change: Partial<Probe> = {}): Probe {
  return {
    config: async () => 'all set',
    query: async () => ({ endUsers: 1, events: 2, lastRecordedAt: null }),
    unsigned: async () => ({ status: 401, isOurs: true }),
    bus: async () => healthyBus(),
    grants: async () => ({ looked: 3, missing: [] }),
    indexes: async () => INDEXES,
    lag: async () => ({ 'projector.end_user.processed': 3 }),
    waiting: async () => [{ subscriber: 'projector', count: 0, isCut: false, reason: null }],
    registrations: async () => ({ registrations: HERON_TOPICS.map(registered), known: HERON_TOPICS }),
    secrets: () => ['sec_a'],
    canaries: async () => [POSTED],
    canary: async () => CANARY,
    ...change,
  };
}

function registered(topic: string, n = 0) {
  return { heron_id: `wbh_${n}`, topic, url: 'https://ingest.example', is_enabled: true };
}

async function examined(change: Partial<Probe>, patient = GOOGLE): Promise<Record<string, Finding>> {
  const all = checks(60);
  const found = await Promise.all(examine(all, probe(change), patient));
  return Object.fromEntries(found.map((finding) => [finding.check, finding]));
}

it('a deployment that is as it should be is fine in each check', async () => {
  const found = await examined({});
  expect(Object.values(found).map(({ verdict }) => verdict)).toEqual(checks(60).map(() => 'fine'));
});

const APPLY = 'terraform -chdir=infra apply -var project_id=my-project';
const LOGS = (name: string) =>
  `gcloud logging read 'resource.labels.service_name="${name}" severity>=WARNING' --project=my-project --freshness=1h --limit=20`;

/** What is wrong, in which check it is found (and in no other), what is said and what mends it. */
const BROKEN: readonly (readonly [string, string, Partial<Probe>, RegExp, string])[] = [
  [
    'something that takes what nobody signed',
    'ingest',
    { unsigned: async () => ({ status: 200, isOurs: false }) },
    /takes what nobody signed/,
    APPLY,
  ],
  [
    'ingest behind IAM',
    'ingest',
    { unsigned: async () => ({ status: 403, isOurs: false }) },
    /only whom Google knows/,
    APPLY,
  ],
  [
    'a 401 that is not of ingest',
    'ingest',
    { unsigned: async () => ({ status: 401, isOurs: false }) },
    /only whom Google knows/,
    APPLY,
  ],
  [
    'ingest that answers 500',
    'ingest',
    { unsigned: async () => ({ status: 500, isOurs: true }) },
    /answers 500/,
    LOGS('ingest'),
  ],
  [
    'a topic that is missing',
    'topics',
    {
      bus: async () => ({
        ...healthyBus(),
        topics: healthyBus().topics.filter((topic) => topic !== 'end_user.failed'),
      }),
    },
    /1 of 48 are missing \(end_user\.failed\)/,
    APPLY,
  ],
  [
    'a subscription of the projector that is missing',
    'subscriptions',
    { bus: async () => busBut('projector.pdf.processed', null) },
    /projector\.pdf\.processed\).*seek NAME --time=TIME brings it back/,
    APPLY,
  ],
  [
    'a service without its replays',
    'subscriptions',
    { bus: async () => busBut('replay.mailer', null) },
    /replay\.mailer/,
    APPLY,
  ],
  [
    'a subscription whose topic was deleted',
    'subscriptions',
    { bus: async () => busBut('mailer.end_user.failed', { topic: null }) },
    /mailer\.end_user\.failed lost its topic/,
    APPLY,
  ],
  [
    'a subscription of another topic',
    'subscriptions',
    { bus: async () => busBut('projector.unrouted', { topic: 'pdf.failed' }) },
    /projector\.unrouted is of pdf\.failed/,
    APPLY,
  ],
  [
    'a subscription that is detached',
    'subscriptions',
    { bus: async () => busBut('projector.unrouted', { isDetached: true }) },
    /is detached/,
    APPLY,
  ],
  [
    'a subscription that expires',
    'subscriptions',
    { bus: async () => busBut('replay.projector', { expires: true }) },
    /goes by itself/,
    APPLY,
  ],
  [
    'a filter on replays',
    'subscriptions',
    { bus: async () => busBut('replay.mailer', { filter: 'x' }) },
    /replay\.mailer has a filter/,
    APPLY,
  ],
  [
    'another who hears the canary',
    'subscriptions',
    {
      bus: async () => {
        const bus = healthyBus();
        const [first] = bus.subscriptions;
        return {
          ...bus,
          subscriptions: [
            ...bus.subscriptions,
            { ...(first as SubscriptionFacts), name: 'spy.doctor.canary', topic: 'doctor.canary' },
          ],
        };
      },
    },
    /spy\.doctor\.canary would hear/,
    'gcloud pubsub subscriptions delete spy.doctor.canary --project=my-project',
  ],
  [
    'a push elsewhere',
    'push',
    {
      bus: async () =>
        busBut('projector.unrouted', { push: { endpoint: 'https://x.example/', hasToken: true, isWrapped: true } }),
    },
    /not pushed to https:\/\/projector\.example\/: projector\.unrouted/,
    APPLY,
  ],
  [
    'a push that ended',
    'push',
    { bus: async () => busBut('projector.unrouted', { push: null }) },
    /projector\.unrouted/,
    APPLY,
  ],
  [
    'a push of a service that ended',
    'push',
    { bus: async () => busBut('mailer.end_user.failed', { push: null }) },
    /unlike others of mailer: mailer\.end_user\.failed/,
    APPLY,
  ],
  [
    'a push without a token',
    'push',
    {
      bus: async () =>
        busBut('mailer.end_user.failed', {
          push: { endpoint: 'https://mailer.example/', hasToken: false, isWrapped: false },
        }),
    },
    /without an identity token: mailer\.end_user\.failed/,
    APPLY,
  ],
  [
    'a push unwrapped',
    'push',
    {
      bus: async () =>
        busBut('projector.unrouted', {
          push: { endpoint: 'https://projector.example/', hasToken: true, isWrapped: false },
        }),
    },
    /unwrapped.*projector\.unrouted/,
    APPLY,
  ],
  [
    'a subscription without dead letters',
    'dead-lettering',
    { bus: async () => busBut('mailer.end_user.failed', { deadLetterTopic: null }) },
    /mailer\.end_user\.failed has none/,
    APPLY,
  ],
  [
    'a subscription with another’s dead letters',
    'dead-lettering',
    { bus: async () => busBut('mailer.end_user.failed', { deadLetterTopic: 'dead-letter.projector' }) },
    /has those of dead-letter\.projector/,
    APPLY,
  ],
  [
    'a grant that is missing',
    'grants',
    {
      grants: async () => ({
        looked: 3,
        missing: [{ resource: 'projector.unrouted', role: 'roles/pubsub.subscriber' }],
      }),
    },
    /lacks roles\/pubsub\.subscriber on projector\.unrouted/,
    APPLY,
  ],
  [
    'an index that is missing',
    'indexes',
    { indexes: async () => ({ ...INDEXES, indexes: INDEXES.indexes.slice(1) }) },
    /1 of 12 are missing: body COLLECTION_GROUP end_user_id ASCENDING/,
    APPLY,
  ],
  [
    'events that do not expire',
    'indexes',
    { indexes: async () => ({ ...INDEXES, expiring: ['body.expires_at'] }) },
    /nothing expires by events\.expires_at/,
    APPLY,
  ],
  [
    'an index that is being built',
    'indexes',
    { indexes: async () => ({ ...INDEXES, indexes: INDEXES.indexes.map((each, i) => ({ ...each, isReady: i > 0 })) }) },
    /1 of 12 are still being built/,
    'gcloud firestore operations list --database="(default)" --project=my-project',
  ],
  [
    'messages that wait',
    'lag',
    { lag: async () => ({ 'projector.unrouted': 601, 'mailer.x': 20 }) },
    /projector\.unrouted for 10/,
    LOGS('projector'),
  ],
  [
    'a service for which messages wait',
    'lag',
    { lag: async () => ({ 'projector.unrouted': 600, 'mailer.end_user.failed': 1_200 }) },
    /mailer\.end_user\.failed for 20/,
    'gcloud pubsub subscriptions describe mailer.end_user.failed --project=my-project',
  ],
  [
    'dead letters',
    'dead-letters',
    {
      waiting: async () => [
        { subscriber: 'mailer', count: 100, isCut: true, reason: 'no such mailbox' },
        { subscriber: 'projector', count: 1, isCut: false, reason: null },
      ],
    },
    /at least 100 of mailer \(no such mailbox\), 1 of projector/,
    'npx heron dead-letters redrive --all --subscriber mailer --project my-project && npx heron dead-letters redrive --all --project my-project',
  ],
  [
    'topics that Heron does not send',
    'registrations',
    {
      registrations: async () => ({
        registrations: ['end_user.processed', 'pdf.failed'].map(registered),
        known: ['end_user.processed', 'end_user.failed', 'end_user.transactions_updated'],
      }),
    },
    /does not send 1 of its 2 topics here: end_user\.failed/,
    'npx heron webhooks register --topics end_user.failed --url https://ingest.example/ --yes',
  ],
  [
    'nothing that Heron sends',
    'registrations',
    {
      registrations: async () => ({
        registrations: [{ ...registered('end_user.processed'), is_enabled: false }],
        known: ['end_user.processed'],
      }),
    },
    /does not send 1 of its 1 topics here/,
    'npx heron webhooks register --all --url https://ingest.example/ --yes',
  ],
  [
    'a secret that ingest does not take',
    'secret',
    { secrets: () => ['sec_a', '"sec_b"'], canaries: async () => [POSTED, { ...POSTED, status: 401 }] },
    /takes only the first of your 2 secrets .*secret 2 of 2 has quotes.*if Heron signs with the second/,
    '{ gcloud secrets versions access latest --secret=heron-shared-secret --project=my-project; echo; printf %s "$HERON_SHARED_SECRET"; } | gcloud secrets versions add heron-shared-secret --project=my-project --data-file=-',
  ],
  [
    'a canary that does not arrive',
    'canary',
    { canary: async () => ({ ...CANARY, readable: null, state: null }) },
    /query has it not after 60 s/,
    `gcloud logging read 'jsonPayload.event_id="${'a'.repeat(64)}"' --project=my-project --freshness=1h`,
  ],
  [
    'a canary that is recorded and not folded',
    'canary',
    { canary: async () => ({ ...CANARY, state: '2026-11-25T11:59:59Z' }) },
    /its state does not/,
    'npx heron rebuild --end-user eus_canary --project my-project',
  ],
  [
    'a canary that ingest cannot keep',
    'canary',
    { canary: async () => ({ ...CANARY, posted: [{ ...POSTED, status: 503 }], readable: null }) },
    /answers 503: Pub\/Sub/,
    LOGS('ingest'),
  ],
];

describe('what is broken in Google Cloud is found by its check alone, with what mends it', () => {
  it.each(BROKEN)('%s', async (_, check, change, detail, mend) => {
    const found = await examined(change);
    expect(found[check]).toMatchObject({ verdict: 'wrong', detail: expect.stringMatching(detail), mend });
    const others = Object.entries(found).filter(([name, { verdict }]) => name !== check && verdict !== 'fine');
    expect(others).toEqual([]);
  });

  it('with a prefix, its commands work on what has it', async () => {
    const staging = { ...GOOGLE, prefix: 'staging-' };
    const missing = await examined({ bus: async () => busBut('projector.unrouted', null) }, staging);
    expect(missing.subscriptions?.mend).toBe(`${APPLY} -var prefix=staging-`);
    const refused = await examined({ canaries: async () => [{ ...POSTED, status: 401 }] }, staging);
    expect(refused.secret?.mend).toContain('--secret=staging-heron-shared-secret');
  });
});

describe('each command that mends', () => {
  const gcloud = gcloudCommands();
  const helps = new Map<string, Promise<string>>();
  const helpOf = (words: readonly string[]): Promise<string> => {
    const key = words.join(' ');
    const help = helps.get(key) ?? heron([...words, '--help']).then(({ stdout }) => stdout);
    helps.set(key, help);
    return help;
  };
  /** What is wrong with a call, so far as it can be told without a Google Cloud. */
  const faultsOf = async ([program, ...words]: readonly string[]): Promise<readonly string[]> => {
    switch (program) {
      case 'gcloud':
        return gcloud === null ? [] : unknownTo(gcloud, words);
      case 'terraform': {
        const [, ...variables] = words.join(' ').split(' -var ');
        const known = [...readFileSync('infra/variables.tf', 'utf8').matchAll(/^variable "(\w+)"/gm)].map(
          ([, name]) => name,
        );
        expect(words.slice(0, 2)).toEqual(['-chdir=infra', 'apply']);
        return variables.filter((each) => !known.includes(each.split('=')[0]));
      }
      case 'npx': {
        const flags = words.filter((word) => word.startsWith('--'));
        const end = words.findIndex((word) => word.startsWith('--'));
        const help = await helpOf(words.slice(1, end === -1 ? undefined : end));
        return [...(words[0] === 'heron' ? [] : words), ...flags.filter((flag) => !help.includes(` ${flag}`))];
      }
      case 'npm':
        return words.join(' ') === 'start' ? [] : words;
      default:
        return []; // cat
    }
  };
  const patients: readonly Patient[] = [
    GOOGLE,
    LOCAL,
    { ...GOOGLE, prefix: 'staging-', database: 'staging-heron', options: '' },
    { ...GOOGLE, ingestUrl: 'https://ingest.example/?a=1&b=$(c)', secretFile: "/run/Heron's secret" },
  ];
  const cannot: readonly Error[] = [
    new NotAskable('in memory', 'PUBSUB_EMULATOR_HOST=HOST:PORT npx heron doctor'),
    new Forbidden('no', 'roles/datastore.viewer'),
    new ConfigError('GOOGLE_CLOUD_PROJECT is not set'),
    new ConfigError('TOPIC_PREFIX is no prefix'),
    new Error('Could not load the default credentials'),
    new CommandFailed('Nothing answers', 'unreachable'),
    Object.assign(new Error('no'), { code: CODE.UNAVAILABLE }),
  ];
  const hostile = async () => ({ registrations: [], known: ['end_user.processed', "a'; touch x; '$(b)"] });
  const broken: readonly (readonly [string, Partial<Probe>])[] = [
    ...BROKEN.map(([name, , change]) => [name, change] as const),
    ...cannot.map((error) => {
      const refuse = () => {
        throw error;
      };
      const refusing = Object.keys(probe()).map((name) => [name, refuse]);
      return [`${error}`, Object.fromEntries(refusing) as Partial<Probe>] as const;
    }),
    ['a topic that no shell should see', { registrations: hostile }],
    [
      'and one that is there',
      { registrations: async () => ({ ...(await hostile()), registrations: [registered('end_user.processed')] }) },
    ],
  ];

  it.each(broken)('is one that its program takes: %s', async (_, change) => {
    for (const patient of patients) {
      const found = await examined(change, patient);
      const mends = new Set(Object.values(found).flatMap(({ mend }) => mend ?? []));
      expect(mends.size).toBeGreaterThan(0);
      for (const mend of mends) {
        const calls = callsOf(mend, ['gcloud', 'terraform', 'npx', 'npm', 'cat']);
        if (!/^(un|ex)port |^unset /.test(mend)) expect(calls).not.toEqual([]);
        expect((await Promise.all(calls.map(faultsOf))).flat(), mend).toEqual([]);
      }
    }
  });

  it.skipIf(gcloud === null)('would be found by this if it were none', () => {
    const unknown = (line: string) =>
      callsOf(line, ['gcloud']).flatMap(([, ...words]) => unknownTo(gcloud as never, words));
    expect(unknown('gcloud pubsub subscriptions delete a b --project=p')).toEqual([]);
    expect(unknown('gcloud pubsub subscriptions seek NAME --time=TIME')).toEqual([]);
    expect(unknown('gcloud pubsub subscription delete a')).toEqual(['pubsub subscription is no command']);
    expect(unknown('gcloud logging read x --since=1h --limit --freshness=1h')).toEqual([
      'logging read takes no --since=1h',
      'logging read takes no --limit',
    ]);
  });

  it('hands what comes from outside over as words, and your own secret wherever it is', async () => {
    const { registrations } = await examined({ registrations: hostile }, GOOGLE);
    expect(callsOf(registrations?.mend ?? '', ['npx'])).toEqual([
      ['npx', 'heron', 'webhooks', 'register', '--all', '--url', 'https://ingest.example/', '--yes'],
    ]);
    const some = {
      registrations: async () => ({ ...(await hostile()), registrations: [registered('end_user.processed')] }),
    };
    const others = await examined(some, GOOGLE);
    expect(callsOf(others.registrations?.mend ?? '', ['npx'])[0]?.slice(4, 6)).toEqual([
      '--topics',
      "a'; touch x; '$(b)",
    ]);
    const refused = { canaries: async () => [{ ...POSTED, status: 401 }] };
    const { secret } = await examined(refused, { ...GOOGLE, secretFile: "/run/Heron's secret" });
    expect(callsOf(secret?.mend ?? '', ['gcloud', 'cat'])).toContainEqual(['cat', "/run/Heron's secret"]);
  });
});

describe('what is broken under npm start is mended by starting it again', () => {
  const its = new Set(['ingest', 'topics', 'subscriptions', 'push', 'dead-lettering']);
  const production = /token|has none/; // neither is there under npm start
  const ours = BROKEN.filter(([, check, , detail]) => its.has(check) && !production.test(String(detail)));
  it.each(ours)('%s', async (_, check, change) => {
    expect((await examined(change, LOCAL))[check]).toMatchObject({ verdict: 'wrong', mend: 'npm start' });
  });

  it('that nothing is dead-lettered by its emulator is as it should be', async () => {
    const { topics, subscriptions } = healthyBus();
    const bus = { topics, subscriptions: subscriptions.map((each) => ({ ...each, deadLetterTopic: null })) };
    expect((await examined({ bus: async () => bus }, LOCAL))['dead-lettering']).toMatchObject({
      verdict: 'fine',
      detail: 'the dead letters of mailer, projector can be read',
    });
  });
});

describe('what cannot be told is neither fine nor wrong', () => {
  it.each<[string, Error, RegExp, string | undefined]>([
    ['nobody can ask', new NotAskable('no key'), /^no key$/, undefined],
    [
      'Google refuses who asks',
      new Forbidden('no', 'roles/x'),
      /needs roles\/x/,
      'gcloud projects add-iam-policy-binding my-project --member="user:$(gcloud config get account)" --role=roles/x',
    ],
    ['the query API refuses who asks', new CommandFailed('not you', 'permission-denied'), /^not you$/, undefined],
    ['the configuration is wrong', new ConfigError('X_Y is not set'), /see config/, undefined],
    [
      'there are no credentials',
      Object.assign(new Error('Could not load the default credentials'), {}),
      /no credentials/,
      undefined,
    ],
  ])('%s', async (_, error, detail, mend) => {
    const { lag } = await examined({ lag: () => Promise.reject(error) });
    expect(lag).toMatchObject({ verdict: 'unchecked', detail: expect.stringMatching(detail) });
    expect(lag?.mend).toBe(mend);
  });

  it('that ingest takes none of the secrets says nothing of the way behind it', async () => {
    const posted = [{ ...POSTED, status: 401 }];
    const found = await examined({
      canaries: async () => posted,
      canary: async () => ({ ...CANARY, posted, readable: null }),
    });
    expect(found).toMatchObject({ secret: { verdict: 'wrong' }, canary: { verdict: 'unchecked' } });
  });

  it('that ingest is out of order says nothing of the secrets', async () => {
    const found = await examined({ canaries: async () => [{ ...POSTED, status: 503 }] });
    expect(found.secret).toMatchObject({ verdict: 'unchecked', detail: expect.stringMatching(/503/) });
  });

  it('Monitoring has no samples', async () => {
    expect((await examined({ lag: async () => ({}) })).lag?.verdict).toBe('unchecked');
  });
});

describe('config', () => {
  it.each([
    ['GOOGLE_CLOUD_PROJECT is not set: set it.', 'export GOOGLE_CLOUD_PROJECT=…'],
    ['TOPIC_PREFIX cannot start a topic’s name.', 'unset TOPIC_PREFIX'],
    ['HERON_SHARED_SECRET and HERON_SHARED_SECRET_FILE are both set.', 'unset HERON_SHARED_SECRET'],
  ])('is wrong where a variable is: %s', async (message, mend) => {
    const { config } = await examined({ config: () => Promise.reject(new ConfigError(message)) });
    expect(config).toMatchObject({ verdict: 'wrong', detail: message, mend });
  });

  it('is wrong without credentials', async () => {
    const { config } = await examined({
      config: () => Promise.reject(new Error('Could not load the default credentials.')),
    });
    expect(config).toMatchObject({ verdict: 'wrong', mend: 'gcloud auth application-default login' });
  });
});

describe('one check', () => {
  const all = (seconds: number, examineOne: () => Promise<Finding>): Check[] => [
    { name: 'first', seconds, examine: examineOne },
    { name: 'second', seconds, examine: async () => ({ verdict: 'fine', detail: 'here' }) },
  ];

  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it.each([
    [9_999, 'fine'],
    [10_001, 'wrong'],
  ])('that answers after %i of its 10 s is %s', async (milliseconds, verdict) => {
    const slow = () =>
      new Promise<Finding>((resolve) => setTimeout(() => resolve({ verdict: 'fine', detail: 'late' }), milliseconds));
    const [first] = examine(all(10, slow), probe(), GOOGLE, () => 0);
    await vi.advanceTimersByTimeAsync(milliseconds + 1);
    expect((await first)?.verdict).toBe(verdict);
  });

  it.each<[string, () => Promise<Finding>, RegExp]>([
    ['that hangs', () => new Promise(() => {}), /no answer within 10 s/],
    [
      'that is refused',
      () => Promise.reject(Object.assign(new Error('down'), { code: CODE.UNAVAILABLE, details: 'down' })),
      /cannot be asked \(down\)/,
    ],
    ['with a fault of ours', () => Promise.reject(new TypeError('oops')), /A fault of this program: oops/],
  ])('%s is wrong and holds up no other', async (_, examineOne, detail) => {
    const [first, second] = examine(all(10, examineOne), probe(), GOOGLE, () => 0);
    expect(await second).toMatchObject({ check: 'second', verdict: 'fine' });
    await vi.advanceTimersByTimeAsync(10_001);
    expect(await first).toMatchObject({ check: 'first', verdict: 'wrong', detail: expect.stringMatching(detail) });
  });
});

describe('Google’s answers', () => {
  const asked: string[] = [];
  const google = (answers: Readonly<Record<string, unknown>>) => async (url: string) => {
    asked.push(url);
    const found = Object.entries(answers).find(([part]) => url.includes(part));
    if (found === undefined) throw new Error(`nothing is known of ${url}`);
    if (found[1] instanceof Error) throw found[1];
    return found[1];
  };
  const asking = (answers: Readonly<Record<string, unknown>>, env = {}) => {
    asked.length = 0;
    const reached = {
      env: { GOOGLE_CLOUD_PROJECT: 'my-project', ...env },
      patient: GOOGLE,
      token: undefined,
      patience: 1,
    };
    return probeOf({ ...reached, google: google(answers) });
  };
  const path = 'projects/my-project/databases/(default)/collectionGroups';

  it('tell of indexes, single fields and expiry, page by page', async () => {
    const composite = (id: string) => ({
      name: `${path}/events/indexes/${id}`,
      queryScope: 'COLLECTION',
      fields: [{ fieldPath: 'topic', order: 'DESCENDING' }],
      state: id === 'a' ? 'READY' : 'CREATING',
    });
    const single = {
      queryScope: 'COLLECTION',
      fields: [{ fieldPath: 'ids', arrayConfig: 'CONTAINS' }],
      state: 'READY',
    };
    const found = await asking({
      'pageToken=t%2F1': { indexes: [composite('b')] },
      '/indexes': { indexes: [composite('a')], nextPageToken: 't/1' },
      usesAncestorConfig: {
        fields: [
          { name: `${path}/end_users/fields/ids`, indexConfig: { indexes: [single] } },
          { name: `${path}/body/fields/*`, indexConfig: {} },
        ],
      },
      ttlConfig: {
        fields: [
          { name: `${path}/events/fields/expires_at`, ttlConfig: { state: 'ACTIVE' } },
          { name: `${path}/body/fields/expires_at`, ttlConfig: { state: 'CREATING' } },
        ],
      },
    }).indexes();
    expect(found).toEqual({
      indexes: [
        { collection: 'events', scope: 'COLLECTION', fields: [['topic', 'DESCENDING']], isReady: true },
        { collection: 'events', scope: 'COLLECTION', fields: [['topic', 'DESCENDING']], isReady: false },
        { collection: 'end_users', scope: 'COLLECTION', fields: [['ids', 'CONTAINS']], isReady: true },
      ],
      expiring: ['events.expires_at'],
    });
    expect(asked[0]).toBe(
      'https://firestore.googleapis.com/v1/projects/my-project/databases/(default)/collectionGroups/-/indexes',
    );
  });

  it('tell what Pub/Sub’s own agent may do, and whose account it is', async () => {
    const agent = 'serviceAccount:service-123@gcp-sa-pubsub.iam.gserviceaccount.com';
    const policies: Record<string, unknown> = {
      'topics/a-dead-letter.mailer:getIamPolicy': {
        bindings: [{ role: 'roles/pubsub.publisher', members: ['user:x', agent] }],
      },
      'topics/a-dead-letter.projector:': { bindings: [{ role: 'roles/pubsub.publisher', members: ['user:x'] }] },
      'subscriptions/a-replay.mailer:': { bindings: [{ role: 'roles/pubsub.viewer', members: [agent] }] },
      'subscriptions/a-projector.unrouted:': {},
      'subscriptions/': { bindings: [{ role: 'roles/pubsub.subscriber', members: [agent] }] },
    };
    const { looked, missing } = await grantsOf(google(policies), healthyBus(), { ...GOOGLE, prefix: 'a-' });
    const pushed = healthyBus().subscriptions.filter(({ push }) => push !== null);
    expect(looked).toBe(pushed.length + 2);
    expect(missing.map(({ resource, role }) => `${role} on ${resource}`).sort()).toEqual([
      'roles/pubsub.publisher on a-dead-letter.projector',
      'roles/pubsub.subscriber on a-projector.unrouted',
      'roles/pubsub.subscriber on a-replay.mailer',
    ]);
  });

  it('tell how old the oldest message of each of our subscriptions is, and of no others', async () => {
    const series = (subscription_id: string, ...ages: number[]) => ({
      resource: { labels: { subscription_id } },
      points: ages.map((age) => ({ value: { int64Value: String(age) } })),
    });
    const timeSeries = [
      series('a-projector.end_user.failed', 70, 10),
      series('a-replay.mailer', 5),
      series('a-dead-letter.mailer', 90_000),
      series('projector.end_user.failed', 900),
      series('a-stranger.x', 800),
    ];
    asked.length = 0;
    const lag = await lagOf(google({ timeSeries: { timeSeries } }), { ...GOOGLE, prefix: 'a-' }, [
      'projector.end_user.failed',
      'replay.mailer',
    ]);
    expect(lag).toEqual({ 'projector.end_user.failed': 70, 'replay.mailer': 5 });
    expect(new URL(asked[0] ?? '').searchParams.get('filter')).toContain('oldest_unacked_message_age');
  });

  it('that refuse name the role that it takes', async () => {
    const refused = Object.assign(new Error('no'), { code: CODE.PERMISSION_DENIED });
    await expect(asking({ firestore: refused }).indexes()).rejects.toMatchObject({ role: 'roles/datastore.viewer' });
    expect(await asking({ pubsub: refused }).config()).toMatch(/project my-project/);
    const unknown = Object.assign(new Error('no such project'), { code: CODE.NOT_FOUND });
    await expect(asking({ pubsub: unknown }).config()).rejects.toBe(unknown);
  });
});
