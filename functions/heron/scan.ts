/**
 * Finds values in a JSON text without building them, also where the text is cut off or has tokens that JSON has not:
 *
 *     object = "{" { name ":" value | anything else } ( "}" | end of text )
 *     value  = text in quotes | as many brackets as are opened | anything up to "," "]" "}" a space or a quote
 *
 * So what a strict reader refuses as a whole is still found where it stands. Goes over the text once, and down only into
 * what is wanted, however deep the text is nested.
 */
export type Value = {
  readonly raw: string;
  /** Whether its end is there. */
  readonly whole: boolean;
  /** How deep it is nested: 0 for what is no object and no list. */
  readonly levels: number;
  /** Whether NaN or Infinity is in it, which Python writes. */
  readonly hasNaN: boolean;
  /** Of an object, those that are wanted; of a repeated name the last. */
  readonly members: ReadonlyMap<string, Value>;
};

/** The members of an object to look for, and those of theirs. */
export type Wanted = ReadonlyMap<string, Wanted>;

/** What is nested deeper, other readers of JSON refuse, and to parse ten million levels takes seconds. */
export const MAX_LEVELS = 1_000;

/** Whether a JSON text is nested over {@link MAX_LEVELS}: to be asked before JSON.parse. */
export function isDeep(text: string): boolean {
  return mayBeDeep(text) && scan(text, NOTHING).levels > MAX_LEVELS;
}

/** Whether so many brackets are opened that it may be nested over {@link MAX_LEVELS}. */
export function mayBeDeep(text: string): boolean {
  let opened = 0;
  for (const bracket of '{[')
    for (let at = text.indexOf(bracket); at !== -1; at = text.indexOf(bracket, at + 1))
      if (++opened > MAX_LEVELS) return true;
  return false;
}

/** @returns also what stands behind the value. */
export function scan(text: string, wanted: Wanted): Value & { readonly rest: string } {
  const { end, ...value } = valueAt(text, afterSpace(text, 0), wanted);
  return { ...value, rest: text.slice(end) };
}

/** Neither an escape nor what must be one. */
const PLAIN = /^"[ !#-[\]-\uffff]*"$/;

/** What a text in quotes says; null where it is not one. */
export function textOf(raw: string): string | null {
  if (PLAIN.test(raw)) return raw.slice(1, -1);
  if (!raw.startsWith('"')) return null;
  try {
    return JSON.parse(raw) as string;
  } catch {
    return null;
  }
}

type Found = Value & { readonly end: number };

/** No member. */
export const NOTHING: ReadonlyMap<string, never> = new Map<string, never>();
const [QUOTE, BACKSLASH, OPEN, CLOSE, OPEN_LIST, CLOSE_LIST] = [0x22, 0x5c, 0x7b, 0x7d, 0x5b, 0x5d];
const [COMMA, COLON, N, I] = [0x2c, 0x3a, 0x4e, 0x49];

function valueAt(text: string, from: number, wanted: Wanted): Found {
  switch (text.charCodeAt(from)) {
    case QUOTE: {
      const end = afterQuotes(text, from);
      const whole = end !== null;
      return found(text, from, end ?? text.length, { whole, levels: 0, hasNaN: false });
    }
    case OPEN:
      return wanted.size > 0 ? objectAt(text, from, wanted) : nestedAt(text, from);
    case OPEN_LIST:
      return nestedAt(text, from);
    default: {
      const end = afterToken(text, from);
      return found(text, from, end, {
        whole: end < text.length,
        levels: 0,
        hasNaN: isNaNAt(text, from) || isNaNAt(text, from + 1),
      });
    }
  }
}

function found(
  text: string,
  from: number,
  end: number,
  { members = NOTHING, ...rest }: Omit<Value, 'raw' | 'members'> & { readonly members?: Value['members'] },
): Found {
  return { raw: text.slice(from, end), end, members, ...rest };
}

function objectAt(text: string, from: number, wanted: Wanted): Found {
  const members = new Map<string, Value>();
  let [at, levels, hasNaN] = [from + 1, 0, false];
  while (at < text.length && text.charCodeAt(at) !== CLOSE) {
    const code = text.charCodeAt(at);
    if (code !== QUOTE && code !== OPEN && code !== OPEN_LIST) {
      at++;
      continue;
    }
    const first = valueAt(text, at, NOTHING);
    const colon = afterSpace(text, first.end);
    const isName = code === QUOTE && text.charCodeAt(colon) === COLON;
    const name = isName ? textOf(first.raw) : null;
    const below = name === null ? undefined : wanted.get(name);
    const { end, ...value } = isName ? valueAt(text, afterSpace(text, colon + 1), below ?? NOTHING) : first;
    if (name !== null && below !== undefined) members.set(name, value);
    levels = Math.max(levels, value.levels);
    hasNaN ||= value.hasNaN;
    at = end;
  }
  const whole = at < text.length;
  return found(text, from, whole ? at + 1 : at, { whole, levels: levels + 1, hasNaN, members });
}

/** As many brackets as are opened, of whichever kind. */
function nestedAt(text: string, from: number): Found {
  let [at, open, levels, hasNaN] = [from, 0, 0, false];
  while (at < text.length) {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        at = afterQuotes(text, at) ?? text.length;
        continue;
      case OPEN:
      case OPEN_LIST:
        open++;
        levels = Math.max(levels, open);
        break;
      case CLOSE:
      case CLOSE_LIST:
        open--;
        if (open === 0) return found(text, from, at + 1, { whole: true, levels, hasNaN });
        break;
      case N:
      case I:
        hasNaN ||= isNaNAt(text, at);
    }
    at++;
  }
  return found(text, from, at, { whole: false, levels, hasNaN });
}

/** Behind the quote that closes a text; null where none does. */
function afterQuotes(text: string, from: number): number | null {
  for (let quote = text.indexOf('"', from + 1); quote !== -1; quote = text.indexOf('"', quote + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(quote - 1 - backslashes) === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return quote + 1;
  }
  return null;
}

function afterToken(text: string, from: number): number {
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === COMMA || code === CLOSE || code === CLOSE_LIST || code === QUOTE || isSpace(code)) return at;
  }
  return text.length;
}

function isNaNAt(text: string, at: number): boolean {
  return text.startsWith('NaN', at) || text.startsWith('Infinity', at);
}

function afterSpace(text: string, from: number): number {
  let at = from;
  while (isSpace(text.charCodeAt(at))) at++;
  return at;
}

/** Control characters and a byte order mark too; not the NaN behind the end. */
function isSpace(code: number): boolean {
  return code <= 0x20 || code === 0xfeff;
}
