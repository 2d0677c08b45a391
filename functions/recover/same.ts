import { hash } from 'node:crypto';
import type { HeronEvent } from '../events/event.ts';
import { isRecord, type JsonValue, numberText, parseAsWritten } from '../heron/json.ts';
import type { LoggedEvent } from '../store/store.ts';

/** The log, as far as one looks for an event in it. */
export type EventLog = {
  event(eventId: string): Promise<LoggedEvent | null>;
  body(eventId: string): Promise<Uint8Array | null>;
  /** The events of an end user, or those that name none, which Heron sent at one moment. */
  sentAt(heronId: string | null, created: HeronEvent['created'] & string): Promise<readonly LoggedEvent[]>;
};

/**
 * What makes two bodies the same webhook: topic, created and data. Heron stores what a body says and writes it anew, so
 * that its bytes, and with them the event's id, differ from those it once sent.
 */
export function samenessOf(body: Uint8Array): string | null {
  try {
    const webhook = parseAsWritten(new TextDecoder('utf-8', { fatal: true }).decode(body));
    if (!isRecord(webhook)) return null;
    const { topic = null, created = null, data = null } = webhook;
    return hash('sha256', canonical([topic, created, data]));
  } catch {
    return null; // not JSON, or nested too deep to be compared: then it is the same only by its bytes
  }
}

/** Whether the log has an event, or another one that says the same. */
export async function isInLog(log: EventLog, event: HeronEvent): Promise<boolean> {
  if ((await log.event(event.event_id)) !== null) return true;
  const sameness = samenessOf(event.body);
  if (sameness === null || event.created === null) return false;
  for (const logged of await log.sentAt(event.heron_id, event.created)) {
    if (logged.topic !== event.topic) continue;
    const body = logged.body ?? (await log.body(logged.event_id));
    if (body !== null && samenessOf(body) === sameness) return true;
  }
  return false;
}

/** JSON with keys in order, and numbers by their value: whole ones to their last digit, others as doubles. */
function canonical(value: JsonValue): string {
  const number = numberText(value);
  if (number !== null) return /^-?\d+$/.test(number) ? String(BigInt(number)) : String(Number(number));
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`).join()}}`;
}
