import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Firestore } from '@google-cloud/firestore';
import { PubSub } from '@google-cloud/pubsub';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { provision } from '../../functions/bus/provision.ts';
import { DELIVERY, topology } from '../../functions/bus/topology.ts';
import { eventId } from '../../functions/events/event.ts';
import { sampleWebhook } from '../../functions/heron/sample.ts';
import { sign } from '../../functions/heron/signature.ts';
import { pool } from '../../functions/pool.ts';
import { Random } from '../chaos/random.ts';
import { hasFirestore, hasPubSub, newProject } from '../emulators.ts';
import { heron, type Local, startLocal } from '../end-to-end/local.ts';
import { type Death, MOMENTS } from './example/death.ts';
import { installExample, patternsOf, removeExample, ServedExample } from './served-example.ts';

/**
 * Runs where it is asked for: `EXAMPLE_EVENTS=60`, a few minutes; `EXAMPLE_EVENTS=1000 EXAMPLE_DEATHS=30`, the whole. Not
 * with all others, as the Pub/Sub emulator (0.8.20) may push a message no more that was refused some times.
 */
const isAsked = process.env.EXAMPLE_EVENTS !== undefined;
const EVENTS = Number(process.env.EXAMPLE_EVENTS ?? 60);
const DEATHS = Number(process.env.EXAMPLE_DEATHS ?? 6);
const SEED = Number(process.env.EXAMPLE_SEED ?? 1);
const TIMES = 3;

const MINUTES = 60_000;
/** Longer than any machine is busy for, where nothing at all moves. */
const STANDSTILL_MS = 150_000;

/** Waits for a fact, as long as something moves. */
async function until(holds: () => boolean | Promise<boolean>, moved: () => number): Promise<void> {
  let [seen, since] = [moved(), performance.now()];
  while (!(await holds())) {
    if (moved() !== seen) [seen, since] = [moved(), performance.now()];
    if (performance.now() - since > STANDSTILL_MS) throw new Error(`Nothing has moved since ${seen}: ${holds}`);
    await sleep(100);
  }
}

type Sent = { readonly id: string; readonly topic: string; readonly heronId: string; readonly body: Buffer };

describe.runIf(isAsked && hasFirestore && hasPubSub)('a service with the package and one entry of subscribers', () => {
  const random = new Random(SEED);
  const project = newProject();
  const env = { ...process.env, GOOGLE_CLOUD_PROJECT: project, METADATA_SERVER_DETECTION: 'none' };
  const config = { projectId: project, topicPrefix: '' };
  const db = new Firestore({ projectId: project });
  let folder: string;
  let patterns: readonly string[];
  let local: Local;
  let underwriting: ServedExample;
  const closing: (() => unknown)[] = [];
  /** What another service, to the same topic, was told. */
  const toLedger: string[] = [];

  let made = 0;
  const make = (topic: string): Sent => {
    const webhook = sampleWebhook(topic, `customer-${random.int(1, EVENTS / 5)}`, Date.UTC(2026, 8, 1), made++);
    const body = Buffer.from(JSON.stringify(webhook));
    return { id: eventId(body), topic, heronId: String((webhook.data as { heron_id?: string }).heron_id), body };
  };
  const wanted = Array.from({ length: EVENTS }, () => make(random.pick(['end_user.processed', 'end_user.failed'])));
  const reviews = Array.from({ length: 5 }, () => make('end_user.reviewed'));
  const others = ['end_user.created', 'pdf.parsed', 'new.topic', 'end_user.review_required'].map(make);

  const deaths = Array.from({ length: DEATHS }, (_, n): Death => {
    return { moment: MOMENTS[n % MOMENTS.length] ?? 'claimed', nth: random.int(1, 5) };
  });

  beforeAll(async () => {
    folder = await installExample();
    patterns = await patternsOf(folder, env);
    const ledger = createServer((request, response) => {
      toLedger.push(String(request.headers['ce-id']));
      request.resume().once('end', () => response.writeHead(204).end());
    }).listen(0, '127.0.0.1');
    closing.push(() => ledger.close());
    await once(ledger, 'listening');
    underwriting = await ServedExample.start(folder, 'underwriting', env, deaths);
    closing.push(() => underwriting.close());
    await subscribe('underwriting', underwriting.url);
    const entries = [
      `underwriting=${underwriting.url},${patterns.join(',')}`,
      `ledger=http://127.0.0.1:${(ledger.address() as AddressInfo).port}/,end_user.reviewed`,
    ];
    local = await startLocal(
      { ...env, HERON_SHARED_SECRET: 's' },
      entries.flatMap((entry) => ['--subscriber', entry]),
    );
    closing.push(() => local.interrupt());
  }, 5 * MINUTES);
  afterAll(async () => {
    for (const close of closing.reverse()) await close();
    await db.terminate();
    if (folder) await removeExample(folder);
  }, MINUTES);

  /**
   * As Terraform and the local stack have it, which keeps what is there; but without a retry policy. With one the
   * emulator (0.8.20) pushes nothing more that once failed, as soon as an answer has come after its ack deadline.
   */
  const subscribe = async (name: string, url: string) => {
    const { topics, subscriptions } = topology(name, url, { sources: patterns, unwrapped: true });
    await provision(config, { topics, subscriptions: subscriptions.filter(({ push }) => push === undefined) });
    const pubsub = new PubSub({ projectId: project });
    for (const { name, topic, push } of subscriptions)
      if (push !== undefined)
        await pubsub.topic(topic).createSubscription(name, {
          ackDeadlineSeconds: DELIVERY.ack_deadline_seconds,
          pushConfig: { pushEndpoint: push.endpoint, noWrapper: { writeMetadata: true } },
          deadLetterPolicy: {
            deadLetterTopic: `projects/${project}/topics/${push.deadLetterTopic}`,
            maxDeliveryAttempts: DELIVERY.max_delivery_attempts,
          },
        });
    await pubsub.close();
  };

  const post = async ({ body }: Sent) => {
    const headers = { 'Heron-Signature': sign(body, 's') };
    for (;;) {
      const { status } = await fetch(local.webhook, { method: 'POST', body: Uint8Array.from(body), headers });
      if (status === 200) return;
      expect(status).toBe(503); // Heron would send it again
    }
  };
  /** What the projector says that it was told, one for each time. */
  const toProjector = () =>
    local
      .output()
      .split('\n')
      .filter((line) => line.includes('"function":"projector"'))
      .flatMap((line) => /"event_id":"(\w+)"/.exec(line)?.[1] ?? [])
      .sort();
  const stateOf = async (name: string) => {
    const { docs } = await db.collection(name).get();
    return new Map(docs.map((doc) => [doc.id, doc.data()] as const).sort(([a], [b]) => (a < b ? -1 : 1)));
  };
  /** What each event comes to that is handled once. */
  const oracle = (events: readonly Sent[], pays: boolean) => {
    const state = new Map<string, Record<string, number>>();
    for (const { heronId, topic } of events) {
      const { paid = 0, ...counts } = state.get(heronId) ?? {};
      const isPaid = pays && topic === 'end_user.processed';
      state.set(heronId, { ...counts, [topic]: (counts[topic] ?? 0) + 1, paid: isPaid ? paid + 1 : paid });
    }
    return new Map([...state].sort(([a], [b]) => (a < b ? -1 : 1)));
  };

  it(
    `gets its topics and no other; killed in its handlers ${DEATHS} times, each of ${EVENTS} events, delivered three times, had its effect once`,
    async () => {
      const all = random.shuffled([...wanted, ...reviews].flatMap((sent) => Array<Sent>(TIMES).fill(sent)));
      await pool([...all, ...others], 8, post);
      const isAcknowledged = () => {
        const counts = underwriting.acknowledged();
        return [...wanted, ...reviews].every(({ id }) => (counts.get(id) ?? 0) >= TIMES);
      };
      await until(isAcknowledged, () => underwriting.answered.length).catch((error) => {
        const counts = underwriting.acknowledged();
        const open = [...wanted, ...reviews].filter(({ id }) => (counts.get(id) ?? 0) < TIMES);
        const answers = open.map(({ id, topic }) => [
          id,
          topic,
          underwriting.answered.filter((each) => each.id === id).map(({ status }) => status),
        ]);
        throw new Error(
          JSON.stringify({ answers, waiting: [...underwriting.waiting], died: underwriting.died, deaths }),
          {
            cause: error,
          },
        );
      });
      expect(underwriting.died).toEqual(deaths);
      expect(await stateOf('underwriting')).toEqual(oracle(wanted, true));
      expect(new Set(underwriting.answered.map(({ topic }) => topic))).toEqual(new Set(patterns));
    },
    15 * MINUTES,
  );

  /** All others than the one, and what they have been told so far. */
  const toOthers = () => ({ ledger: [...toLedger].sort(), projector: toProjector() });

  it(
    'gets alone what is redriven, once it takes it',
    async () => {
      const isTold = () => toLedger.length >= TIMES * reviews.length && allRecorded();
      await until(isTold, () => toLedger.length + toProjector().length);
      const before = toOthers();
      underwriting.redeploy({ TAKES_REVIEWS: 'yes' });
      const args = ['dead-letters', 'redrive', '--all', '--subscriber', 'underwriting', '--json'];
      expect(await heron(args, env)).toMatchObject({ code: 0 });
      const redriven = () =>
        underwriting.answered.filter(
          ({ subscription, status }) => subscription.endsWith('/replay.underwriting') && status === 204,
        );
      const ids = reviews.map(({ id }) => id).sort();
      await until(
        () => ids.every((id) => redriven().some((each) => each.id === id)),
        () => underwriting.answered.length,
      );
      expect([...new Set(redriven().map(({ id }) => id))].sort()).toEqual(ids);
      expect(await stateOf('underwriting')).toEqual(oracle([...wanted, ...reviews], true));
      expect(toOthers()).toEqual(before);
    },
    5 * MINUTES,
  );

  const allRecorded = () => {
    const told = new Set(toProjector());
    return [...wanted, ...reviews, ...others].every(({ id }) => told.has(id));
  };
});
