import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../until.ts';
import { type Ended, read } from './clients.ts';
import type { Departing } from './system.ts';
import { HERON_IDS } from './webhooks.ts';

const WAITS = 20;
const STREAMS = 5;
/** A request that is on its way when the process is told to end. */
const LATE_MS = 100;

/** What no end user comes to be within a run. */
const WAIT = 'wait_for=ready&after=2100-01-01T00:00:00Z&timeout=50';
const ANSWERS = [202, 404, 503];

/** Tells a process to end that many wait for. Resolves with what they, or it, should not have come to. */
export async function depart(process: Departing): Promise<readonly string[]> {
  const base = `http://${process.address}/`;
  const asked = (n: number) => `${base}end-users/${HERON_IDS[n % HERON_IDS.length]}?${WAIT}`;
  let streaming = 0;
  const waits = Array.from({ length: WAITS }, (_, n) => read(asked(n)));
  const streams = Array.from({ length: STREAMS }, () => {
    let seen = false;
    const onText = () => {
      if (!seen) streaming++;
      seen = true;
    };
    return read(`${base}stream`, { onText });
  });
  await until(() => streaming === STREAMS);

  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  await read(`${base}end-users?page_size=1`, { agent });
  const replaced = process.replace();
  const late = sleep(LATE_MS).then(() => read(asked(0), { agent }));
  const code = await replaced;
  agent.destroy();

  const fault = (what: string, ended: Ended | null, allowed: readonly number[]) => {
    if (ended === null) return [`${what} was not answered`];
    if (!ended.whole) return [`${what} was cut off`];
    return allowed.includes(ended.status) ? [] : [`${what} was answered ${ended.status}`];
  };
  return [
    ...(await Promise.all(waits)).flatMap((ended) => fault('a wait', ended, ANSWERS)),
    ...(await Promise.all(streams)).flatMap((ended) => fault('a stream', ended, [200])),
    ...fault('a wait that came later', await late, ANSWERS),
    ...(code === 0 ? [] : [`it ended with ${code}`]),
  ].map((what) => `${process.name} was told to end, and ${what}.`);
}
