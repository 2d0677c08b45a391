import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { Firestore } from '@google-cloud/firestore';
import { provision } from '../../../functions/bus/provision.ts';
import { topology } from '../../../functions/bus/topology.ts';
import { sign } from '../../../functions/heron/signature.ts';
import { deployed } from '../deployed.ts';
import { type Suite, scaled } from '../figure.ts';
import { percentile } from '../load.ts';
import { SECRET, webhookBody } from '../requests.ts';
import { floor, newProject, ours } from '../stack.ts';
import { type Command, Subject } from '../subject.ts';

const A_SECOND = 40;
const WEBHOOKS = 800;
const PATIENCE_MS = 30_000;

/** When an end user's webhook was answered, pushed, and its state seen, each in milliseconds. */
type Moments = { readonly answered: number; readonly pushed: number; readonly seen: number };

/** Passes pushes on, and tells of each whose end user's it is, as it comes. */
async function relay(port: number, onPush: (heronId: string) => void) {
  const server = createServer(async (incoming, outgoing) => {
    const { method = 'POST', url: path = '/', headers } = incoming;
    const body = await buffer(incoming);
    onPush(JSON.parse(Buffer.from(JSON.parse(body.toString()).message.data, 'base64').toString()).data.heron_id);
    request({ port, host: '127.0.0.1', method, path, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502);
      answer.pipe(outgoing);
    })
      .on('error', () => outgoing.writeHead(502).end())
      .end(body);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, close: () => server.close() };
}

/**
 * What happens to each webhook. A listener for each end user: for one of them all the emulator reads every document
 * again at each change.
 */
async function moments(takes: Command, keeps: Command, projectId: string, count: number): Promise<readonly Moments[]> {
  const [taking, keeping] = [await Subject.start(takes), await Subject.start(keeps)];
  const pushed = new Map<string, number>();
  const between = await relay(keeping.port, (heronId) => {
    if (!pushed.has(heronId)) pushed.set(heronId, performance.now());
  });
  const db = new Firestore({ projectId });
  const seen = new Map<string, number>();
  /** Resolves once it is listened to, and nothing is there. */
  const listen = (id: string) =>
    new Promise<void>((resolve, reject) => {
      const stop = db.doc(`end_users/${id}`).onSnapshot(({ exists }) => {
        if (!exists) return resolve();
        seen.set(id, performance.now());
        stop();
      }, reject);
    });
  const answered = new Map<string, number>();
  const send = async (n: number) => {
    await listen(`eus_bench${n}`);
    const body = webhookBody(`${projectId}-${n}`, 200, n);
    const headers = { 'Content-Type': 'application/json', 'Heron-Signature': sign(body, SECRET) };
    const response = await fetch(`http://127.0.0.1:${taking.port}/`, {
      method: 'POST',
      body: new Uint8Array(body),
      headers,
    });
    await response.arrayBuffer();
    if (!response.ok) throw new Error(`A webhook was answered ${response.status}.`);
    answered.set(`eus_bench${n}`, performance.now());
  };
  const settled = async () => {
    for (const late = performance.now() + PATIENCE_MS; seen.size < answered.size; await sleep(20))
      if (performance.now() > late) throw new Error(`${answered.size - seen.size} states never came.`);
  };
  try {
    await provision({ projectId, topicPrefix: '' }, topology('projector', `http://127.0.0.1:${between.port}/`));
    for (let n = 0; n < A_SECOND; n++) await send(1_000_000 + n); // warm
    await settled();
    const warm = new Set(answered.keys());
    const began = performance.now();
    const sending: Promise<void>[] = [];
    for (let n = 0; n < count; n++) {
      await sleep(Math.max(0, began + (n * 1_000) / A_SECOND - performance.now()));
      sending.push(send(n));
    }
    await Promise.all(sending);
    await settled();
    return [...answered]
      .filter(([id]) => !warm.has(id))
      .map(([id, at]) => ({
        answered: at,
        pushed: pushed.get(id) ?? Number.NaN,
        seen: seen.get(id) ?? Number.NaN,
      }));
  } finally {
    between.close();
    await taking.stop();
    await keeping.stop();
    await db.terminate();
  }
}

/**
 * From a webhook's answer to its state, at 40 a second, beside the shortest functions with the same effect. Half of the
 * way is nobody's but the Pub/Sub emulator's, which looks for what is to be pushed every 100 ms: goals are of the rest.
 */
export const readableSuite: Suite = async function* (surroundings) {
  const source = await deployed();
  const count = scaled(WEBHOOKS, surroundings);
  const [least, full]: [(readonly Moments[])[], (readonly Moments[])[]] = [[], []];
  for (let round = 0; round < Math.min(3, surroundings.rounds); round++) {
    const [a, b] = [newProject(), newProject()];
    least.push(await moments(floor('bare-ingest', a), floor('bare-projector', a), a, count));
    full.push(await moments(ours('ingest', b, source), ours('projector', b, source), b, count));
    surroundings.note(`readable: round ${round + 1} done`);
  }
  const parts: readonly [string, (of: Moments) => number, Readonly<Record<number, number>>][] = [
    ['from the answer to the readable state', ({ answered, seen }) => seen - answered, {}],
    ['of which to the push', ({ answered, pushed }) => pushed - answered, {}],
    ['of which from the push on', ({ pushed, seen }) => seen - pushed, { 50: 0.9, 99: 1 }],
  ];
  for (const [name, part, goals] of parts)
    for (const n of [50, 95, 99]) {
      const each = (of: readonly Moments[]) =>
        percentile(
          of.map((moment) => Math.max(0, part(moment))).sort((a, b) => a - b),
          n,
        );
      yield {
        suite: 'readable',
        name: `${name} at ${A_SECOND}/s, ${n} of 100`,
        unit: 'ms',
        ours: full.map(each),
        floor: least.map(each),
        ...(goals[n] === undefined ? {} : { must: { most: goals[n] } }),
      };
    }
};
