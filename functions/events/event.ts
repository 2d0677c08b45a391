import { hash } from 'node:crypto';
import { type Instant, microsecondsBetween } from '../heron/instant.ts';
import { parseWebhook, type Webhook } from '../heron/webhook.ts';

/** A webhook that Heron signed, as a fact: its body, when it reached us, and what the body says. */
export type HeronEvent = Webhook & {
  /** Lower-case hex SHA-256 of the body: Heron sends no id, and a retry or resend has the same bytes. */
  readonly event_id: string;
  readonly received_at: Instant;
  readonly body: Uint8Array;
};

/** What is read of an event, without its body: all that states are folded from. */
export type ReadEvent = Omit<HeronEvent, 'body'>;

/** An event that belongs to an end user and has its place in time: what the state of end users is folded from. */
export type EndUserEvent<E extends ReadEvent = HeronEvent> = E & {
  readonly heron_id: string;
  readonly created: Instant;
};

export function eventOf(body: Uint8Array, received_at: Instant, event_id: string = eventId(body)): HeronEvent {
  return { ...parseWebhook(body), event_id, received_at, body };
}

export function eventId(body: Uint8Array): string {
  return hash('sha256', body, 'hex');
}

/** Whether a text has the form of an event's id, and so is safe as a document's name. */
export function isEventId(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

/** Whether an event changes an end user's state; what names no end user or has no time is in the log only. */
export function concernsEndUser<E extends ReadEvent>(event: E): event is EndUserEvent<E> {
  return event.heron_id !== null && event.created !== null;
}

/** How far `created` is ahead of the event's arrival, in microseconds; negative behind it, and 0 where it is no time. */
export function microsecondsAhead({ created, received_at }: Pick<HeronEvent, 'created' | 'received_at'>): number {
  return created === null ? 0 : microsecondsBetween(received_at, created);
}

/** From this on, strictly, an event counts as of its arrival. */
export const FAR_AHEAD_MICROSECONDS = 86_400_000_000;

/** What can never be processed, however often it comes: `message` says why, and quotes nothing of it. */
export class Unprocessable extends Error {
  override readonly name = 'Unprocessable';
}
