import { isRecord } from '../heron/json.ts';
import type { EventAnswer, EventPageAnswer } from '../query/answers.ts';
import { counted, inLine, note, print, printJson, readerGone, sayWaiting, styled } from './output.ts';
import { ask, type QueryOptions } from './query-api.ts';
import { topicColumn } from './topic-pattern.ts';

export type EventsOptions = QueryOptions & { readonly limit: number; readonly json: boolean };

const PAGE = 100;

/** Prints an end user's history as a timeline, oldest first. Resolves with the exit code. */
export async function events(id: string, { limit, json, ...where }: EventsOptions): Promise<number> {
  const found: EventAnswer[] = [];
  let token: string | null = null;
  do {
    const query = new URLSearchParams({ page_size: String(Math.min(PAGE, limit - found.length)) });
    if (token !== null) query.set('page_token', token);
    const path = `end-users/${encodeURIComponent(id)}/events?${query}`;
    const hush = sayWaiting(where.url);
    const { body } = await ask(where, path, isEventPage).finally(hush);
    found.push(...body.events);
    token = body.next_page_token;
  } while (token !== null && found.length < limit && !readerGone.aborted);
  found.reverse();
  if (json) {
    printJson({ events: found, complete: token === null });
    return 0;
  }
  if (found.length > 0) print(timeline(found));
  note(
    token === null
      ? `${counted(found.length, 'event')}, all there are.`
      : `The newest ${found.length}: --limit for more.`,
  );
  return 0;
}

function isEventPage(body: unknown): body is EventPageAnswer {
  return isRecord(body) && Array.isArray(body.events) && body.events.every(isRecord);
}

/** A line for each event under its day, in UTC; what came late says how late. */
function timeline(found: readonly EventAnswer[]): string {
  let day = '';
  return found
    .flatMap((event) => {
      const { id, topic, created, received_at, status } = event;
      const [date = '', time = ''] = (created ?? 'no time').replace('Z', '').split('T');
      const heading = date === day ? [] : [...(day === '' ? [] : ['']), styled('bold', inLine(date))];
      day = date;
      const facts = [
        inLine(time === '' ? '–' : time.slice(0, 12)).padEnd(12),
        topicColumn(topic),
        styled(colour(status), inLine(status).padEnd(16)),
        styled('dim', inLine(id).slice(0, 8)),
        lateness(created, received_at),
      ];
      return [...heading, `  ${facts.join(' ')}`.trimEnd()];
    })
    .join('\n');
}

function colour(status: string | null) {
  if (status === 'failed') return 'red';
  if (status === 'review_requested') return 'yellow';
  return status === 'processed' || status === 'reviewed' ? 'green' : 'dim';
}

const LATE_MS = 60_000;

/** Heron's retries, or what was recovered or sent again. */
function lateness(created: string | null, received: string): string {
  const late = created === null ? 0 : Date.parse(received) - Date.parse(created);
  if (!(late >= LATE_MS)) return '';
  const minutes = Math.round(late / 60_000);
  const [days, hours] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24];
  const rest = minutes % 60;
  return styled('dim', `+${days > 0 ? `${days} d ${hours} h` : hours > 0 ? `${hours} h ${rest} min` : `${rest} min`}`);
}
