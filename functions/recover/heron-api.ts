import { setTimeout as sleep } from 'node:timers/promises';
import type { Stopwatch } from '../clock.ts';
import { type AttemptPage, attemptPage, BrokenAnswer, payloadOf } from '../heron/answers.ts';
import { type Registration, registrationsOf, type Step, topicsOf } from '../heron/registrations.ts';

/** Heron's API refused, or could not be reached: `message` says which call, why, and what to do. */
export class HeronApiError extends Error {
  override readonly name = 'HeronApiError';
  /** The HTTP status; null where nothing answered. */
  readonly status: number | null;

  constructor(message: string, status: number | null, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}

export type HeronApiOptions = {
  /** Such as `https://app.herondata.io/api`. */
  readonly url: string;
  /** Asked for each call, as it may be rotated. */
  readonly key: () => Promise<string>;
  readonly stopwatch: Stopwatch;
  /** After so many milliseconds without a whole answer a call is given up, and made again. */
  readonly callMs?: number;
  /** Nothing is sent any more once it is aborted. */
  readonly signal: AbortSignal;
  /** From 0 to 1: spreads what several would do at once. */
  readonly random?: () => number;
  readonly pause?: (milliseconds: number, signal: AbortSignal) => Promise<void>;
};

/** As many as Heron gives at once. */
const PAGE_SIZE = 50;
const CALL_MS = 15_000;
const ATTEMPTS = 6;
const FIRST_PAUSE_MS = 500;
const MOST_PAUSE_MS = 30_000;
/** Heron counts by the minute: a longer wait than two would be a misreading. */
const MOST_RATE_PAUSE_MS = 120_000;
/** A detail holds a webhook's body, which may have 10 MB. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

type Call = {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  /** What Heron counts together, for its limit. */
  readonly endpoint: string;
  readonly body?: unknown;
};

/** What came of one attempt, and where it failed whether another may help. */
type Tried<T> = { readonly value: T } | { readonly again: boolean; readonly error: Error };

/**
 * Heron's API, as far as it is used here: each call within its time, tried again where that may help, and never faster
 * than its `x-ratelimit-…` headers allow. Redirects are not followed: the key goes to one address only.
 */
export class HeronApi {
  readonly #options: Required<HeronApiOptions>;
  /** By endpoint: before this moment of the stopwatch Heron would only refuse. */
  readonly #notBefore = new Map<string, number>();

  constructor(options: HeronApiOptions) {
    const pause = async (milliseconds: number, signal: AbortSignal) => {
      await sleep(milliseconds, undefined, { signal });
    };
    this.#options = { random: Math.random, pause, callMs: CALL_MS, ...options };
  }

  /** A page of the failed attempts of the last 7 days. @throws HeronApiError, UnexpectedAnswer */
  async failedAttempts(cursor: string | null): Promise<AttemptPage> {
    const search = new URLSearchParams({
      limit: String(PAGE_SIZE),
      status: 'failed',
      ...(cursor === null ? {} : { cursor }),
    });
    const call = { method: 'GET', path: `/webhooks/deliveries?${search}`, endpoint: 'deliveries' } as const;
    return this.#call(call, (text) => attemptPage(text, PAGE_SIZE, cursor));
  }

  /** The body that an attempt sent; null where Heron does not have it. @throws HeronApiError, UnexpectedAnswer */
  async payload(attemptId: string): Promise<Buffer | null> {
    const path = `/webhooks/deliveries/${encodeURIComponent(attemptId)}`;
    try {
      return await this.#call({ method: 'GET', path, endpoint: 'delivery' }, payloadOf);
    } catch (error) {
      if (error instanceof HeronApiError && error.status === 404) return null;
      throw error;
    }
  }

  /** Has Heron send it once more. @throws HeronApiError */
  async resend(attemptId: string): Promise<void> {
    const path = `/webhooks/deliveries/${encodeURIComponent(attemptId)}/resend`;
    await this.#call({ method: 'POST', path, endpoint: 'resend' }, () => {});
  }

  /** What Heron sends where. @throws HeronApiError, UnexpectedAnswer */
  async registrations(): Promise<readonly Registration[]> {
    return this.#call({ method: 'GET', path: '/webhooks', endpoint: 'webhooks' }, registrationsOf);
  }

  /** The topics that Heron sends today. @throws HeronApiError, UnexpectedAnswer */
  async topics(): Promise<readonly string[]> {
    return this.#call({ method: 'GET', path: '/webhooks/topics', endpoint: 'topics' }, topicsOf);
  }

  /** Carries a step out. @throws HeronApiError */
  async carryOut(step: Step, url: string): Promise<void> {
    switch (step.kind) {
      case 'keep':
        return;
      case 'create': {
        const body = { topic: step.topic, url, is_enabled: true };
        return this.#call({ method: 'POST', path: '/webhooks', endpoint: 'webhooks', body }, () => {});
      }
      case 'enable': {
        const { heron_id, topic } = step.registration;
        const body = { topic, url: step.registration.url, is_enabled: true };
        return this.#call(
          { method: 'PUT', path: `/webhooks/${encodeURIComponent(heron_id)}`, endpoint: 'webhook', body },
          () => {},
        );
      }
      case 'delete': {
        const path = `/webhooks/${encodeURIComponent(step.registration.heron_id)}`;
        return this.#call({ method: 'DELETE', path, endpoint: 'webhook' }, () => {});
      }
      default:
        step satisfies never;
    }
  }

  async #call<T>(call: Call, read: (text: string) => T): Promise<T> {
    const { stopwatch, random, pause, signal } = this.#options;
    for (let attempt = 1; ; attempt++) {
      await pause(Math.max(0, (this.#notBefore.get(call.endpoint) ?? 0) - stopwatch()), signal);
      const tried = await this.#once(call, read);
      if ('value' in tried) return tried.value;
      if (attempt === ATTEMPTS || !tried.again) throw tried.error;
      const most = Math.min(MOST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempt);
      await pause(most * (0.5 + random() / 2), signal);
    }
  }

  async #once<T>({ method, path, endpoint, body }: Call, read: (text: string) => T): Promise<Tried<T>> {
    const { url, key, callMs, signal } = this.#options;
    const what = `${method} ${path.split('?', 1)[0]}`;
    let response: Response;
    try {
      response = await fetch(`${url.replace(/\/$/, '')}${path}`, {
        method,
        headers: {
          Accept: 'application/json',
          'x-api-key': await key(),
          ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        redirect: 'manual',
        signal: AbortSignal.any([signal, AbortSignal.timeout(callMs)]),
      });
      this.#heed(endpoint, response);
      const text = await boundedText(response);
      if (response.ok) return { value: read(text) };
      const error = new HeronApiError(refusal(what, response.status, text), response.status);
      return { again: mayPass(response.status), error };
    } catch (cause) {
      signal.throwIfAborted();
      if (cause instanceof BrokenAnswer) return { again: true, error: cause };
      if (!isNetworkFailure(cause)) throw cause;
      return {
        again: true,
        error: new HeronApiError(`${what}: Heron's API could not be reached (${reason(cause, callMs)}).`, null, {
          cause,
        }),
      };
    }
  }

  /** Waits before the next call where Heron says that this was the last for now. */
  #heed(endpoint: string, { status, headers }: Response): void {
    const remaining = headers.get('x-ratelimit-remaining');
    if (status !== 429 && remaining !== '0') return;
    const wait = rateLimitPause(headers.get('x-ratelimit-reset') ?? headers.get('retry-after'), Date.now());
    this.#notBefore.set(endpoint, this.#options.stopwatch() + wait);
  }
}

/** Milliseconds until the limit begins anew: the header is a number of seconds, or a moment in seconds or milliseconds. */
function rateLimitPause(header: string | null, now: number): number {
  const value = header === null || header.trim() === '' ? Number.NaN : Number(header);
  if (!Number.isFinite(value) || value < 0) return MOST_PAUSE_MS;
  const wait = value > 1e11 ? value - now : value > 1e8 ? value * 1_000 - now : value * 1_000;
  return Math.min(MOST_RATE_PAUSE_MS, Math.max(0, wait));
}

function mayPass(status: number): boolean {
  return status === 408 || status === 429 || status >= 500;
}

/** Node's fetch tells a network's failure by a TypeError with a cause, a time-out by its name. */
function isNetworkFailure(error: unknown): boolean {
  return error instanceof AnswerTooLarge
    ? false
    : error instanceof TypeError || (error as Error)?.name === 'TimeoutError';
}

function reason(error: unknown, callMs: number): string {
  const { cause, name } = error as { cause?: { code?: unknown }; name?: unknown };
  return String(cause?.code ?? (name === 'TimeoutError' ? `no answer within ${callMs / 1_000} s` : 'no connection'));
}

class AnswerTooLarge extends Error {}

async function boundedText(response: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body ?? []) {
    bytes += part.byteLength;
    if (bytes > MAX_ANSWER_BYTES) throw new AnswerTooLarge(`Heron's API answered with over ${MAX_ANSWER_BYTES} bytes.`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

/** @param text `{code, name, description}`, of which the description may be an object: only texts are told. */
function refusal(what: string, status: number, text: string): string {
  const advice =
    status === 401 || status === 403
      ? ' Check HERON_API_KEY: it is the key of your Heron account, not the secret of its webhooks.'
      : status >= 300 && status < 400
        ? ' Check HERON_API_URL: what answers there sends elsewhere.'
        : '';
  let told = '';
  try {
    const { name, description } = JSON.parse(text) as { name?: unknown; description?: unknown };
    told = [name, description].filter((part) => typeof part === 'string').join(': ');
  } catch {} // no explanation is fine too
  const printable = told.replaceAll(/[^\P{C}]/gu, ' ').slice(0, 200);
  return `${what}: Heron's API answered ${status}${printable === '' ? '' : ` (${printable})`}.${advice}`;
}
