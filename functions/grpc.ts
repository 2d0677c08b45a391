/**
 * How Google's services end a call that failed, as far as it makes a difference here.
 * Source: https://grpc.github.io/grpc/core/md_doc_statuscodes.html
 */
export const CODE = {
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
} as const;

/** The code of an error from one of Google's clients; undefined where the error is none. */
export function codeOf(error: unknown): number | undefined {
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === 'number' ? code : undefined;
}

/** What may succeed a moment later, whatever was asked. */
const TRANSIENT: ReadonlySet<number | undefined> = new Set([
  CODE.CANCELLED,
  CODE.UNKNOWN,
  CODE.DEADLINE_EXCEEDED,
  CODE.RESOURCE_EXHAUSTED,
  CODE.ABORTED,
  CODE.INTERNAL,
  CODE.UNAVAILABLE,
]);

export function isTransient(error: unknown): boolean {
  return TRANSIENT.has(codeOf(error));
}
