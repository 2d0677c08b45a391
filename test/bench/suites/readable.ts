import { setTimeout as sleep } from 'node:timers/promises';
import { Firestore } from '@google-cloud/firestore';
import { provision } from '../../../functions/bus/provision.ts';
import { topology } from '../../../functions/bus/topology.ts';
import { sign } from '../../../functions/heron/signature.ts';
import { deployed } from '../deployed.ts';
import { type Suite, scaled } from '../figure.ts';
import { load, percentile } from '../load.ts';
import { SECRET, webhookBody } from '../requests.ts';
import { floor, newProject, ours } from '../stack.ts';
import { type Command, Subject } from '../subject.ts';

const A_SECOND = 40;
const WEBHOOKS = 800;
const PATIENCE_MS = 30_000;

/**
 * Milliseconds from each 2xx to the moment at which a listener sees the end user's state, sorted. A listener each: for
 * one of them all the emulator reads every document again at each change.
 */
async function lag(takes: Command, keeps: Command, projectId: string, count: number): Promise<number[]> {
  const [taking, keeping] = [await Subject.start(takes), await Subject.start(keeps)];
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
    await provision({ projectId, topicPrefix: '' }, topology('projector', `http://127.0.0.1:${keeping.port}/`));
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
      .map(([id, at]) => Math.max(0, (seen.get(id) ?? Number.NaN) - at))
      .sort((a, b) => a - b);
  } finally {
    await taking.stop();
    await keeping.stop();
    await db.terminate();
  }
}

/** Milliseconds that a push takes by itself, sorted: of the way above the part that is not the Pub/Sub emulator's. */
async function pushes(command: Command, count: number): Promise<readonly number[]> {
  const subject = await Subject.start(command);
  const push = (n: number) =>
    load({ port: subject.port, connections: 1, count: n, of: { kind: 'push', endUsers: count } });
  await push(A_SECOND); // warm
  const { latencies } = await push(count);
  await subject.stop();
  return latencies;
}

/** From a webhook's answer to its state, at 40 a second, beside the shortest functions with the same effect. */
export const readableSuite: Suite = async function* (surroundings) {
  const source = await deployed();
  const count = scaled(WEBHOOKS, surroundings);
  const [least, full]: [number[][], number[][]] = [[], []];
  const [leastOfPush, fullOfPush]: [(readonly number[])[], (readonly number[])[]] = [[], []];
  for (let round = 0; round < Math.min(3, surroundings.rounds); round++) {
    const [a, b] = [newProject(), newProject()];
    least.push(await lag(floor('bare-ingest', a), floor('bare-projector', a), a, count));
    full.push(await lag(ours('ingest', b, source), ours('projector', b, source), b, count));
    leastOfPush.push(await pushes(floor('bare-projector', a), count));
    fullOfPush.push(await pushes(ours('projector', b, source), count));
    surroundings.note(`readable: round ${round + 1} done`);
  }
  for (const [n, must] of [
    [50, 0.9],
    [95, undefined],
    [99, 1],
  ] as const)
    yield {
      suite: 'readable',
      name: `from the answer to the readable state at ${A_SECOND}/s, ${n} of 100`,
      unit: 'ms',
      ours: full.map((sorted) => percentile(sorted, n)),
      floor: least.map((sorted) => percentile(sorted, n)),
      ...(must === undefined ? {} : { must: { most: must } }),
    };
  for (const n of [50, 99])
    yield {
      suite: 'readable',
      name: `of which from the push to its answer, ${n} of 100`,
      unit: 'ms',
      ours: fullOfPush.map((sorted) => percentile(sorted, n)),
      floor: leastOfPush.map((sorted) => percentile(sorted, n)),
    };
};
