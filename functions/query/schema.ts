import type { FromSchema, JSONSchema } from 'json-schema-to-ts';

/** JSON Schema of draft 2020-12, as OpenAPI 3.1 has it: one schema documents what is answered, types it, and tests it. */
export type Schema = JSONSchema & object;

/** What a schema's values are in TypeScript. */
export type Value<S extends Schema> = FromSchema<S>;

/** Longer texts are not taken from webhooks, so no state has one. */
export const MAX_TEXT_BYTES = 1_024;

export const TEXT = { type: 'string', minLength: 1, maxLength: MAX_TEXT_BYTES } as const;
export const TEXT_OR_NONE = { ...TEXT, type: ['string', 'null'] } as const;
export const COUNT = { type: 'integer', minimum: 0 } as const;
export const TIME = {
  type: 'string',
  format: 'date-time',
  description: 'RFC 3339 in UTC, with microseconds where there are any.',
} as const;
export const TIME_OR_NONE = { ...TIME, type: ['string', 'null'] } as const;

type Members = Readonly<Record<string, Schema>>;

/** An object of these members and no others; all of them are there, but for those named optional. */
export function object<const P extends Members>(members: P): ObjectOf<P, Record<never, never>>;
export function object<const P extends Members, const O extends Members>(members: P, optional: O): ObjectOf<P, O>;
export function object(members: Members, optional: Members = {}): ObjectOf<Members, Members> {
  const required = Object.keys(members);
  return { type: 'object', additionalProperties: false, required, properties: { ...members, ...optional } };
}

type ObjectOf<P extends Members, O extends Members> = {
  readonly type: 'object';
  readonly additionalProperties: false;
  readonly required: readonly (keyof P & string)[];
  readonly properties: P & O;
};

export function list<const S extends Schema>(items: S) {
  return { type: 'array', items } as const;
}

/** So many items, no more and no fewer. */
export function exactly<const S extends Schema>(count: number, items: S) {
  return { type: 'array', minItems: count as number, maxItems: count as number, items } as const;
}

export function described<const S extends Schema>(schema: S, description: string) {
  return { ...schema, description };
}
