import type { EndUserAnswer } from '../query/answers.ts';
import { inLine, print, printJson, sayWaiting, styled } from './output.ts';
import { ask, isEndUser, type QueryOptions } from './query-api.ts';

/** Asks the query API where an end user stands. Resolves with the exit code; rejects where it is unknown. */
export async function status(id: string, { json, ...where }: QueryOptions & { readonly json: boolean }) {
  const hush = sayWaiting(where.url);
  const { body } = await ask(where, `end-users/${encodeURIComponent(id)}`, isEndUser).finally(hush);
  if (json) printJson(body);
  else print(table(body));
  return 0;
}

/** Where an end user stands, for people. */
export function table(endUser: EndUserAnswer): string {
  const rows: readonly (readonly [string, unknown])[] = [
    ['heron_id', endUser.heron_id],
    ['end_user_id', endUser.end_user_id],
    ['status', endUser.status],
    ['status_at', endUser.status_at],
    ['review_required', endUser.review_required],
    ['failing', endUser.failing],
    ['events', endUser.event_count],
    ['last event', `${endUser.last_event.topic ?? 'unknown'}, ${endUser.last_event_at}`],
  ];
  return rows.map(([name, value]) => `${styled('dim', name.padEnd(16))}${inLine(value)}`).join('\n');
}
