import { stopwatch } from '../clock.ts';
import { type Env, heronApiConfig } from '../config.ts';
import { UnexpectedAnswer } from '../heron/answers.ts';
import { HeronApi, HeronApiError } from '../recover/heron-api.ts';
import { keyOf } from '../recover/key.ts';
import { CommandFailed, type FailureCode } from './failure.ts';

/** @throws ConfigError */
export function heronApi(env: Env): HeronApi {
  const { url, ...source } = heronApiConfig(env);
  return new HeronApi({ url, key: keyOf(source, stopwatch), stopwatch, signal: new AbortController().signal });
}

/** What an error of Heron's API means for who runs a command; any other error is left as it is. */
export function heronApiFailure(error: unknown): unknown {
  if (error instanceof UnexpectedAnswer) return new CommandFailed(error.message, 'unexpected-answer', { cause: error });
  if (!(error instanceof HeronApiError)) return error;
  return new CommandFailed(error.message, codeOf(error.status), { cause: error });
}

function codeOf(status: number | null): FailureCode {
  switch (status) {
    case null:
      return 'unreachable';
    case 401:
      return 'unauthenticated';
    case 403:
      return 'permission-denied';
    case 404:
      return 'not-found';
    default:
      return 'unavailable';
  }
}
