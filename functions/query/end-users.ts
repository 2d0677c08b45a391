import type { IncomingMessage } from 'node:http';
import type { EndUser } from '../events/end-user.ts';
import type { Instant } from '../heron/instant.ts';
import { isHeronId } from '../heron/webhook.ts';
import { readBody } from '../http/body.ts';
import { pool } from '../pool.ts';
import type { Store } from '../store/store.ts';
import { MAX_IDS } from './calls.ts';
import type { Handlers } from './handlers.ts';
import { endUserCursor, isText, token } from './parameters.ts';
import { Problem } from './problem.ts';
import { MAX_TEXT_BYTES } from './schema.ts';
import { endUserAnswer } from './shape.ts';
import type { Waits } from './waits.ts';

const MAX_BODY_BYTES = 1024 * 1024;
const BODY_MS = 5_000;
/** Firestore's client opens another connection past 100 calls at once. */
const READS_AT_ONCE = 50;

type EndUserHandlers = Pick<Handlers, 'listEndUsers' | 'getEndUser' | 'batchGetEndUsers'>;

export function endUserHandlers(store: Store, waits: Waits): EndUserHandlers {
  return {
    async listEndUsers({ end_user_id, status, review_required, page_size, page_token }, { search }) {
      if (end_user_id !== null) {
        if (search.size > 1)
          throw new Problem('bad-request', 'end_user_id stands alone: its end users come on one page.');
        const endUsers = await store.endUsersOf(end_user_id);
        return { json: { end_users: endUsers.map(endUserAnswer), next_page_token: null } };
      }
      if (status !== null && review_required !== null)
        throw new Problem('bad-request', 'status and review_required are asked for one at a time.');
      const filter = {
        ...(status === null ? {} : { status }),
        ...(review_required === null ? {} : { review_required }),
      };
      const { endUsers, next } = await store.listEndUsers(filter, page_size, endUserCursor(page_token));
      const next_page_token = token(next && [next.changed_at, next.heron_id]);
      return { json: { end_users: endUsers.map(endUserAnswer), next_page_token } };
    },

    async getEndUser({ id, wait_for, after, timeout }, { response, search }) {
      if (wait_for === null) {
        if (after !== null || search.has('timeout'))
          throw new Problem('bad-request', 'after and timeout belong to wait_for, which is missing.');
        return { json: endUserAnswer(only(await withId(store, id))) };
      }
      const wanted = { statuses: new Set(wait_for), after };
      const atFirst = await withId(store, id);
      if (atFirst.length > 1 || atFirst.some((state) => meets(state, wanted)))
        return { json: endUserAnswer(only(atFirst)) };

      // Unknown so far, a text like a heron_id is waited for as one.
      const byHeronId = isHeronId(id) && atFirst.every(({ heron_id }) => heron_id === id);
      const atLast = await waits.until(
        byHeronId ? { heron_id: id } : { end_user_id: id },
        (states) => states.length > 1 || states.some((state) => meets(state, wanted)),
        timeout * 1_000,
        (left) => (response.destroyed ? left() : response.once('close', left)),
      );
      const state = only(atLast ?? (await withId(store, id)));
      return { json: endUserAnswer(state), status: meets(state, wanted) ? 200 : 202 };
    },

    async batchGetEndUsers(_parameters, { request }) {
      const results = await pool(idsOf(await bodyOf(request)), READS_AT_ONCE, async (id) => ({
        id,
        end_users: (await withId(store, id)).map(endUserAnswer),
      }));
      return { json: { results } };
    },
  };
}

type Wanted = { readonly statuses: ReadonlySet<string>; readonly after: Instant | null };

function meets({ status, status_at }: EndUser, { statuses, after }: Wanted): boolean {
  return status !== null && statuses.has(status) && (after === null || (status_at !== null && status_at > after));
}

/** By heron_id, or else all that have it as the customer's own id. */
export async function withId(store: Store, id: string): Promise<readonly EndUser[]> {
  const known = isHeronId(id) ? await store.endUser(id) : null;
  return known === null ? store.endUsersOf(id) : [known];
}

/** @throws Problem where there is none, or several. */
export function only([found, ...others]: readonly EndUser[]): EndUser {
  if (found === undefined) throw new Problem('end-user-unknown');
  if (others.length === 0) return found;
  const ids = [found, ...others].map(({ heron_id }) => heron_id).join(', ');
  throw new Problem('end-user-ambiguous', `Several end users have this end_user_id: ask for one of ${ids}.`);
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
  if (!Array.isArray(ids) || ids.length > MAX_IDS || !ids.every(isText))
    throw new Problem(
      'bad-request',
      `The body is {"ids": […]} with at most ${MAX_IDS} texts of 1 to ${MAX_TEXT_BYTES} bytes each.`,
    );
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
