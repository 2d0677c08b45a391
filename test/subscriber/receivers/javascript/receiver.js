// Heron's events with nothing but the stock CloudEvents SDK.
import { createServer } from 'node:http';
import { HTTP } from 'cloudevents';

/** In a database, where it is to outlive the process. */
const handled = new Set();
let failures = Number(process.env.FAILURES ?? 0);

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  let event;
  try {
    event = HTTP.toEvent({ headers: request.headers, body: Buffer.concat(chunks).toString() });
    event.validate();
  } catch {
    response.writeHead(400).end('not a CloudEvent\n');
    return;
  }
  try {
    handle(event);
    response.writeHead(204).end();
  } catch {
    response.writeHead(500).end('to be sent again\n');
  }
});
server.listen(Number(process.env.PORT), '127.0.0.1', () => console.log('ready'));

function handle({ id, type, data }) {
  if (handled.has(id)) return;
  if (failures-- > 0) throw new Error('out of order');
  handled.add(id);
  console.log(JSON.stringify({ id, type, data }));
}
