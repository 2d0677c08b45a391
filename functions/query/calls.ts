import { AWAITED, BATCH, END_USER_PAGE, EVENT, EVENT_PAGE, STATS } from './answers.ts';
import type { Parameter } from './parameters.ts';
import type { ProblemType } from './problem.ts';
import { described, list, type Schema, TEXT, TIME } from './schema.ts';

/** An answer that is no problem: JSON of a schema, or something else, by its media type. */
export type AnswerOf = { readonly description: string } & ({ readonly json: Schema } | { readonly media: string });

export type Call = {
  readonly method: 'GET' | 'POST';
  /** Its `{names}` are parameters, percent-encoded. */
  readonly path: string;
  readonly summary: string;
  readonly parameters: Readonly<Record<string, Parameter>>;
  /** Of a request's JSON. */
  readonly body?: Schema;
  readonly answers: Readonly<Partial<Record<200 | 202, AnswerOf>>>;
  /** Beside those that any call may have. */
  readonly problems: readonly ProblemType[];
};

const ID = described(TEXT, 'A heron_id (`eus_…`), or your own end_user_id, percent-encoded.');
const EVENT_ID = described(TEXT, 'Lower-case hex SHA-256 of the event’s body.');
const PAGE = {
  page_size: { type: 'integer', minimum: 1, maximum: 200, default: 50, description: 'How many at most.' },
  page_token: described(TEXT, '`next_page_token` of the page before.'),
} as const;

export const MAX_IDS = 500;

/** Every call there is: routing, what is taken, the handlers' types and the OpenAPI document come from this table. */
export const CALLS = {
  listEndUsers: {
    method: 'GET',
    path: '/end-users',
    summary: 'End users, newest change first; or all that share a customer’s id',
    parameters: {
      end_user_id: described(
        TEXT,
        'Only those with this customer’s id, by heron_id. This and the next three are asked for one at a time.',
      ),
      status: described(TEXT, 'Only those of this status; `other`: of none that Heron documents, or of none at all.'),
      review_required: { const: true, description: 'Only those whose review is still required.' },
      failing: { const: true, description: 'Only those that failed and have not succeeded since.' },
      ...PAGE,
    },
    answers: {
      200: {
        description:
          'A page of end users, those that changed last first. While end users change during paging: none is shown twice, each that does not change is shown once, and one that changes may be left out of later pages, as it then stands before the first.',
        json: END_USER_PAGE,
      },
    },
    problems: [],
  },
  batchGetEndUsers: {
    method: 'POST',
    path: '/end-users:batchGet',
    summary: 'Up to 500 ids at once',
    parameters: {},
    body: {
      type: 'object',
      additionalProperties: false,
      required: ['ids'],
      properties: { ids: described(list(TEXT), `At most ${MAX_IDS} different ones.`) },
    },
    answers: {
      200: {
        description:
          'For each id, in order, its end users: none, one, or several that share a customer’s id. At most 8 MiB.',
        json: BATCH,
      },
    },
    problems: ['body-too-slow', 'body-too-large', 'answer-too-large'],
  },
  getEndUser: {
    method: 'GET',
    path: '/end-users/{id}',
    summary: 'Where an end user stands, at once or as soon as it stands somewhere',
    parameters: {
      id: ID,
      wait_for: {
        type: 'array',
        minItems: 1,
        maxItems: 20,
        items: TEXT,
        description:
          'Statuses, with commas between them: answer as soon as the end user is one of them, or has become one since the wait began (processed, failed and reviewed also where it has moved on since). The end user need not exist yet.',
      },
      after: described(
        TIME,
        'Only where it was said later than this: by processed_at, failed_at or reviewed_at; for the current status by status_at.',
      ),
      timeout: {
        type: 'integer',
        minimum: 0,
        // Cloud Run's load balancers and many clients give up at 60 s.
        maximum: 55,
        default: 25,
        description:
          'Seconds to wait at most, the store’s own slowness included (which has a second where this is 0). A process that is stopped answers earlier.',
      },
    },
    answers: {
      200: { description: 'The state.', json: AWAITED },
      202: { description: 'The time is out: the state so far.', json: AWAITED },
    },
    problems: ['end-user-unknown', 'end-user-ambiguous'],
  },
  listEndUserEvents: {
    method: 'GET',
    path: '/end-users/{id}/events',
    summary: 'An end user’s history, newest first',
    parameters: { id: ID, ...PAGE },
    answers: { 200: { description: 'A page of its events.', json: EVENT_PAGE } },
    problems: ['end-user-unknown', 'end-user-ambiguous'],
  },
  listEvents: {
    method: 'GET',
    path: '/events',
    summary: 'The log by topic, or what has no place of its own; newest recorded first',
    parameters: {
      topic: described(TEXT, 'Of this topic. Either this or unrouted.'),
      unrouted: {
        const: true,
        description:
          'Of a topic that Heron does not document, of an undocumented shape, or about an end user that it does not name; each with `reason`.',
      },
      ...PAGE,
    },
    answers: { 200: { description: 'A page of events.', json: EVENT_PAGE } },
    problems: [],
  },
  getEvent: {
    method: 'GET',
    path: '/events/{event_id}',
    summary: 'One event',
    parameters: { event_id: EVENT_ID },
    answers: { 200: { description: 'The event.', json: EVENT } },
    problems: ['event-unknown'],
  },
  getEventBody: {
    method: 'GET',
    path: '/events/{event_id}/body',
    summary: 'The body of an event, byte for byte',
    parameters: { event_id: EVENT_ID },
    answers: { 200: { description: 'The body.', media: 'application/octet-stream' } },
    problems: ['event-unknown'],
  },
  getStats: {
    method: 'GET',
    path: '/stats',
    summary: 'Counts, at most 30 s old',
    parameters: {},
    answers: {
      200: {
        description: 'Counts of end users now, and of events recorded in this and the 23 hours before.',
        json: STATS,
      },
    },
    problems: [],
  },
  getStream: {
    method: 'GET',
    path: '/stream',
    summary: 'State changes as they happen: server-sent events',
    parameters: {},
    answers: {
      200: {
        description:
          '`event: end_user` has a state as data; changes of one end user within 200 ms may come as one. `event: refetch` comes first, and where some changes may have been missed: read again what you show. `event: blind`: the store does not tell of changes just now; `refetch` comes once it does again. A comment comes every 15 s.',
        media: 'text/event-stream',
      },
    },
    problems: [],
  },
  getOpenapi: {
    method: 'GET',
    path: '/openapi.json',
    summary: 'This document',
    parameters: {},
    answers: { 200: { description: 'OpenAPI 3.1.', json: { type: 'object' } } },
    problems: [],
  },
  getAsyncapi: {
    method: 'GET',
    path: '/asyncapi.json',
    summary: 'The events that services subscribe to, on Pub/Sub',
    parameters: {},
    answers: { 200: { description: 'AsyncAPI 3.', json: { type: 'object' } } },
    problems: [],
  },
  getProblems: {
    method: 'GET',
    path: '/problems',
    summary: 'What each type of problem means',
    parameters: {},
    answers: { 200: { description: 'A page for people.', media: 'text/html' } },
    problems: [],
  },
  getPage: {
    method: 'GET',
    path: '/',
    summary: 'The page for people',
    parameters: {},
    answers: { 200: { description: 'A page.', media: 'text/html' } },
    problems: [],
  },
} as const satisfies Readonly<Record<string, Call>>;

export type CallName = keyof typeof CALLS;
