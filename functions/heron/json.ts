export type JsonValue = null | boolean | number | string | JsonValue[] | JsonObject;
export type JsonObject = { [key: string]: JsonValue };

/** Whether a value is what JSON calls an object. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** JSON as compact text, in which numbers stand as they were written: `1.10` and `1e400` are not `1.1` and `null`. */
export type JsonText = string & { readonly json: unique symbol };

/** What TypeScript's library does not know yet. Source: https://tc39.es/proposal-json-parse-with-source/ */
type WithSource = {
  parse(text: string, reviver: (key: string, value: unknown, context: { source?: string }) => unknown): unknown;
  rawJSON(text: string): unknown;
  isRawJSON(value: unknown): boolean;
};
const { parse, rawJSON, isRawJSON } = JSON as unknown as WithSource;

/**
 * Reads JSON so that `JSON.stringify` writes its numbers as they were written, which a double cannot hold: they are
 * opaque otherwise. Goes down by recursion: some hundreds of levels are safe, many thousands are not.
 * @throws SyntaxError where it is not JSON.
 */
export function parseAsWritten(text: string): JsonValue {
  return parse(text, (_, value, { source }) =>
    typeof value === 'number' && source !== undefined ? rawJSON(source) : value,
  ) as JsonValue;
}

/** JSON without what says nothing: spaces, and of a repeated key all but the last. @throws SyntaxError as above. */
export function compact(text: string): JsonText {
  return JSON.stringify(parseAsWritten(text)) as JsonText;
}

/** How a number was written, of a value that {@link parseAsWritten} read; null of anything else. */
export function numberText(value: unknown): string | null {
  return isRawJSON(value) ? JSON.stringify(value) : null;
}
