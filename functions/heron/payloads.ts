import { isRecord } from './json.ts';
import { STATUSES } from './status.ts';

/**
 * What Heron documents of `data`, as JSON Schema: the one place from which come the subscriber kit's types and checks,
 * and the AsyncAPI document. Only what is documented: other members may be there, and more may come.
 */
type Schema =
  | { readonly type: 'string'; readonly description: string; readonly examples?: readonly string[] }
  | { readonly type: 'array'; readonly items: Schema }
  | {
      readonly type: 'object';
      readonly required: readonly string[];
      readonly properties: Readonly<Record<string, Schema>>;
    };

export type PayloadSchema = Schema & { readonly type: 'object' };

/** What a schema's values are in TypeScript. Texts with examples may be others. */
export type Payload<S extends Schema> = S extends { readonly properties: infer P extends Record<string, Schema> }
  ? { readonly [K in keyof P]: Payload<P[K]> }
  : S extends { readonly items: infer I extends Schema }
    ? readonly Payload<I>[]
    : S extends { readonly examples: readonly (infer E extends string)[] }
      ? E | (string & {})
      : string;

/** An object in which all of these are. */
function object<const P extends Readonly<Record<string, Schema>>>(properties: P) {
  return { type: 'object', required: Object.keys(properties), properties } as const;
}

export const END_USER = object({
  heron_id: { type: 'string', description: '`eus_…`' },
  end_user_id: { type: 'string', description: 'Your own id of it, at most 140 characters.' },
  status: { type: 'string', description: 'One of these, or one that Heron adds later.', examples: STATUSES },
});

export const DELETED_TRANSACTIONS = object({
  transactions: { type: 'array', items: object({ heron_id: { type: 'string', description: 'Of the transaction.' } }) },
});

/** The topics whose `data` is documented. Of all others it is any object. */
export const DOCUMENTED = {
  'end_user.created': END_USER,
  'end_user.failed': END_USER,
  'end_user.files_changed': END_USER,
  'end_user.files_classified': END_USER,
  'end_user.policy_workflow_failed': END_USER,
  'end_user.policy_workflow_finished': END_USER,
  'end_user.processed': END_USER,
  'end_user.review_required': END_USER,
  'end_user.reviewed': END_USER,
  'end_user.transactions_updated': END_USER,
  'transactions.deleted': DELETED_TRANSACTIONS,
} as const satisfies Readonly<Record<string, PayloadSchema>>;

/** Null where nothing is documented. */
export function payloadSchema(topic: string): PayloadSchema | null {
  return Object.hasOwn(DOCUMENTED, topic) ? DOCUMENTED[topic as keyof typeof DOCUMENTED] : null;
}

/** Why `data` is not what is documented, in words that quote nothing of it; or null, also where nothing is. */
export function undocumentedData(topic: string, data: unknown): string | null {
  const schema = payloadSchema(topic);
  return schema === null ? null : flawOf(schema, data, 'data');
}

function flawOf(schema: Schema, value: unknown, place: string): string | null {
  switch (schema.type) {
    case 'string':
      return typeof value === 'string' ? null : `${place} is not a text`;
    case 'array':
      return Array.isArray(value)
        ? first(value, (each) => flawOf(schema.items, each, `${place}[]`))
        : `${place} is not a list`;
    case 'object': {
      if (!isRecord(value)) return `${place} is not an object`;
      return first(Object.entries(schema.properties), ([name, inner]) =>
        flawOf(inner, Object.hasOwn(value, name) ? value[name] : undefined, `${place}.${name}`),
      );
    }
    default:
      return schema satisfies never;
  }
}

function first<T>(all: readonly T[], flaw: (each: T) => string | null): string | null {
  for (const each of all) {
    const found = flaw(each);
    if (found !== null) return found;
  }
  return null;
}
