import type { IncomingMessage } from 'node:http';
import type { Stopwatch } from '../clock.ts';
import { within } from '../deadline.ts';
import type { EndUser } from '../events/end-user.ts';
import { rfc3339 } from '../heron/instant.ts';
import { isHeronId } from '../heron/webhook.ts';
import { readBody } from '../http/body.ts';
import { leaving } from '../http/leaving.ts';
import { MAX_SAME_ID, OTHER, type Store } from '../store/store.ts';
import type { BatchAnswer } from './answers.ts';
import { MAX_IDS } from './calls.ts';
import type { Handlers } from './handlers.ts';
import { endUserCursor, isText, sameIdCursor, token } from './parameters.ts';
import { Problem } from './problem.ts';
import { MAX_TEXT_BYTES } from './schema.ts';
import { endUserAnswer } from './shape.ts';
import type { Waits } from './waits.ts';
import { meets, unknownStatuses } from './wanted.ts';

const MAX_BODY_BYTES = 1024 * 1024;
const BODY_MS = 5_000;
/** Each may find a hundred end users of 32 KiB. */
const READS_AT_ONCE = 20;
/** Each is one of 32 KiB. */
const NAMED_AT_ONCE = 100;
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;
/** Who does not wait at all still has the store asked. */
const LEAST_READ_MS = 1_000;

type EndUserHandlers = Pick<Handlers, 'listEndUsers' | 'getEndUser' | 'batchGetEndUsers'>;

export function endUserHandlers(store: Store, waits: Waits, stopwatch: Stopwatch): EndUserHandlers {
  return {
    async listEndUsers({ end_user_id, status, review_required, failing, page_size, page_token }, { signal }) {
      const asked = Object.entries({ end_user_id, status, review_required, failing }).filter(
        ([, value]) => value !== null,
      );
      if (asked.length > 1)
        throw new Problem('bad-request', `${asked.map(([name]) => name).join(' and ')} are asked for one at a time.`);
      if (end_user_id !== null) {
        const page = await store.endUsersOfPage(end_user_id, page_size, sameIdCursor(page_token), signal);
        const next_page_token = token(page.next === null ? null : [null, page.next]);
        return { json: { end_users: page.endUsers.map(endUserAnswer), next_page_token } };
      }
      const filter = {
        ...(status === null ? {} : { status }),
        ...(review_required === null ? {} : { review_required }),
        ...(failing === null ? {} : { failing }),
      };
      const { endUsers, next } = await store.listEndUsers(filter, page_size, endUserCursor(page_token), signal);
      const next_page_token = token(next && [next.changed_at, next.heron_id]);
      const noted = noting(status === null || status === OTHER ? [] : [status]);
      return { json: { end_users: endUsers.map(endUserAnswer), next_page_token, ...noted } };
    },

    async getEndUser({ id, wait_for, after, timeout }, { response, search, signal }) {
      if (wait_for === null) {
        if (after !== null || search.has('timeout'))
          throw new Problem('bad-request', 'after and timeout belong to wait_for, which is missing.');
        return { json: endUserAnswer(only(await withId(store, id, signal))) };
      }
      const wanted = { statuses: new Set(wait_for), after };
      const end = stopwatch() + Math.max(timeout * 1_000, LEAST_READ_MS);
      const atFirst = await within(end - stopwatch(), withId(store, id, signal), tooSlow);
      const before = new Map(atFirst.map((state) => [state.heron_id, state]));
      const isMet = (state: EndUser) => meets(state, wanted, before.get(state.heron_id) ?? null);
      const suffices = (states: readonly EndUser[]) => states.length > 1 || states.some(isMet);

      // Unknown so far, a text like a heron_id is waited for as one.
      const byHeronId = isHeronId(id) && atFirst.every(({ heron_id }) => heron_id === id);
      const watched = byHeronId ? { heron_id: id } : { end_user_id: id };
      const timeoutMs = timeout === 0 ? 0 : end - stopwatch();
      const atLast = suffices(atFirst) ? null : await waits.until(watched, suffices, timeoutMs, leaving(response));
      const noted = noting(wait_for);
      const state = only(atLast ?? atFirst, noted);
      return { json: { ...endUserAnswer(state), ...noted }, status: isMet(state) ? 200 : 202 };
    },

    async batchGetEndUsers(_parameters, { request, signal }) {
      const ids = idsOf(await bodyOf(request));
      const results = new Map<string, BatchResult>();
      const bytes = new Map<string, number>();
      let read = 0;
      for await (const result of resultsFor(store, [...new Set(ids)], signal)) {
        const size = Buffer.byteLength(JSON.stringify(result));
        results.set(result.id, result);
        bytes.set(result.id, size);
        read += size;
        if (read > MAX_ANSWER_BYTES) break; // what is left would not fit
      }
      let left = MAX_ANSWER_BYTES;
      const fitting = ids.findIndex((id) => {
        left -= bytes.get(id) ?? Infinity;
        return left < 0;
      });
      if (fitting !== -1)
        throw new Problem(
          'answer-too-large',
          `The answer would be over ${MAX_ANSWER_BYTES / 2 ** 20} MiB: the first ${fitting} of the ids fit.`,
        );
      return { json: { results: ids.flatMap((id) => results.get(id) ?? []) } };
    },
  };
}

type BatchResult = BatchAnswer['results'][number];

/** What each id names: in one call those that are heron_ids, and by a query each those that nobody has as one. */
async function* resultsFor(
  store: Store,
  ids: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<BatchResult, void, undefined> {
  for (const some of slices(ids, NAMED_AT_ONCE)) {
    const heronIds = some.filter(isHeronId);
    const named = heronIds.length === 0 ? [] : await store.endUsersNamed(heronIds, signal);
    const known = new Map(named.flatMap((endUser) => (endUser === null ? [] : [[endUser.heron_id, endUser]])));
    for (const [id, endUser] of known) yield { id, end_users: [endUserAnswer(endUser)] };
    const others = some.filter((id) => !known.has(id));
    for (const each of slices(others, READS_AT_ONCE))
      yield* await Promise.all(each.map((id) => sharing(store, id, signal)));
  }
}

/** The first of those that share a customer's id; where there are more, how to ask for them. */
async function sharing(store: Store, id: string, signal: AbortSignal): Promise<BatchResult> {
  const { endUsers, next } = await store.endUsersOfPage(id, MAX_SAME_ID, null, signal);
  const next_page_token = token(next === null ? null : [null, next]);
  return { id, end_users: endUsers.map(endUserAnswer), ...(next_page_token === null ? {} : { next_page_token }) };
}

function tooSlow(): never {
  throw new StoreTooSlow('The store did not answer in the time that there was.');
}

class StoreTooSlow extends Error {
  override readonly name = 'StoreTooSlow';
}

/** A misspelt status is waited for in vain: that it is unknown is said. */
function noting(statuses: Iterable<string>) {
  const unknown = unknownStatuses(statuses);
  return unknown.length === 0 ? {} : { unknown_statuses: [...unknown] };
}

function slices<T>(all: readonly T[], size: number): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size));
}

/** By heron_id, or else all that have it as the customer's own id. */
export async function withId(store: Store, id: string, signal: AbortSignal): Promise<readonly EndUser[]> {
  const known = isHeronId(id) ? await store.endUser(id, signal) : null;
  return known === null ? store.endUsersOf(id, signal) : [known];
}

/** @param members of the problem beside its own. @throws Problem where there is none, or several. */
export function only(states: readonly EndUser[], members: Readonly<Record<string, unknown>> = {}): EndUser {
  const [found, ...others] = states;
  if (found === undefined) throw new Problem('end-user-unknown', undefined, { members });
  if (others.length === 0) return found;
  const end_users = states
    .toSorted((a, b) => Number(a.last_event_at < b.last_event_at) - Number(a.last_event_at > b.last_event_at))
    .map(({ heron_id, status, last_event_at }) => ({ heron_id, status, last_event_at: rfc3339(last_event_at) }));
  const ids = end_users.map(({ heron_id }) => heron_id).join(', ');
  throw new Problem(
    'end-user-ambiguous',
    `${states.length < MAX_SAME_ID ? 'Several' : `At least ${MAX_SAME_ID}`} end users have this end_user_id, the one named last first: ask for one of ${ids}.`,
    { members: { ...members, end_users } },
  );
}

/** The ids that a batch asks for. */
function idsOf(body: Buffer): readonly string[] {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    throw new Problem('bad-request', 'The body is not JSON.');
  }
  const { ids } = (json ?? {}) as { ids?: unknown };
  if (!Array.isArray(ids)) throw new Problem('bad-request', 'The body is {"ids": […]}.');
  const bad = ids.findIndex((id) => !isText(id));
  if (bad !== -1)
    throw new Problem(
      'bad-request',
      `ids[${bad}] is not a text of 1 to ${MAX_TEXT_BYTES} bytes; no id was looked for.`,
    );
  const { size } = new Set(ids);
  if (size > MAX_IDS) throw new Problem('bad-request', `These are ${size} different ids: at most ${MAX_IDS} at once.`);
  return ids;
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const body = await readBody(request, MAX_BODY_BYTES, BODY_MS);
  switch (body.kind) {
    case 'complete':
      return body.bytes;
    case 'too_large':
      throw new Problem('body-too-large');
    case 'timed_out':
    case 'client_left':
      throw new Problem('body-too-slow');
    default:
      return body satisfies never;
  }
}
