/** What may be wrong, each with the HTTP status that says it; `type` of a problem is its place on the page of them. */
export const PROBLEMS = {
  'bad-request': [400, 'Bad Request', 'A parameter or the body is not what this address takes; the detail says which.'],
  'end-user-unknown': [
    404,
    'Not Found',
    'No end user has this heron_id or end_user_id now: no webhook has named it yet, a later one gave it another end_user_id, or it was forgotten.',
  ],
  'event-unknown': [404, 'Not Found', 'The log has no event with this id: the SHA-256 of its body, in lower-case hex.'],
  'address-unknown': [404, 'Not Found', 'There is nothing at this address. /openapi.json lists all there are.'],
  'method-not-allowed': [405, 'Method Not Allowed', 'The address takes another method: Allow names it.'],
  'body-too-slow': [408, 'Request Timeout', 'The body did not arrive within 5 s. Send it again.'],
  'end-user-ambiguous': [
    409,
    'Conflict',
    'Several end users have this end_user_id: `end_users` has the heron_id of each, its status and when a webhook last named it. Ask for one of those.',
  ],
  'body-too-large': [413, 'Content Too Large', 'The body is over 1 MiB: ask for fewer ids at once.'],
  'answer-too-large': [
    413,
    'Content Too Large',
    'The answer would be over 8 MiB: ask for as many of the ids at once as the detail says.',
  ],
  unavailable: [503, 'Service Unavailable', 'The store could not be read. Try again after the seconds of Retry-After.'],
} as const satisfies Record<string, readonly [status: number, title: string, meaning: string]>;

export type ProblemType = keyof typeof PROBLEMS;

export type ProblemOptions = {
  readonly headers?: Readonly<Record<string, string>>;
  /** What the problem's JSON has beside what every problem's has. */
  readonly members?: Readonly<Record<string, unknown>>;
};

/** An answer that is no success: becomes an RFC 9457 problem. */
export class Problem extends Error {
  readonly type: ProblemType;
  readonly headers: Readonly<Record<string, string>>;
  readonly members: Readonly<Record<string, unknown>>;
  constructor(
    type: ProblemType,
    detail: string = PROBLEMS[type][2],
    { headers = {}, members = {} }: ProblemOptions = {},
  ) {
    super(detail);
    this.type = type;
    this.headers = headers;
    this.members = members;
  }
}

/** The page that problems' types point into. */
export function problemsPage(): string {
  const entries = Object.entries(PROBLEMS).map(
    ([type, [status, title, meaning]]) => `<dt id="${type}">${type} (${status} ${title})</dt><dd>${meaning}</dd>`,
  );
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>Problems · Heron webhooks</title><h1>What this API calls a problem</h1><dl>${entries.join('')}</dl></html>\n`;
}
