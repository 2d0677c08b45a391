/** The statuses of an end user that Heron documents, in the order of its process. The list may grow: others are normal. */
export const STATUSES = ['new', 'ready', 'processed', 'failed', 'review_requested', 'reviewed'] as const;

export type Status = (typeof STATUSES)[number];

const MEANT: ReadonlyMap<string | null, Status> = new Map([
  ['end_user.created', 'new'],
  ['end_user.processed', 'processed'],
  ['end_user.failed', 'failed'],
  ['end_user.reviewed', 'reviewed'],
]);

/** The status that a webhook of this topic announces, or null: Heron puts a status into most webhooks about an end user. */
export function statusMeantBy(topic: string | null): Status | null {
  return MEANT.get(topic) ?? null;
}
