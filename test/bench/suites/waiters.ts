import { get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { clock } from '../../../functions/clock.ts';
import { eventOf } from '../../../functions/events/event.ts';
import { FirestoreStore } from '../../../functions/store/firestore.ts';
import { deployed } from '../deployed.ts';
import { type Suite, scaled } from '../figure.ts';
import { webhookBody } from '../requests.ts';
import { newProject, ours } from '../stack.ts';
import { Subject } from '../subject.ts';

const WAKES = 20;
/** Long enough that a wait has begun to listen. */
const SETTLE_MS = 2_000;

/** What a client costs that waits for an end user, and how soon it is woken. */
export const waitersSuite: Suite = async function* (surroundings) {
  for (const { clients, endUsers, name } of [
    { clients: scaled(2_000, surroundings), endUsers: 1, name: 'for one end user' },
    { clients: scaled(200, surroundings), endUsers: scaled(200, surroundings), name: 'each for another end user' },
  ]) {
    const projectId = newProject();
    const store = new FirestoreStore({ projectId, databaseId: '(default)' }, clock);
    const subject = await Subject.start(ours('query', projectId, await deployed()));
    const append = (n: number) => store.append([eventOf(webhookBody(`wait-${n}`, 200, n), clock())]);
    const woken = (n: number) =>
      new Promise<number>((resolve, reject) => {
        const url = `http://127.0.0.1:${subject.port}/end-users/eus_bench${n}?wait_for=processed&timeout=55`;
        get(url, { agent: false }, (response) => {
          response.resume().once('end', () => resolve(performance.now()));
        }).once('error', reject);
      });
    try {
      const wakes: number[] = [];
      for (let n = 0; n < scaled(WAKES, surroundings); n++) {
        const answered = woken(1_000_000 + n);
        await sleep(150);
        await append(1_000_000 + n);
        const written = performance.now();
        wakes.push(Math.max(0, (await answered) - written));
      }
      const before = subject.rss();
      const all = Array.from({ length: clients }, (_, i) => woken(i % endUsers));
      await sleep(SETTLE_MS);
      const bytes = (subject.rss() - before) / clients;
      const began = performance.now();
      await Promise.all(Array.from({ length: endUsers }, (_, n) => append(n)));
      await Promise.all(all);
      const answered = performance.now() - began;
      const figure = (what: string, unit: string, values: readonly number[]) =>
        ({ suite: 'waiters', name: `${what}, ${name}`, unit, ours: values, floor: [] }) as const;
      yield figure(`memory a waiting client, ${clients} of them`, 'kB', [bytes / 1e3]);
      yield figure('woken after the write', 'ms', wakes);
      yield figure('all answered after the writes began', 'ms', [answered]);
    } finally {
      await subject.stop();
      await store.close();
    }
  }
};
