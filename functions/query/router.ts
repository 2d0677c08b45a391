import { CALLS, type CallName } from './calls.ts';
import { Problem } from './problem.ts';

/** A call that an address names, and what its path says. */
export type Found = { readonly name: CallName; readonly fromPath: Readonly<Record<string, string>> };

const ROUTES = Object.entries(CALLS).map(([name, { method, path }]) => ({
  name: name as CallName,
  method,
  segments: path.split('/').slice(1),
}));

/**
 * The call at a path. What stands for a parameter may have any characters, percent-encoded, and is never empty.
 * @throws Problem where there is none, or not by this method.
 */
export function route(method: string, path: string): Found {
  const segments = path.split('/').slice(1).map(decode);
  const found = ROUTES.flatMap((each) => {
    const fromPath = match(each.segments, segments);
    return fromPath === null ? [] : [{ ...each, fromPath }];
  });
  if (found.length === 0) throw new Problem('address-unknown');
  const call = found.find((each) => each.method === (method === 'HEAD' ? 'GET' : method));
  if (call !== undefined) return call;
  const allowed = found.map((each) => (each.method === 'GET' ? 'GET, HEAD' : each.method)).join(', ');
  throw new Problem('method-not-allowed', undefined, { headers: { Allow: allowed } });
}

function match(pattern: readonly string[], segments: readonly string[]): Record<string, string> | null {
  if (pattern.length !== segments.length) return null;
  const fromPath: Record<string, string> = {};
  for (const [i, part] of pattern.entries()) {
    const [segment = '', name] = [segments[i], /^\{(\w+)\}$/.exec(part)?.[1]];
    if (name === undefined ? part !== segment : segment === '') return null;
    if (name !== undefined) fromPath[name] = segment;
  }
  return fromPath;
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new Problem('bad-request', 'The path is not percent-encoded UTF-8.');
  }
}
