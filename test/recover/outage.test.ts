import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { MemoryBus } from '../../functions/bus/memory.ts';
import { topology } from '../../functions/bus/topology.ts';
import { eventOf } from '../../functions/events/event.ts';
import { toMessage } from '../../functions/events/message.ts';
import { type Instant, instantOf } from '../../functions/heron/instant.ts';
import { sign } from '../../functions/heron/signature.ts';
import { serverOf } from '../../functions/http/server.ts';
import { ingest } from '../../functions/ingest/ingest.ts';
import { publishEvent } from '../../functions/ingest/publish.ts';
import { Secrets } from '../../functions/ingest/secrets.ts';
import { PROJECTOR, projector } from '../../functions/projector/projector.ts';
import { HeronApi } from '../../functions/recover/heron-api.ts';
import { recover } from '../../functions/recover/recover.ts';
import { samenessOf } from '../../functions/recover/same.ts';
import { MemoryStore } from '../../functions/store/memory.ts';
import { MemoryRecoveryLedger } from '../../functions/store/recovery.ts';
import { Random } from '../chaos/random.ts';
import { foldOf } from '../store/given.ts';
import { until } from '../until.ts';
import { HeronStandIn, type StandInAttempt } from './heron-stand-in.ts';

const SECRET = 'sec_outage';
const START = Date.UTC(2026, 10, 25, 12);
const MINUTE = 60_000;
const END_USERS = 12;
const WEBHOOKS = 240;
/** Heron waits so long after each failure, and then gives up. */
const RETRIES = [1, 5, 15].map((minutes) => minutes * MINUTE);
/** In minutes: what is sent within the hour before the end finds the outage before, during or after its own retries. */
const [DOWN, UP, LAST_SENT, OVER] = [20, 50, 70, 180];
const RECOVERIES_EVERY = 10 * MINUTE;

/** Heron's list, as its documentation leaves it open: a row for each attempt, or one for each delivery. */
type Rows = 'a row an attempt' | 'a row an attempt, its retry told for good' | 'a row a delivery';

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

/** Things happen at their time, one after another; time passes in between only. */
class Timeline {
  now = START;
  readonly #due: { readonly at: number; readonly work: () => Promise<void> }[] = [];

  at(time: number, work: () => Promise<void>): void {
    this.#due.push({ at: time, work });
  }

  async run(): Promise<void> {
    for (;;) {
      this.#due.sort((a, b) => a.at - b.at);
      const next = this.#due.shift();
      if (next === undefined) return;
      this.now = Math.max(this.now, next.at);
      await next.work();
    }
  }
}

/** Ingest, Pub/Sub, projector and store in memory; ingest can be down: then nothing listens at its address. */
async function system(clock: () => Instant, random: Random) {
  const log = () => {};
  const store = new MemoryStore(clock);
  const bus = new MemoryBus({ random: () => random.next() });
  const wired = { publisher: bus, log, stopwatch: () => performance.now(), projectId: 'heron-local' };
  const listen = async (server: Server, port: number) => {
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    return (server.address() as AddressInfo).port;
  };
  const close = async (server: Server) => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  const pushed = serverOf(projector({ ...wired, store }), log);
  bus.provision(topology(PROJECTOR, `http://127.0.0.1:${await listen(pushed, 0)}/`));
  const secrets = new Secrets({ secrets: [SECRET] }, log, wired.stopwatch);
  let serving = serverOf(ingest({ ...wired, clock, secrets }), log);
  const port = await listen(serving, 0);
  open.push(
    () => close(pushed),
    () => bus.close(),
    () => close(serving),
  );
  return {
    store,
    bus,
    url: `http://127.0.0.1:${port}/`,
    goDown: () => close(serving),
    async comeUp() {
      serving = serverOf(ingest({ ...wired, clock, secrets }), log);
      await listen(serving, port);
    },
  };
}

function webhookOf(n: number, created: number, random: Random): string {
  const [topic, status] = random.pick([
    ['end_user.processed', 'processed'],
    ['end_user.failed', 'failed'],
    ['end_user.reviewed', 'reviewed'],
    ['end_user.review_required', 'review_requested'],
    ['end_user.created', 'ready'],
  ]);
  const time = `${new Date(created).toISOString().slice(0, -1)}${String(n).padStart(3, '0')}`;
  // With spaces and numbers as Heron's Python writes them: what is stored and written anew has others.
  return `{"topic": "${topic}", "created": "${time}", "data": {"heron_id": "eus_${n % END_USERS}", "end_user_id": "c-${n % END_USERS}", "status": "${status}", "score": 1.10}, "meta": {"n": ${n}}}`;
}

/** Heron: sends, tries again, gives up, and keeps account of it in the stand-in's list. */
class Sender {
  readonly givenUp = new Set<string>();
  readonly #heron: HeronStandIn;
  readonly #timeline: Timeline;
  readonly #url: string;
  readonly #rows: Rows;
  /** By attempt: Heron can send again what it does not tell. */
  readonly #bodies = new Map<string, string>();

  constructor(heron: HeronStandIn, timeline: Timeline, url: string, rows: Rows) {
    this.#heron = heron;
    this.#timeline = timeline;
    this.#url = url;
    this.#rows = rows;
  }

  async send(body: string, isStored: boolean, tried = 0, before?: StandInAttempt): Promise<void> {
    const own = this.#rows === 'a row a delivery' ? before : undefined;
    if (this.#rows === 'a row an attempt' && before !== undefined) this.#change(before, null);
    if (await this.#post(body)) {
      if (own !== undefined) this.#heron.attempts = this.#heron.attempts.filter((each) => each !== own);
      return;
    }
    const pause = RETRIES[tried];
    const next = pause === undefined ? null : instantOf(this.#timeline.now + pause);
    const row = own ?? this.#row(body, isStored);
    this.#change(row, next);
    if (pause === undefined) this.givenUp.add(body);
    else this.#timeline.at(this.#timeline.now + pause, () => this.send(body, isStored, tried + 1, row));
  }

  resend(attemptId: string): void {
    const body = this.#bodies.get(attemptId);
    if (body === undefined) throw new Error(`There is no attempt ${attemptId}.`);
    this.#timeline.at(this.#timeline.now + MINUTE, () => this.send(body, false));
  }

  #row(body: string, isStored: boolean): StandInAttempt {
    const { topic } = JSON.parse(body);
    const heron_id = `evt_${this.#bodies.size}`;
    this.#bodies.set(heron_id, body);
    const row: StandInAttempt = {
      heron_id,
      topic,
      created: instantOf(this.#timeline.now),
      next_retry_at: null,
      payload: isStored ? JSON.parse(body) : null,
    };
    this.#heron.attempts.unshift(row); // newest first
    return row;
  }

  #change(row: StandInAttempt, next_retry_at: string | null): void {
    Object.assign(row, { next_retry_at });
  }

  async #post(body: string): Promise<boolean> {
    try {
      const headers = { 'Heron-Signature': sign(Buffer.from(body), SECRET) };
      const response = await fetch(this.#url, { method: 'POST', body, headers });
      return response.ok;
    } catch {
      return false;
    }
  }
}

describe.each<Rows>(['a row an attempt', 'a row an attempt, its retry told for good', 'a row a delivery'])(
  'ingest is down for half an hour, and Heron keeps %s',
  (rows) => {
    it.each([1, 2])(
      'what Heron gave up is in the log once, none twice, and the states are right (seed %i)',
      async (seed) => {
        const random = new Random(seed);
        const timeline = new Timeline();
        const clock = () => instantOf(timeline.now);
        const heron = new HeronStandIn();
        const api = await heron.start();
        open.push(() => heron.stop());
        const { store, bus, url, goDown, comeUp } = await system(clock, random);
        const sender = new Sender(heron, timeline, url, rows);
        const ledger = new MemoryRecoveryLedger();

        const sent = Array.from({ length: WEBHOOKS }, (_, n) => {
          const at = START + random.int(0, LAST_SENT * MINUTE);
          const body = webhookOf(n, at, random);
          const isStored = random.chance(0.9);
          timeline.at(at, () => sender.send(body, isStored));
          return { body, at };
        });
        timeline.at(START + DOWN * MINUTE, goDown);
        timeline.at(START + UP * MINUTE, comeUp);
        const recoverNow = async () => {
          const { signal } = new AbortController();
          const heronApi = new HeronApi({ url: api, key: async () => heron.key, stopwatch: () => 0, signal });
          const left = () => 30_000;
          const accept = async (event: ReturnType<typeof eventOf>) => {
            await publishEvent(event, toMessage(event), { publisher: bus, log: () => {}, left });
          };
          const asked = heron.resent.length;
          await recover({ api: heronApi, eventLog: store, ledger, accept, log: () => {}, clock });
          // What it was asked to send again, Heron sends a minute later, as it was.
          for (const id of heron.resent.slice(asked)) sender.resend(id);
        };
        for (let at = START; at <= START + OVER * MINUTE; at += RECOVERIES_EVERY) timeline.at(at, recoverNow);
        await timeline.run();
        const topics = topology(PROJECTOR, '').subscriptions.filter(({ push }) => push);
        await until(() => topics.every(({ name }) => bus.backlog(name) === 0));

        expect(sender.givenUp.size).toBeGreaterThan(10);
        const bodies: Buffer[] = [];
        for (let n = 0; n < END_USERS; n++) {
          const { events } = await store.events(`eus_${n}`, WEBHOOKS, null);
          bodies.push(...events.map(({ body }) => Buffer.from(body ?? [])));
        }
        const inLog = bodies.map(samenessOf).sort();
        expect(inLog).toEqual(sent.map(({ body }) => samenessOf(Buffer.from(body))).sort());
        for (let n = 0; n < END_USERS; n++) {
          const own = sent
            .filter(({ body }) => body.includes(`"eus_${n}"`))
            .map(({ body, at }) => eventOf(Buffer.from(body), instantOf(at)));
          expect(said(await store.endUser(`eus_${n}`))).toEqual(said(foldOf(own)));
        }
      },
    );
  },
);

/** Without what the event's bytes decide: written anew it has another id. */
function said(state: ReturnType<typeof foldOf>) {
  if (state === null) return null;
  const {
    fold: _,
    last_event: { id: __, ...last_event },
    ...rest
  } = state;
  return { ...rest, last_event };
}
