/**
 * What ingest costs beside what cannot be avoided: the same requests, through the same functions framework, to a
 * handler that only answers. Pub/Sub is left out (it costs a call, whoever makes it). Prints the ratio of CPU time and
 * of requests a second; the floor is measured in turn with ingest, as machines are noisy.
 *
 *   node test/bench/ingest.ts
 */

import { Agent, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { http } from '@google-cloud/functions-framework';
import { getTestServer } from '@google-cloud/functions-framework/testing';
import { clock, stopwatch } from '../../functions/clock.ts';
import { sampleWebhook } from '../../functions/heron/sample.ts';
import { sign } from '../../functions/heron/signature.ts';
import { answer } from '../../functions/http/answer.ts';
import { serverOf } from '../../functions/http/server.ts';
import { ingest } from '../../functions/ingest/ingest.ts';
import { Secrets } from '../../functions/ingest/secrets.ts';

const SECRET = 'sec_bench';
const REQUESTS = 4_000;
const CONCURRENCY = 32;
const ROUNDS = 5;

const log = () => {};
const publisher = { publish: async () => '1', close: async () => {} };
const secrets = new Secrets({ secrets: [SECRET] }, log, stopwatch);

async function serve(server: Server): Promise<{ server: Server; port: number }> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, port: (server.address() as AddressInfo).port };
}

function post(agent: Agent, port: number, body: Buffer): Promise<void> {
  const headers = { 'heron-signature': sign(body, SECRET), 'content-type': 'application/json' };
  return new Promise((resolve, reject) => {
    request({ agent, port, host: '127.0.0.1', method: 'POST', headers }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`answered ${response.statusCode}`));
      response.resume().on('end', resolve);
    })
      .on('error', reject)
      .end(body);
  });
}

/** CPU time and wall time of a request, in microseconds, of server and client together. */
async function measure(port: number): Promise<{ cpu: number; wall: number }> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONCURRENCY });
  const body = Buffer.from(JSON.stringify(sampleWebhook('end_user.processed', 'bench', Date.now())));
  const [cpu, wall] = [process.cpuUsage(), performance.now()];
  let sent = 0;
  const work = async () => {
    while (sent++ < REQUESTS) await post(agent, port, body);
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
  const { user, system } = process.cpuUsage(cpu);
  const took = performance.now() - wall;
  agent.destroy();
  return { cpu: (user + system) / REQUESTS, wall: (took * 1_000) / REQUESTS };
}

http('floor', (_, response) => answer(response, 200));
const handler = ingest({ publisher, secrets, log, clock, stopwatch, projectId: 'bench' });
const [floor, ours] = [await serve(getTestServer('floor')), await serve(serverOf(handler, log))];

for (const { port } of [floor, ours]) await measure(port); // warm
const ratios: { cpu: number; wall: number }[] = [];
for (let round = 0; round < ROUNDS; round++) {
  const [least, full] = [await measure(floor.port), await measure(ours.port)];
  ratios.push({ cpu: full.cpu / least.cpu, wall: full.wall / least.wall });
  console.log(
    `round ${round + 1}: floor ${least.cpu.toFixed(0)} µs CPU a request, ingest ${full.cpu.toFixed(0)} µs: × ${(full.cpu / least.cpu).toFixed(2)}`,
  );
}
const median = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]?.toFixed(2);
console.log(
  `ingest / floor, median of ${ROUNDS}: CPU × ${median(ratios.map(({ cpu }) => cpu))}, time × ${median(ratios.map(({ wall }) => wall))}`,
);
for (const { server } of [floor, ours]) server.close();
