import type { EndUser } from '../events/end-user.ts';
import { type Instant, rfc3339 } from '../heron/instant.ts';
import { type JsonObject, parseAsWritten } from '../heron/json.ts';
import type { LoggedEvent } from '../store/store.ts';
import type { EndUserAnswer, EventAnswer } from './answers.ts';

/** JSON.stringify overflows the stack some thousands of levels down. */
const MAX_DEPTH = 1_000;

/** A state, as it is answered. */
export function endUserAnswer({ fold, ...state }: EndUser): EndUserAnswer {
  return {
    ...state,
    status_at: timeOrNone(state.status_at),
    processed_at: timeOrNone(state.processed_at),
    failed_at: timeOrNone(state.failed_at),
    reviewed_at: timeOrNone(state.reviewed_at),
    first_event_at: rfc3339(state.first_event_at),
    last_event_at: rfc3339(state.last_event_at),
    last_event: { ...state.last_event, created: rfc3339(state.last_event.created) },
    meta: state.meta === null ? null : (parseAsWritten(state.meta) as JsonObject),
  };
}

/** An event, as it is answered. */
export function eventAnswer({ event_id, body, ...event }: LoggedEvent): EventAnswer {
  return {
    id: event_id,
    ...event,
    created: timeOrNone(event.created),
    received_at: rfc3339(event.received_at),
    recorded_at: rfc3339(event.recorded_at),
    ...contents(body),
  };
}

function timeOrNone(instant: Instant | null): string | null {
  return instant === null ? null : rfc3339(instant);
}

/** `data` and `meta` as the body has them; left out where it has none, is kept apart, or is nested beyond answering. */
function contents(body: Uint8Array | null): Pick<EventAnswer, 'data' | 'meta'> {
  if (body === null || depth(body) > MAX_DEPTH) return {};
  try {
    const { data, meta } = parseAsWritten(new TextDecoder('utf-8', { fatal: true }).decode(body)) as JsonObject;
    return { ...(data === undefined ? {} : { data }), ...(meta === undefined ? {} : { meta }) };
  } catch {
    return {}; // not JSON
  }
}

/** At most how deep a JSON text is nested; brackets in its strings count too. */
function depth(json: Uint8Array): number {
  let [now, most] = [0, 0];
  for (const byte of json) {
    if (byte === 0x5b || byte === 0x7b) most = Math.max(most, ++now);
    else if (byte === 0x5d || byte === 0x7d) now--;
  }
  return most;
}
