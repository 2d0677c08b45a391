import { STATUSES } from '../heron/status.ts';
import {
  COUNT,
  described,
  exactly,
  list,
  object,
  TEXT,
  TEXT_OR_NONE,
  TIME,
  TIME_OR_NONE,
  type Value,
} from './schema.ts';

/** What is answered: from here come the handlers' types, the page's, the CLI's, and the OpenAPI document. */

const HERON_ID = { type: 'string', pattern: '^eus_[A-Za-z0-9_-]{1,64}$' } as const;
const NEXT_PAGE = described({ type: ['string', 'null'] }, '`page_token` of the next page; null where there is none.');

const ANNOUNCED = 'When a webhook last announced it, whatever the status is now.';

const END_USER_MEMBERS = {
  heron_id: HERON_ID,
  end_user_id: TEXT_OR_NONE,
  status: described(TEXT_OR_NONE, `${STATUSES.join(', ')}, or one that Heron adds later; null where no webhook said.`),
  status_at: TIME_OR_NONE,
  processed_at: described(TIME_OR_NONE, ANNOUNCED),
  failed_at: described(TIME_OR_NONE, ANNOUNCED),
  reviewed_at: described(TIME_OR_NONE, ANNOUNCED),
  review_required: described({ type: 'boolean' }, 'A review was asked for and none has happened since.'),
  failing: described(
    { type: 'boolean' },
    'A failure was told, and neither processing nor a review has succeeded since.',
  ),
  first_event_at: TIME,
  last_event_at: TIME,
  last_event: object({ id: { type: 'string' }, topic: TEXT_OR_NONE, created: TIME }),
  event_count: { type: 'integer', minimum: 1 },
  meta: { type: ['object', 'null'] },
} as const;

export const END_USER = object(END_USER_MEMBERS);
export type EndUserAnswer = Value<typeof END_USER>;

const UNKNOWN_STATUSES = described(
  list(TEXT),
  'Those asked for that Heron does not document: misspelt, or newer than this. Left out where there are none.',
);

/** What is answered to who waits. */
export const AWAITED = object(END_USER_MEMBERS, { unknown_statuses: UNKNOWN_STATUSES });

export const END_USER_PAGE = object(
  { end_users: list(END_USER), next_page_token: NEXT_PAGE },
  { unknown_statuses: UNKNOWN_STATUSES },
);
export type EndUserPageAnswer = Value<typeof END_USER_PAGE>;

const MORE = described(
  { type: 'string' },
  'Where more end users share the id than are listed: `page_token` for the rest, by /end-users?end_user_id=….',
);

export const BATCH = object({
  results: list(object({ id: TEXT, end_users: list(END_USER) }, { next_page_token: MORE })),
});
export type BatchAnswer = Value<typeof BATCH>;

const AS_IN_BODY = { description: 'As in the body; left out where that is over 32 KiB.' } as const;

export const EVENT = object(
  {
    id: { type: 'string', pattern: '^[0-9a-f]{64}$' },
    topic: TEXT_OR_NONE,
    created: TIME_OR_NONE,
    received_at: TIME,
    recorded_at: TIME,
    heron_id: { type: ['string', 'null'] },
    end_user_id: TEXT_OR_NONE,
    status: TEXT_OR_NONE,
    bytes: COUNT,
  },
  {
    data: AS_IN_BODY,
    meta: AS_IN_BODY,
    reason: described({ type: 'string' }, 'Why it has no place, where it has none.'),
  },
);
export type EventAnswer = Value<typeof EVENT>;

export const EVENT_PAGE = object({ events: list(EVENT), next_page_token: NEXT_PAGE });
export type EventPageAnswer = Value<typeof EVENT_PAGE>;

export const HOURS = 24;

export const STATS = object({
  computed_at: TIME,
  end_users: object({
    total: COUNT,
    review_required: COUNT,
    failing: COUNT,
    by_status: object({
      new: COUNT,
      ready: COUNT,
      processed: COUNT,
      reviewed: COUNT,
      review_requested: COUNT,
      failed: COUNT,
      other: COUNT,
    }),
  }),
  events: object({
    total: COUNT,
    unrouted: described(COUNT, 'Without a place of their own: see /events?unrouted=true.'),
    last_recorded_at: TIME_OR_NONE,
    hours: exactly(HOURS, TIME),
    topics: list(object({ topic: TEXT_OR_NONE, total: COUNT, by_hour: exactly(HOURS, COUNT) })),
    more_topics: described({ type: 'boolean' }, 'The log has more topics than are counted: 200, by name.'),
  }),
});
export type StatsAnswer = Value<typeof STATS>;

export const PROBLEM = {
  type: 'object',
  required: ['type', 'title', 'status', 'detail'],
  properties: {
    type: { type: 'string', format: 'uri-reference' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string' },
  },
} as const;

/** Of several end users with one end_user_id: which. */
export const AMBIGUOUS = {
  ...PROBLEM,
  required: [...PROBLEM.required, 'end_users'],
  properties: {
    ...PROBLEM.properties,
    end_users: list(object({ heron_id: HERON_ID, status: TEXT_OR_NONE, last_event_at: TIME })),
  },
} as const;
