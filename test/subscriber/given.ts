import { createHash } from 'node:crypto';
import type { Log, LogFields } from '../../functions/log.ts';
import type { PushRequest } from '../../functions/subscriber/respond.ts';

/** Whose subscription it is that delivers. */
export const SUBSCRIPTION = 'projects/acme-prod/subscriptions/underwriting.end_user.processed';

export const END_USER = { heron_id: 'eus_1', end_user_id: 'acme-1', status: 'processed' };

export type Sent = { readonly headers: Readonly<Record<string, string>>; readonly body: Uint8Array };

/** A webhook as an unwrapped push brings it. */
export function pushed(
  topic: string,
  data: unknown = END_USER,
  extensions: Readonly<Record<string, string>> = {},
): Sent {
  const body = Buffer.from(JSON.stringify({ topic, created: '2026-09-01T10:00:00+00:00', data, meta: null }));
  return {
    body,
    headers: {
      'ce-specversion': '1.0',
      'ce-id': createHash('sha256').update(body).digest('hex'),
      'ce-type': topic,
      'ce-source': 'https://app.herondata.io',
      'content-type': 'application/json',
      'x-goog-pubsub-message-id': '12345',
      'x-goog-pubsub-publish-time': '2026-09-01T10:00:05Z',
      'x-goog-pubsub-subscription-name': SUBSCRIPTION,
      ...extensions,
    },
  };
}

export function requestOf({ headers, body }: Sent, method = 'POST'): PushRequest {
  return {
    method,
    header: (name) => headers[name],
    headerNames: Object.keys(headers),
    body: async (maxBytes) => (body.byteLength > maxBytes ? { kind: 'too_large' } : { kind: 'complete', bytes: body }),
  };
}

export type Line = LogFields & { readonly severity: string; readonly message: string };

/** A log that keeps its lines. */
export function linesOf(): { readonly lines: Line[]; readonly log: Log } {
  const lines: Line[] = [];
  return { lines, log: (severity, message, fields) => lines.push({ ...fields, severity, message }) };
}
