import { ConfigError, type StoreConfig } from '../config.ts';
import { CODE, codeOf } from '../grpc.ts';
import type { ProblemType } from '../query/problem.ts';

/**
 * Why a command could not do what was asked, as programs are told: the type of the query API's problem, or one of these.
 * `unexpected` is a fault of ours.
 */
export type FailureCode =
  | ProblemType
  | 'misused'
  | 'misconfigured'
  | 'unreachable'
  | 'unauthenticated'
  | 'permission-denied'
  | 'not-found'
  | 'not-the-query-api'
  | 'not-started'
  | 'unexpected-answer'
  | 'timed-out'
  | 'failed'
  | 'unexpected'
  | (string & {});

/** The command cannot do what was asked: `message` says why and what to do. */
export class CommandFailed extends Error {
  readonly code: FailureCode;
  constructor(message: string, code: FailureCode = 'failed', options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** 2 where the command was misused, 1 for all else. */
export function exitCodeOf({ code }: CommandFailed): 1 | 2 {
  return code === 'misused' || code === 'misconfigured' ? 2 : 1;
}

/** Whether Google refused or could not be reached, whatever was asked. */
export function isOutage(error: unknown): boolean {
  return codeOf(error) !== undefined || isAboutCredentials(error);
}

/** What an error says, in a line and without its full stop. */
export function reasonOf(error: unknown): string {
  const { details, message } = error as { details?: unknown; message?: unknown };
  const [line = ''] = String(details || message || error)
    .trim()
    .split('\n', 1);
  return line
    .replace(/,?\s*(Resolution note|name resolution|metadata filters|Waiting for LB pick|remote_addr)[:=].*$/, '')
    .trim()
    .replace(/\.$/, '');
}

export type Place = {
  readonly service: 'Firestore' | 'Pub/Sub';
  readonly projectId: string;
  /** What is looked for there, in words. */
  readonly what: string;
  /** What to check where it is not there. */
  readonly check: string;
  readonly role: string;
  /** What running the command again does, in words. */
  readonly again: string;
};

/** What an error of Google's means for who runs a command. */
export function googleFailure(error: unknown, { service, projectId, what, check, role, again }: Place): CommandFailed {
  const reason = reasonOf(error);
  const failed = (code: FailureCode, message: string) => new CommandFailed(message, code, { cause: error });
  if (isAboutCredentials(error)) return failed('unauthenticated', unknownToGoogle(error));
  switch (codeOf(error)) {
    case CODE.PERMISSION_DENIED:
      return failed(
        'permission-denied',
        `${service} of ${projectId} refuses your account (${reason}): it needs ${role}, or check --project.`,
      );
    case CODE.NOT_FOUND:
      return failed('not-found', `${projectId} has no ${what} (${reason}): check ${check}.`);
    case CODE.UNAVAILABLE:
    case CODE.DEADLINE_EXCEEDED:
      return failed('unavailable', `${service} of ${projectId} does not answer (${reason}). ${again}`);
    case CODE.RESOURCE_EXHAUSTED:
    case CODE.ABORTED:
      return failed('unavailable', `${service} of ${projectId} is too busy (${reason}). ${again}`);
    default:
      return failed('failed', `${service} of ${projectId}: ${reason}.`);
  }
}

/** The same of the database that a command works on. */
export function firestoreFailure(
  error: unknown,
  { projectId, databaseId }: StoreConfig,
  { role, again }: Pick<Place, 'role' | 'again'>,
): CommandFailed {
  const what = `database ${databaseId}`;
  const check = '--project and FIRESTORE_DATABASE';
  return googleFailure(error, { service: 'Firestore', projectId, what, check, role, again });
}

/** Google's libraries tell of credentials in words only, or with a code of any kind. */
function isAboutCredentials(error: unknown): boolean {
  const text = `${(error as { details?: unknown }).details ?? ''} ${(error as { message?: unknown }).message ?? ''}`;
  return (
    codeOf(error) === CODE.UNAUTHENTICATED ||
    /default credentials|metadata from plugin|invalid_grant|invalid_rapt|GOOGLE_APPLICATION_CREDENTIALS|credentials? file|does not exist, or it is not a file/i.test(
      text,
    )
  );
}

/** Whatever ended a command, as who ran it is told. */
export function failureOf(error: unknown): CommandFailed {
  if (error instanceof CommandFailed) return error;
  if (error instanceof ConfigError) return new CommandFailed(error.message, 'misconfigured');
  if (isAboutCredentials(error)) return new CommandFailed(unknownToGoogle(error), 'unauthenticated', { cause: error });
  if (isOutage(error)) return new CommandFailed(`Google Cloud: ${reasonOf(error)}.`, 'failed', { cause: error });
  return new CommandFailed(`A fault of this program: ${reasonOf(error)}.`, 'unexpected', { cause: error });
}

function unknownToGoogle(error: unknown): string {
  return `No Google Cloud credentials that work (${reasonOf(error)}): gcloud auth application-default login.`;
}
