import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Firestore, type Query } from '@google-cloud/firestore';
import { describe, expect, it } from 'vitest';
import { instantOf } from '../../functions/heron/instant.ts';
import { QUERIES } from '../../functions/store/queries.ts';
import indexes from '../../infra/indexes.json' with { type: 'json' };

const STORE = join(import.meta.dirname, '..', '..', 'functions', 'store');

const db = new Firestore({ projectId: 'heron-test' });
const NOW = instantOf(0);
const ID = '0'.repeat(64);

/** Each of the code's queries, in every form that it takes: one without an example here does not compile. */
const EXAMPLES: Readonly<Record<keyof typeof QUERIES, readonly Query[]>> = {
  behind: [QUERIES.behind(db, null, null), QUERIES.behind(db, 'eus_a', null), QUERIES.behind(db, 'eus_a', 'eus_b')],
  bodies: [QUERIES.bodies(db, 'eus_a')],
  bodiesNaming: [QUERIES.bodiesNaming(db, 'acme-1')],
  changes: [QUERIES.changes(db, 10)],
  sentAt: [QUERIES.sentAt(db, 'eus_a', NOW), QUERIES.sentAt(db, null, NOW)],
  history: [QUERIES.history(db, 'eus_a', 10, null), QUERIES.history(db, 'eus_a', 10, { created: NOW, event_id: ID })],
  latestByTopic: [
    QUERIES.latestByTopic(db, null, null),
    QUERIES.latestByTopic(db, null, 'end_user.processed'),
    QUERIES.latestByTopic(db, 'end_user.failed', 'end_user.processed'),
    QUERIES.latestByTopic(db, 'end_user.failed', null),
  ],
  latestWithoutTopic: [QUERIES.latestWithoutTopic(db)],
  log: [
    QUERIES.log(db, null),
    QUERIES.log(db, { heron_id: 'eus_a', event: null }),
    QUERIES.log(db, { heron_id: null, event: { created: NOW, event_id: ID } }),
  ],
  listed: [
    QUERIES.listed(db, {}),
    QUERIES.listed(db, { status: 'failed' }),
    QUERIES.listed(db, { review_required: true }),
    QUERIES.listed(db, { failing: true }),
    QUERIES.listed(db, { status: null }),
  ],
  listedPage: [
    QUERIES.listedPage(db, {}, 10, null),
    QUERIES.listedPage(db, { status: 'failed' }, 10, { changed_at: NOW, heron_id: 'eus_a' }),
    QUERIES.listedPage(db, { review_required: true }, 10, null),
    QUERIES.listedPage(db, { failing: true }, 10, null),
  ],
  newestOfTopic: [
    QUERIES.newestOfTopic(db, 'pdf.processed', 10, null),
    QUERIES.newestOfTopic(db, 'pdf.processed', 10, { recorded_at: NOW, event_id: ID }),
  ],
  newestUnrouted: [
    QUERIES.newestUnrouted(db, 10, null),
    QUERIES.newestUnrouted(db, 10, { recorded_at: NOW, event_id: ID }),
  ],
  nextStatus: [QUERIES.nextStatus(db, ''), QUERIES.nextStatus(db, 'failed')],
  naming: [QUERIES.naming(db, 'acme-1', 10)],
  ofTopic: [QUERIES.ofTopic(db, 'end_user.processed', NOW, NOW), QUERIES.ofTopic(db, null, NOW, NOW)],
  tombstonesNaming: [QUERIES.tombstonesNaming(db, ID)],
  unroutedFrom: [QUERIES.unroutedFrom(db, NOW)],
  withId: [QUERIES.withId(db, 'acme-1', 10, null), QUERIES.withId(db, 'acme-1', 10, 'eus_a')],
};

type Field = readonly [path: string, direction: string];

type Needed = {
  readonly collection: string;
  readonly scope: string;
  /** Compared for equality, so that their direction in an index does not matter. */
  readonly equal: readonly string[];
  /** Arrays that contain a value. */
  readonly containing: readonly string[];
  /** In the order of the answer. */
  readonly ordered: readonly Field[];
};

type Filter = {
  readonly compositeFilter?: { readonly filters: readonly Filter[] };
  readonly fieldFilter?: { readonly field: { readonly fieldPath: string }; readonly op: string };
  readonly unaryFilter?: { readonly field: { readonly fieldPath: string }; readonly op: string };
};

/** The query as it goes over the wire: what Firestore chooses an index by. */
type Wire = {
  readonly structuredQuery: {
    readonly from: readonly { readonly collectionId: string; readonly allDescendants?: boolean }[];
    readonly where?: Filter;
    readonly orderBy?: readonly { readonly field: { readonly fieldPath: string }; readonly direction: string }[];
  };
};

function neededBy(query: Query): Needed {
  const { from, where, orderBy = [] } = (query as unknown as { toProto(): Wire }).toProto().structuredQuery;
  const filters = where === undefined ? [] : (where.compositeFilter?.filters ?? [where]);
  const equal = filters.flatMap(({ fieldFilter, unaryFilter }) => {
    if (unaryFilter?.op === 'IS_NULL') return [unaryFilter.field.fieldPath];
    return fieldFilter?.op === 'EQUAL' ? [fieldFilter.field.fieldPath] : [];
  });
  return {
    collection: from[0]?.collectionId ?? '',
    scope: from[0]?.allDescendants ? 'COLLECTION_GROUP' : 'COLLECTION',
    equal: [...new Set(equal)],
    containing: filters.flatMap(({ fieldFilter }) =>
      fieldFilter?.op === 'ARRAY_CONTAINS' ? [fieldFilter.field.fieldPath] : [],
    ),
    ordered: orderBy.map(({ field, direction }) => [field.fieldPath, direction] as const),
  };
}

/** The index that serves a query: its equalities, then its order, whose last direction that of the name follows. */
function serves(index: (typeof indexes)[number], { collection, scope, equal, containing, ordered }: Needed): boolean {
  if (index.collection !== collection || index.scope !== scope) return false;
  const contains = index.fields.filter(([, kind]) => kind === 'CONTAINS').map(([path]) => path);
  if (contains.length > 0 || containing.length > 0)
    return index.fields.length === 1 && containing.length === 1 && contains[0] === containing[0];
  const named = ordered.filter(([path]) => path !== '__name__');
  const [name] = ordered.filter(([path]) => path === '__name__');
  if (index.fields.length !== equal.length + named.length) return false;
  const head = index.fields.slice(0, equal.length).map(([path]) => path);
  const tail = index.fields.slice(equal.length);
  const followed = index.fields.at(-1)?.[1];
  return (
    head.every((path) => equal.includes(path ?? '')) &&
    named.every(([path, direction], i) => tail[i]?.[0] === path && tail[i]?.[1] === direction) &&
    (name === undefined || name[1] === followed)
  );
}

/** By name alone every document can be found. */
function needsNone({ equal, containing, ordered }: Needed): boolean {
  return (
    equal.length + containing.length === 0 &&
    ordered.every(([path, direction]) => path === '__name__' && direction === 'ASCENDING')
  );
}

describe('the queries of the store', () => {
  const all = Object.entries(EXAMPLES).flatMap(([name, queries]) =>
    queries.map((query, n) => [`${name} ${n + 1}`, neededBy(query)] as const),
  );

  it.each(all)('have the index that they need in Terraform: %s', (_, needed) => {
    const served = needsNone(needed) || indexes.some((index) => serves(index, needed));
    expect(served, JSON.stringify(needed)).toBe(true);
  });

  it('use every index that Terraform makes', () => {
    const unused = indexes.filter((index) => !all.some(([, needed]) => !needsNone(needed) && serves(index, needed)));
    expect(unused).toEqual([]);
  });

  it('stand in one list: nothing else in the store builds one', () => {
    const others = readdirSync(STORE).filter((file) => file !== 'queries.ts');
    const building = others.filter((file) =>
      /\.(where|orderBy|collectionGroup)\(/.test(readFileSync(join(STORE, file), 'utf8')),
    );
    expect(building).toEqual([]);
  });
});
