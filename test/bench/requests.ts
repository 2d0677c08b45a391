import { clock } from '../../functions/clock.ts';
import { eventOf } from '../../functions/events/event.ts';
import { toMessage } from '../../functions/events/message.ts';
import { rfc3339 } from '../../functions/heron/instant.ts';
import { sign } from '../../functions/heron/signature.ts';

export const SECRET = 'sec_bench';

/** What a load is made of; every webhook is another, or an event that is seen twice would be cheaper. */
export type RequestsOf =
  | { readonly kind: 'webhook'; readonly bytes: number; readonly endUsers: number }
  | { readonly kind: 'push'; readonly endUsers: number }
  | { readonly kind: 'get'; readonly paths: readonly string[] };

/** A webhook's body of about so many bytes. @param n tells it from all others. */
export function webhookBody(n: number | string, bytes: number, endUser: number): Buffer {
  const webhook = {
    topic: 'end_user.processed',
    created: new Date().toISOString().replace('Z', '+00:00'),
    data: { heron_id: `eus_bench${endUser}`, end_user_id: `customer-${endUser}`, status: 'processed' },
    meta: { n: String(n), padding: '' },
  };
  const least = Buffer.byteLength(JSON.stringify(webhook));
  webhook.meta.padding = 'x'.repeat(Math.max(0, bytes - least));
  return Buffer.from(JSON.stringify(webhook));
}

/** The bytes of whole HTTP requests, made beforehand so that making them takes nothing from what is measured. */
export function requestBytes(of: RequestsOf, count: number): Buffer[] {
  const run = `${process.pid}-${performance.now()}`;
  return Array.from({ length: count }, (_, i) => {
    switch (of.kind) {
      case 'webhook': {
        const body = webhookBody(`${run}-${i}`, of.bytes, i % of.endUsers);
        return request('POST', '/', body, [`Heron-Signature: ${sign(body, SECRET)}`]);
      }
      case 'push':
        return request('POST', '/', pushBody(webhookBody(`${run}-${i}`, 200, i % of.endUsers)), []);
      case 'get':
        return request('GET', of.paths[i % of.paths.length] ?? '/', Buffer.alloc(0), []);
      default:
        return of satisfies never;
    }
  });
}

/** A push request's body, as Pub/Sub wraps what ingest publishes. */
function pushBody(body: Buffer): Buffer {
  const now = clock();
  const event = eventOf(body, now);
  const { data, attributes } = toMessage(event);
  const message = {
    ...{ data: Buffer.from(data).toString('base64'), attributes },
    ...{ messageId: event.event_id.slice(0, 16), publishTime: rfc3339(now) },
  };
  return Buffer.from(JSON.stringify({ message, subscription: 'projects/bench/subscriptions/projector.bench' }));
}

function request(method: string, path: string, body: Buffer, headers: readonly string[]): Buffer {
  const type = body.length === 0 ? [] : ['Content-Type: application/json', `Content-Length: ${body.length}`];
  const head = [`${method} ${path} HTTP/1.1`, 'Host: 127.0.0.1', ...type, ...headers, '', ''].join('\r\n');
  return Buffer.concat([Buffer.from(head, 'latin1'), body]);
}
