import { setTimeout as sleep } from 'node:timers/promises';
import { eventId } from '../../functions/events/event.ts';
import { HERON_TOPICS } from '../../functions/heron/topics.ts';
import { until } from '../until.ts';
import { Bus } from './bus.ts';
import { type EndUser, Mirror } from './clients.ts';
import { depart } from './departure.ts';
import { forget } from './erasure.ts';
import { inflict, planStrikes } from './faults.ts';
import { deliver, isAcknowledged } from './heron.ts';
import { type Ledger, reconcile, type Seen } from './ledger.ts';
import { Random } from './random.ts';
import { Records } from './records.ts';
import { PROJECT, startSystem } from './system.ts';
import { HERON_IDS, webhookMaker } from './webhooks.ts';

export type ChaosOptions = {
  readonly seed: number;
  /** Webhooks to make; a tenth of them are delivered twice. */
  readonly events: number;
  readonly minutes: number;
  /** How many end users are erased while their webhooks keep coming. */
  readonly erasures: number;
  readonly onProgress?: (line: string) => void;
  /** Of a function's process, by its name. */
  readonly onLog?: (name: string, line: string) => void;
};

const TWICE = 0.1;
const POISON = 0.01;
/** Who follow the stream from the beginning. */
const MIRRORS = 2;
/**
 * How long, all faults over, an erasure may take that was begun among them: the emulator keeps the locks of a process that
 * was killed within a transaction for a minute, and may do so more than once.
 */
const ERASURE_MS = 180_000;
/** How long, all faults over, it may take until everything is recorded. */
const DRAIN_MS = 120_000;
const PROGRESS_MS = 5_000;
/** Sent once the faults are over, and each only once: to every process of ingest, over whatever connection it has. */
const PROBES = 8;

/** Delivers webhooks to a system that fails meanwhile, waits until it is whole and at rest, and takes stock. */
export async function chaos(options: ChaosOptions): Promise<Ledger> {
  const { seed, events, minutes, onProgress = () => {}, onLog = () => {} } = options;
  const problems: string[] = [];
  const system = await startSystem({ log: onLog, problem: (text) => problems.push(text) });
  const bus = new Bus(PROJECT);
  const records = new Records(PROJECT);
  try {
    await Promise.all([bus.provision(system.pushEndpoint), Records.warmUp()]);

    // All that is left to chance is drawn before anything happens, so that it does not depend on what happens.
    const duration = minutes * 60_000;
    const random = new Random(seed);
    const make = webhookMaker(random);
    const webhooks = Array.from({ length: events }, make);
    const posts = random.shuffled([...webhooks, ...webhooks.filter(() => random.chance(TWICE))]);
    const poison = Array.from({ length: Math.ceil(events * POISON) }, (_, n) => Buffer.from(`poison ${n}`));
    const timed = <T>(items: readonly T[]) => items.map((item) => ({ item, at: random.next() * duration }));
    const [plannedPosts, plannedPoison] = [timed(posts), timed(poison)];
    const strikes = planStrikes(random, system.targets, duration);
    const forgotten = timed(random.shuffled(HERON_IDS).slice(0, options.erasures));

    const mirrors = Array.from({ length: MIRRORS }, () => new Mirror(system.queryUrl));
    const begun = performance.now();
    const seconds = () => `${((performance.now() - begun) / 1000).toFixed(1).padStart(6)} s`;
    const at = (time: number) => sleep(Math.max(0, begun + time - performance.now()));
    const deliveries: { readonly id: string; readonly answers: Seen['deliveries'][number]['answers'] }[] = [];
    const post = async (webhook: (typeof webhooks)[number], retries?: readonly number[]) => {
      const answers = await deliver(system.webhookUrl, webhook, retries);
      deliveries.push({ id: webhook.id, answers });
      return answers;
    };
    const progress = setInterval(() => {
      const answered = deliveries.filter(({ answers }) => isAcknowledged(answers)).length;
      onProgress(`${seconds()}  ${answered} of ${posts.length} answered 2xx, ${deliveries.length - answered} not`);
    }, PROGRESS_MS);

    const isLate = () => performance.now() > begun + duration + ERASURE_MS;
    const erasures = forgotten.map(async ({ item, at: time }) => {
      await at(time);
      onProgress(`${seconds()}  ${item} shall be forgotten`);
      const problem = await forget(item, system.env, isLate);
      if (problem !== null) problems.push(problem);
    });

    await Promise.all([
      ...plannedPosts.map(({ item, at: time }) =>
        at(time).then(() => post(item, item.facts === null ? [] : undefined)),
      ),
      ...plannedPoison.map(({ item, at: time }) =>
        at(time).then(() => bus.publish(HERON_TOPICS[0] ?? '', { data: item, attributes: { 'ce-id': 'another' } })),
      ),
      inflict(strikes, ({ target, fault, lasts }) =>
        onProgress(`${seconds()}  ${target.name}: ${fault}, ${(lasts / 1000).toFixed(1)} s`),
      ),
    ]);
    clearInterval(progress);
    onProgress(`${seconds()}  the faults are over, and Heron has no retries left`);

    const probes = Array.from({ length: PROBES }, make).filter(({ facts }) => facts !== null);
    const probed = await Promise.all(probes.map((probe) => post(probe, [])));
    for (const answers of probed)
      if (!isAcknowledged(answers)) problems.push(`ingest has not recovered: it answered ${answers}`);

    await Promise.all(erasures);
    onProgress(`${seconds()}  ${forgotten.length} end users forgotten`);

    const idOf = ({ data }: { data: Uint8Array }) => eventId(data);
    const published = (await bus.published()).map(idOf);
    onProgress(`${seconds()}  ${new Set(published).size} published`);
    const deadLetters: string[] = [];
    const isForgotten = ({ about }: { about: string }) => forgotten.some(({ item }) => item === about);
    const erased = [...webhooks, ...probes].filter(isForgotten).map(({ id }) => id);
    const missing = async () => {
      deadLetters.push(...(await bus.deadLetters()).map(idOf));
      return new Set(published).difference(new Set([...(await records.ids('events')), ...deadLetters, ...erased])).size;
    };
    for (const deadline = performance.now() + DRAIN_MS; performance.now() < deadline; ) {
      const left = await missing();
      onProgress(`${seconds()}  ${left} of them not yet recorded`);
      if (left === 0) break;
    }
    const leftOver = (await bus.leftOver()).map(idOf);
    onProgress(`${seconds()}  at rest`);

    const [log, states] = await Promise.all([records.log(), records.states()]);
    for (const mirror of mirrors) problems.push(...(await seesAll(mirror, states)));
    onProgress(`${seconds()}  clients of the stream connected ${mirrors.map(({ connections }) => connections)} times`);
    await Promise.all(mirrors.map((mirror) => mirror.leave()));
    for (const process of system.queries) problems.push(...(await depart(process)));

    const left = await Promise.all(forgotten.map(async ({ item }) => [item, await records.remains(item)] as const));
    const ledger = reconcile({
      webhooks: [...webhooks, ...probes],
      deliveries,
      poison: poison.map(eventId),
      published,
      deadLetters,
      leftOver,
      log,
      states,
      forgotten: new Map(left),
    });
    return { ...ledger, problems: [...problems, ...ledger.problems] };
  } finally {
    await Promise.all([bus.close(), records.close()]);
    await system.close();
  }
}

/** Resolves with what a client of the stream has not seen, once it has had its time. */
async function seesAll(mirror: Mirror, states: ReadonlyMap<string, EndUser>): Promise<readonly string[]> {
  const differing = () => {
    const ids = new Set([...states.keys(), ...mirror.endUsers.keys()]);
    return [...ids].filter((id) => {
      const [is, should] = [mirror.endUsers.get(id), states.get(id)];
      return is?.event_count !== should?.event_count || is?.status !== should?.status;
    });
  };
  try {
    await until(() => differing().length === 0);
    return [];
  } catch {
    return differing().map((id) => `a client of the stream has not seen the state of ${id}`);
  }
}
