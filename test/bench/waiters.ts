import { fork } from 'node:child_process';
import { once } from 'node:events';
import { get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { clock, stopwatch } from '../../functions/clock.ts';
import { eventOf } from '../../functions/events/event.ts';
import { instantOf } from '../../functions/heron/instant.ts';
import { serverOf } from '../../functions/http/server.ts';
import { query } from '../../functions/query/query.ts';
import { FirestoreStore } from '../../functions/store/firestore.ts';
import { MemoryStore } from '../../functions/store/memory.ts';
import type { Store } from '../../functions/store/store.ts';

/**
 * What a waiting client costs, and how soon it is woken: `npm run bench`. Over the in-memory store, and over Firestore's
 * emulator where FIRESTORE_EMULATOR_HOST names one; all for one end user, and each for another.
 */
const WAITERS = 2_000;
const LISTENERS = 200;
const ROUNDS = 20;

if (process.argv[2] === 'clients')
  await clients(Number(process.argv[3]), Number(process.argv[4]), Number(process.argv[5]));
else await bench();

async function bench(): Promise<void> {
  await measure('in memory, one end user', new MemoryStore(clock), WAITERS, 1);
  await measure('in memory, an end user each', new MemoryStore(clock), WAITERS, WAITERS);
  if (process.env.FIRESTORE_EMULATOR_HOST === undefined) return;
  const firestore = () =>
    new FirestoreStore({ projectId: `bench-${process.pid}-${Date.now() % 1e6}`, databaseId: '(default)' }, clock);
  await measure('Firestore’s emulator, one end user', firestore(), WAITERS, 1);
  await measure('Firestore’s emulator, an end user each', firestore(), LISTENERS, LISTENERS);
}

async function measure(name: string, store: Store, waiters: number, endUsers: number): Promise<void> {
  const handler = query({ store, log: () => {}, clock, stopwatch, projectId: 'bench' });
  const server = serverOf(handler, () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const append = (heron_id: string, status: string) => {
    const webhook = { topic: 'end_user.processed', created: new Date().toISOString(), data: { heron_id, status } };
    return store.append([eventOf(Buffer.from(JSON.stringify(webhook)), instantOf(Date.now()))]);
  };

  const wakes: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const answered = woken(port, `eus_wake${round}`);
    await sleep(150);
    await append(`eus_wake${round}`, 'processed');
    const written = performance.now();
    wakes.push((await answered) - written);
  }
  wakes.sort((a, b) => a - b);

  const before = memory();
  const child = fork(import.meta.filename, ['clients', String(port), String(waiters), String(endUsers)]);
  await once(child, 'message');
  await sleep(1_500);
  const after = memory();
  const began = performance.now();
  const all = once(child, 'message');
  await Promise.all(Array.from({ length: endUsers }, (_, n) => append(`eus_${n}`, 'processed')));
  await all;
  console.log(
    `${name}: ${((after - before) / waiters / 1_000).toFixed(1)} kB for each of ${waiters} waiting clients; ` +
      `woken ${wakes[ROUNDS / 2]?.toFixed(0)} ms after the write (at most ${wakes.at(-1)?.toFixed(0)} ms); ` +
      `all answered ${(performance.now() - began).toFixed(0)} ms after the writes began`,
  );
  child.disconnect();
  server.closeAllConnections();
  server.close();
  await store.close();
}

function memory(): number {
  if (globalThis.gc === undefined) throw new Error('Start it with --expose-gc.');
  globalThis.gc();
  globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Resolves with when the answer came. */
function woken(port: number, id: string): Promise<number> {
  return new Promise((resolve, reject) => {
    get(`http://127.0.0.1:${port}/end-users/${id}?wait_for=processed&timeout=55`, (response) => {
      response.resume().once('end', () => resolve(performance.now()));
    }).once('error', reject);
  });
}

/** In a process of its own, so that clients do not count. */
async function clients(port: number, waiters: number, endUsers: number): Promise<void> {
  const all = Array.from({ length: waiters }, (_, n) => woken(port, `eus_${n % endUsers}`));
  await sleep(3_000);
  process.send?.('waiting');
  await Promise.all(all);
  process.send?.('answered');
}
