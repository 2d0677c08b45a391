// A service as its own team writes it: type-checked and run where nothing but the package is installed.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Discard, RetryAfter, type StandardSchema, subscriber } from 'heron-events';
import { nodeHandler } from 'heron-events/node';
import { deliver, event } from 'heron-events/testing';
import { fetchHandler } from 'heron-events/web';

declare module 'heron-events' {
  interface Topics {
    'pdf.parsed': { readonly heron_id: string; readonly pages: number };
  }
}

const schema: StandardSchema<unknown, { amount: number }> = {
  '~standard': {
    version: 1,
    vendor: 'by hand',
    validate: (value) =>
      typeof (value as { amount?: unknown }).amount === 'number'
        ? { value: value as { amount: number } }
        : { issues: [{ message: 'not a number', path: ['amount'] }] },
  },
};

const got: string[] = [];
const service = subscriber((event, { known }) => {
  // @ts-expect-error: what no handler takes may have no topic
  event.topic.length;
  got.push(`${event.topic} ${known}`);
})
  .on('end_user.processed', (event, { replay, attempt, signal }) => {
    const status: string = event.data.status;
    // @ts-expect-error: not documented
    event.data.score;
    got.push(`${event.data.heron_id} ${status} ${replay ?? attempt ?? signal.aborted}`);
  })
  .on('end_user.*', (event) => {
    const topic: `end_user.${string}` = event.topic;
    got.push(topic);
  })
  .on('pdf.parsed', ({ data }) => {
    got.push(`${data.pages + 1} pages`);
  })
  .on('pricing_template.delivery_failed', schema, ({ data }) => {
    if (data.amount > 100) throw new RetryAfter(10);
    if (data.amount < 0) throw new Discard('a negative amount');
    got.push(data.amount.toFixed(2));
  });

const events = [
  event('end_user.processed', { heron_id: 'eus_7' }),
  event('end_user.failed'),
  event('pdf.parsed', { heron_id: 'pdf_1', pages: 2 }),
  event('pricing_template.delivery_failed', { amount: 1 }),
  event('pdf.failed'),
];
const delivered = await deliver(service, events, { times: 1, faults: 0, concurrency: 1 });

const [first] = events;
if (first === undefined) throw new Error('no event');
const body = new Uint8Array(first.body);
const headers = { 'ce-specversion': '1.0', 'ce-id': first.id, 'ce-type': first.topic };
const server = createServer(nodeHandler(service, { log: () => {} })).listen(0, '127.0.0.1');
await new Promise((resolve) => server.once('listening', resolve));
const { port } = server.address() as AddressInfo;
const overNode = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', headers, body });
server.close();
const request = new Request('http://127.0.0.1/', { method: 'POST', headers, body });
const overFetch = await fetchHandler(service, { log: () => {} })(request);

const outcomes = delivered.map(({ outcome }) => outcome);
console.log(
  JSON.stringify({
    got: got.sort(),
    outcomes,
    statuses: [overNode.status, overFetch.status],
    patterns: service.patterns(),
  }),
);
