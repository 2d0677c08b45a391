import { CommandFailed, unreachable } from './failure.ts';
import { print, styled } from './output.ts';

/** Asks the query API where an end user stands. Resolves with the exit code: 1 where it is unknown. */
export async function status(id: string, { url, json }: { url: string; json: boolean }): Promise<number> {
  const address = new URL(`end-users/${encodeURIComponent(id)}`, url.endsWith('/') ? url : `${url}/`).href;
  let response: Response;
  let body: Record<string, unknown>;
  try {
    response = await fetch(address, { signal: AbortSignal.timeout(30_000) });
    body = (await response.json()) as Record<string, unknown>;
  } catch (error) {
    if (error instanceof SyntaxError) throw new CommandFailed(`What answers at ${address} is not the query API.`);
    throw unreachable(url, error);
  }
  if (json) print(JSON.stringify(body));
  else if (response.ok) print(table(body));
  else throw new CommandFailed(`${response.status} ${body.title}: ${body.detail}`);
  return response.ok ? 0 : 1;
}

function table(endUser: Record<string, unknown>): string {
  const { topic } = endUser.last_event as { topic?: unknown };
  const rows: readonly (readonly [string, unknown])[] = [
    ['heron_id', endUser.heron_id],
    ['end_user_id', endUser.end_user_id],
    ['status', endUser.status],
    ['status_at', endUser.status_at],
    ['review_required', endUser.review_required],
    ['events', endUser.event_count],
    ['last event', `${topic ?? 'unknown'}, ${endUser.last_event_at}`],
  ];
  return rows.map(([name, value]) => `${styled('dim', name.padEnd(16))}${value ?? '–'}`).join('\n');
}
