import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { cruise, type ICruiseResult, type IForbiddenRuleType } from 'dependency-cruiser';
import { beforeAll, describe, expect, it } from 'vitest';
import kit from '../functions/subscriber/kit/package.json' with { type: 'json' };

/** What each room may import of others. Those without any are the ground. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  heron: [],
  http: [],
  telemetry: [],
  events: ['heron'],
  store: ['events', 'heron'],
  bus: ['events', 'heron'],
  subscriber: ['events', 'heron', 'http'],
  ingest: ['bus', 'events', 'heron', 'http', 'telemetry'],
  projector: ['subscriber', 'bus', 'store', 'events', 'heron', 'http', 'telemetry'],
  query: ['store', 'events', 'heron', 'http', 'telemetry'],
  recover: ['ingest', 'store', 'bus', 'events', 'heron', 'http'],
  local: ['ingest', 'projector', 'query', 'recover', 'store', 'bus', 'events', 'heron', 'http'],
  cli: ['local', 'query', 'recover', 'subscriber', 'store', 'bus', 'events', 'heron'],
};
/** The files that the package heron-events exports. */
const KIT = Object.values(kit.exports).flatMap((entry) =>
  typeof entry === 'string' ? [] : [`functions/subscriber/${basename(entry.default, '.js')}.ts`],
);
/** In no room, and used by all. */
const COMMON = '^functions/(clock|deadline|grpc|log|pool)[.]ts$';

const rules: IForbiddenRuleType[] = [
  { name: 'no circle', from: {}, to: { circular: true } },
  ...Object.entries(MAY_IMPORT).map(([room, others]) => ({
    name: `${room} imports downwards only`,
    from: { path: `^functions/${room}/` },
    to: { path: '^functions/(?:[^/]+/|index[.]ts)', pathNot: `^functions/(?:${[room, ...others].join('|')})/` },
  })),
  {
    name: 'what all use knows of no room but the ground',
    from: { path: COMMON },
    to: { path: '^functions/', pathNot: [COMMON, '^functions/heron/'] },
  },
  {
    name: 'the projector has of the kit what others have',
    from: { path: '^functions/projector/' },
    to: { path: '^functions/subscriber/', pathNot: KIT.map((file) => `^${file}$`) },
  },
  {
    name: 'pure rooms reach nothing outside but hashes and inflating',
    from: { path: '^functions/(heron|events)/' },
    to: { pathNot: ['^functions/(heron|events)/', '^(node:)?(crypto|zlib)$'] },
  },
  {
    name: 'ingest reaches no Firestore',
    from: { path: '^functions/ingest/start[.]ts$' },
    to: { path: '@google-cloud/firestore', reachable: true },
  },
  { name: 'what is imported is there', from: {}, to: { couldNotResolve: true } },
  {
    name: 'functions need no dev dependency, but for what builds a package of them',
    from: { path: '^functions/', pathNot: '^functions/subscriber/kit/' },
    to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
  },
];

describe('the rooms', () => {
  let found: ICruiseResult;

  beforeAll(async () => {
    const { output } = await cruise(['functions'], {
      ruleSet: { forbidden: rules },
      validate: true,
      parser: 'swc',
      tsPreCompilationDeps: true,
      doNotFollow: { path: 'node_modules' },
      enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'types'] },
      exclude: { path: '^functions/query/page/' }, // the browser's: it is served, not imported
    });
    found = output as ICruiseResult;
  });

  it('are all named, and seen', () => {
    const rooms = found.modules.flatMap(({ source }) => /^functions\/([^/]+)\//.exec(source)?.[1] ?? []);
    expect(Object.keys(MAY_IMPORT)).toEqual(expect.arrayContaining([...new Set(rooms)]));
    expect(found.modules.find(({ source }) => source === 'functions/events/event.ts')?.dependencies).toContainEqual(
      expect.objectContaining({ resolved: 'functions/heron/webhook.ts' }),
    );
  });

  it('import downwards only, without circles, and pure ones nothing of the world', () => {
    const broken = found.summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} → ${to}`);
    expect(broken).toEqual([]);
  });
});

it('the lock file holds what each package must be', () => {
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Readonly<Record<string, { readonly integrity?: string; readonly link?: boolean }>>;
  };
  const open = Object.entries(packages).filter(([path, { integrity, link }]) => path !== '' && !link && !integrity);
  expect(open.map(([path]) => path)).toEqual([]);
});
