import { setTimeout as sleep } from 'node:timers/promises';
import type { EndUserAnswer } from '../query/answers.ts';
import { ANNOUNCED, unknownStatuses } from '../query/wanted.ts';
import { CommandFailed } from './failure.ts';
import { inLine, note, print, printJson, sayWaiting } from './output.ts';
import { ask, isEndUser, type QueryOptions } from './query-api.ts';
import { table } from './status.ts';

export type WaitOptions = QueryOptions & {
  readonly for: string;
  readonly after?: string;
  /** Seconds. */
  readonly timeout: number;
  readonly json: boolean;
};

/** What one request waits, at most: the query API takes up to 55 s, proxies cut off what is silent for a minute. */
const REQUEST_S = 25;
const SLACK_MS = 10_000;
const PAUSE_MS = 2_000;

/**
 * Waits until an end user is, or has become, one of the statuses. Resolves with the exit code; rejects with `timed-out`
 * once the time is out. What the query API cannot answer for a while is asked again.
 */
export async function wait(id: string, { json, timeout, after, ...options }: WaitOptions): Promise<number> {
  const statuses = options.for.split(',').map((status) => status.trim());
  for (const unknown of unknownStatuses(statuses))
    note(`Heron does not document the status ${inLine(unknown)}: it is waited for all the same.`);
  const end = performance.now() + 1000 * timeout;
  const hush = sayWaiting(`${id} to be ${statuses.join(' or ')}`);
  let [reached, isKnown] = [false, false];
  /** When it last became one of them, as of the first answer: null where it was not known, or had not. */
  let before: string | null = null;
  try {
    for (let first = true; ; ) {
      const left = Math.max(0, (end - performance.now()) / 1000);
      const seconds = Math.min(REQUEST_S, Math.floor(left));
      const query = new URLSearchParams({ wait_for: statuses.join(','), timeout: String(seconds) });
      if (after !== undefined) query.set('after', after);
      try {
        const path = `end-users/${encodeURIComponent(id)}?${query}`;
        const { status, body } = await ask(options, path, isEndUser, 1000 * seconds + SLACK_MS);
        // Between two requests it may have become one of them and gone on.
        const became = becameAt(body, statuses);
        if (status === 200 || (after === undefined && !first && became !== before)) return say(body, json);
        before = became;
        [reached, isKnown, first] = [true, true, false];
      } catch (error) {
        if (!(error instanceof CommandFailed)) throw error;
        const isUnknown = error.code === 'end-user-unknown';
        const mayPass = error.code === 'unavailable' || (error.code === 'unreachable' && reached);
        if (!isUnknown && !mayPass) throw error;
        if (isUnknown) [reached, first] = [true, false];
        if (mayPass && performance.now() + PAUSE_MS < end) await sleep(PAUSE_MS);
        else if (mayPass) throw error;
      }
      if (end - performance.now() < 1000)
        throw new CommandFailed(
          isKnown
            ? `${id} was not ${statuses.join(' or ')} within ${timeout} s. Ask again, or see where it stands: heron status ${id}.`
            : `No webhook has named ${id} within ${timeout} s, nor before. Ask again, or check the id.`,
          'timed-out',
        );
    }
  } finally {
    hush();
  }
}

/** When it last became one of them, of those of which that is kept. */
function becameAt(endUser: EndUserAnswer, statuses: readonly string[]): string | null {
  const times = Object.entries(ANNOUNCED).flatMap(([status, at]) => (statuses.includes(status) ? [endUser[at]] : []));
  return (
    times
      .filter((time) => time !== null)
      .sort()
      .at(-1) ?? null
  );
}

function say(endUser: EndUserAnswer, json: boolean): number {
  if (json) printJson(endUser);
  else print(table(endUser));
  return 0;
}
