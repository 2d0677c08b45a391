import type { Severity } from '../log.ts';

/** An answer other than 2xx, and what the log says of it. */
export type Refusal = {
  readonly status: number;
  readonly title: string;
  /** For the caller, who may be anybody. */
  readonly detail: string;
  /** For us alone. */
  readonly told: string;
  readonly outcome: string;
  /** What any stranger can cause is INFO. */
  readonly severity: Severity;
  readonly headers?: Readonly<Record<string, string>>;
};

export const NOT_POST: Refusal = {
  status: 405,
  title: 'Method Not Allowed',
  detail: 'Webhooks are sent with POST.',
  told: 'not a POST: no webhook',
  outcome: 'method_not_allowed',
  severity: 'INFO',
  headers: { Allow: 'POST' },
};

/** The same to the caller whether the signature is missing or wrong. */
const UNAUTHORIZED = {
  status: 401,
  title: 'Unauthorized',
  detail: 'The Heron-Signature header is missing or does not match the body.',
  headers: { 'WWW-Authenticate': 'Heron-Signature' },
};

export const UNSIGNED: Refusal = {
  ...UNAUTHORIZED,
  told: 'refused: there is no Heron-Signature header',
  outcome: 'unsigned',
  severity: 'INFO',
};

export const MALFORMED: Refusal = {
  ...UNAUTHORIZED,
  told: 'refused: the Heron-Signature header is not the base64 of 32 bytes, or there are several that differ',
  outcome: 'malformed',
  severity: 'WARNING',
};

export const MISMATCH: Refusal = {
  ...UNAUTHORIZED,
  told: 'refused: none of our secrets made the signature for these bytes',
  outcome: 'mismatch',
  severity: 'WARNING',
};

/** @param milliseconds how long a body may take. */
export function timedOut(milliseconds: number): Refusal {
  return {
    status: 408,
    title: 'Request Timeout',
    detail: `The body did not arrive within ${milliseconds / 1000} s. Send it again.`,
    told: 'refused: the body did not arrive in time, so that nobody can say whose it is',
    outcome: 'timed_out',
    severity: 'WARNING',
  };
}

const CONTENT_TOO_LARGE = { status: 413, title: 'Content Too Large' };

/** Of what Heron signed: it is lost. @param most bytes that Pub/Sub takes. */
export function tooLarge(bytes: number, most: number): Refusal {
  const detail = `The body has ${count(bytes)} bytes; Pub/Sub takes ${count(most)} at most beside what goes with it.`;
  return {
    ...CONTENT_TOO_LARGE,
    detail,
    told: `lost: Heron signed it, and it is too large. ${detail}`,
    outcome: 'too_large',
    severity: 'ERROR',
  };
}

/** Of what is too large, or too slow for its size, even to look whose it is. @param most bytes that Pub/Sub takes. */
export function oversized(most: number): Refusal {
  return {
    ...CONTENT_TOO_LARGE,
    detail: `Pub/Sub takes ${count(most)} bytes at most.`,
    told: 'refused: too large, or too slow for its size, for a signature to be looked at',
    outcome: 'oversized',
    severity: 'INFO',
  };
}

function count(bytes: number): string {
  return bytes.toLocaleString('en');
}
