import { isEventId } from '../events/event.ts';
import { type Instant, parseInstant } from '../heron/instant.ts';
import { isHeronId } from '../heron/webhook.ts';
import type { EndUserCursor, EventCursor, LogCursor } from '../store/store.ts';
import { Problem } from './problem.ts';
import { MAX_TEXT_BYTES } from './schema.ts';

/** The kinds of parameters that calls take. */
export type Parameter = { readonly description: string } & (
  | { readonly type: 'string'; readonly minLength: number; readonly maxLength: number }
  | { readonly type: 'string'; readonly format: 'date-time' }
  | { readonly type: 'integer'; readonly minimum: number; readonly maximum: number; readonly default: number }
  /** With commas between the items. */
  | {
      readonly type: 'array';
      readonly minItems: 1;
      readonly maxItems: number;
      readonly items: { readonly type: 'string' };
    }
  | { readonly const: true }
);

/** What a call's parameters are read as: null where one is not given, has no default, and is not of the path. */
export type Parameters<P extends Readonly<Record<string, Parameter>>, Path extends string> = {
  readonly [Name in keyof P & string]:
    | ValueOf<P[Name]>
    | (Path extends `${string}{${Name}}${string}` ? never : Missing<P[Name]>);
};

type ValueOf<P extends Parameter> = P extends { readonly type: 'integer' }
  ? number
  : P extends { readonly const: true }
    ? true
    : P extends { readonly type: 'array' }
      ? readonly string[]
      : P extends { readonly format: 'date-time' }
        ? Instant
        : string;

type Missing<P extends Parameter> = P extends { readonly default: unknown } ? never : null;

/**
 * Reads a query string. An unknown or repeated parameter is refused: one with a typing error would silently mean
 * something else.
 * @param fromPath parameters that stand in the path.
 * @throws Problem that says which parameter is not what it should be.
 */
export function readParameters(
  taken: Readonly<Record<string, Parameter>>,
  search: URLSearchParams,
  fromPath: Readonly<Record<string, string>> = {},
): Readonly<Record<string, unknown>> {
  for (const name of search.keys()) {
    if (!Object.hasOwn(taken, name) || Object.hasOwn(fromPath, name))
      throw new Problem('bad-request', `Unknown parameter ${JSON.stringify(name)}.`);
    if (search.getAll(name).length > 1) throw new Problem('bad-request', `${name} is given twice.`);
  }
  const read = Object.entries(taken).map(([name, parameter]) => {
    const text = fromPath[name] ?? search.get(name);
    return [name, text === null ? ('default' in parameter ? parameter.default : null) : value(name, parameter, text)];
  });
  return Object.fromEntries(read);
}

function value(name: string, parameter: Parameter, text: string) {
  const refused = (what: string) => new Problem('bad-request', `${name} ${what}.`);
  if ('const' in parameter) {
    if (text !== 'true') throw refused('can only be true');
    return true;
  }
  switch (parameter.type) {
    case 'integer': {
      const { minimum, maximum } = parameter;
      const number = Number(text);
      if (!/^\d{1,3}$/.test(text) || number < minimum || number > maximum)
        throw refused(`is a whole number from ${minimum} to ${maximum}`);
      return number;
    }
    case 'array': {
      const items = text.split(',');
      if (items.length > parameter.maxItems || !items.every(isText))
        throw refused(`has 1 to ${parameter.maxItems} texts, with commas between them`);
      return items;
    }
    case 'string': {
      if (!('format' in parameter)) {
        if (!isText(text)) throw refused(`is a text of 1 to ${MAX_TEXT_BYTES} bytes`);
        return text;
      }
      const instant = parseInstant(text);
      if (instant === null) throw refused('is a time as in RFC 3339');
      return instant;
    }
    default:
      return parameter satisfies never;
  }
}

/** Whether some end user may have it as an id or status. */
export function isText(value: unknown): value is string {
  return (
    typeof value === 'string' && value !== '' && value.isWellFormed() && Buffer.byteLength(value) <= MAX_TEXT_BYTES
  );
}

/** Where a page ends, as a client carries it. */
export function token(parts: readonly [Instant | null, string] | null): string | null {
  return parts === null ? null : Buffer.from(JSON.stringify(parts)).toString('base64url');
}

export function eventCursor(token: string | null): EventCursor | null {
  const parts = untoken(token, isEventId);
  return parts && { created: parts[0], event_id: parts[1] };
}

export function logCursor(token: string | null): LogCursor | null {
  const parts = untoken(token, isEventId);
  return parts && { recorded_at: timed(parts[0]), event_id: parts[1] };
}

export function endUserCursor(token: string | null): EndUserCursor | null {
  const parts = untoken(token, isHeronId);
  return parts && { changed_at: timed(parts[0]), heron_id: parts[1] };
}

export function sameIdCursor(token: string | null): string | null {
  const parts = untoken(token, isHeronId);
  if (parts !== null && parts[0] !== null) throw badToken();
  return parts?.[1] ?? null;
}

function timed(instant: Instant | null): Instant {
  if (instant === null) throw badToken();
  return instant;
}

function untoken(token: string | null, isId: (text: string) => boolean): [Instant | null, string] | null {
  if (token === null) return null;
  try {
    const [time, of] = JSON.parse(Buffer.from(token, 'base64url').toString('utf8')) as unknown[];
    const instant = parseInstant(time);
    if (typeof of === 'string' && isId(of) && (time === null || instant !== null)) return [instant, of];
  } catch {}
  throw badToken();
}

function badToken(): Problem {
  return new Problem('bad-request', 'page_token is not one that this address gave: start without it.');
}
