import type { Message } from '../events/message.ts';
import type { Instant } from '../heron/instant.ts';

/** What Pub/Sub takes for an acknowledgement. Source: https://cloud.google.com/pubsub/docs/push#receive_push */
const ACCEPTED = new Set([102, 200, 201, 202, 204]);

export function isAcknowledged(status: number): boolean {
  return ACCEPTED.has(status);
}

export type PushedMessage = { readonly message: Message; readonly messageId: string; readonly publishTime: Instant };

/**
 * Pushes a message without wrapping, as Pub/Sub does: its data as it is, and its attributes as headers.
 * Source: https://cloud.google.com/pubsub/docs/payload-unwrapping#http_headers
 * @returns the status of the answer.
 */
export function pushUnwrapped(
  endpoint: string,
  { message, messageId, publishTime }: PushedMessage,
  subscription: string,
  signal: AbortSignal,
): Promise<number> {
  const headers = {
    ...message.attributes,
    'x-goog-pubsub-message-id': messageId,
    'x-goog-pubsub-publish-time': publishTime,
    'x-goog-pubsub-subscription-name': subscription,
  };
  return post(endpoint, message.data, headers, signal);
}

/** Pushes Pub/Sub's own envelope. */
export function pushWrapped(endpoint: string, body: string, signal: AbortSignal): Promise<number> {
  return post(endpoint, body, { 'Content-Type': 'application/json' }, signal);
}

async function post(
  endpoint: string,
  body: string | Uint8Array,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<number> {
  const content = typeof body === 'string' ? body : Buffer.from(body);
  // Pub/Sub follows no redirect: it is no acknowledgement.
  const response = await fetch(endpoint, { method: 'POST', body: content, headers, signal, redirect: 'manual' });
  await response.body?.cancel();
  return response.status;
}
