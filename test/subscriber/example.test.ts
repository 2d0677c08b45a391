import { Firestore } from '@google-cloud/firestore';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pool } from '../../functions/pool.ts';
import { Random } from '../chaos/random.ts';
import { hasFirestore, hasPubSub, newProject } from '../emulators.ts';
import { heron, type Local, startLocal } from '../end-to-end/local.ts';
import { until } from '../until.ts';
import { type Death, MOMENTS } from './example/death.ts';
import { oracle, post, SECRET, stateOf, toProjector, webhooks } from './example-events.ts';
import { installExample, patternsOf, receiver, removeExample, ServedExample } from './served-example.ts';

/** The whole, some minutes: `EXAMPLE_EVENTS=1000 EXAMPLE_DEATHS=30 npm test -- test/subscriber/example.test.ts`. */
const EVENTS = Number(process.env.EXAMPLE_EVENTS ?? 60);
const DEATHS = Number(process.env.EXAMPLE_DEATHS ?? 6);
const SEED = Number(process.env.EXAMPLE_SEED ?? 1);
const TIMES = 3;
/** A process dies at the latest where it gets past a moment for the fifth time. */
const NTH = 5;

const MINUTES = 60_000;

describe.runIf(hasFirestore && hasPubSub)('a service with the package and one entry of subscribers', () => {
  const random = new Random(SEED);
  const project = newProject();
  const env = { ...process.env, GOOGLE_CLOUD_PROJECT: project, METADATA_SERVER_DETECTION: 'none' };
  const db = new Firestore({ projectId: project });
  let folder: string;
  let patterns: readonly string[];
  let local: Local;
  let underwriting: ServedExample;
  const closing: (() => unknown)[] = [];
  /** What another service, to one of the same topics, was told. */
  const toLedger: string[] = [];

  const make = webhooks(random, Math.ceil(EVENTS / 5));
  const wanted = Array.from({ length: EVENTS }, () => make(random.pick(['end_user.processed', 'end_user.failed'])));
  const reviews = Array.from({ length: 5 }, () => make('end_user.reviewed'));
  const others = ['end_user.created', 'pdf.parsed', 'new.topic', 'end_user.review_required'].map(make);

  const deaths = Array.from({ length: DEATHS }, (_, n): Death => {
    return { moment: MOMENTS[n % MOMENTS.length] ?? 'claimed', nth: random.int(1, NTH) };
  });

  beforeAll(async () => {
    expect(EVENTS, 'events to die in').toBeGreaterThanOrEqual(NTH * DEATHS);
    folder = await installExample();
    closing.push(() => removeExample(folder));
    patterns = await patternsOf(folder, env);
    const ledger = await receiver((id) => toLedger.push(id));
    closing.push(ledger.close);
    underwriting = await ServedExample.start(folder, 'underwriting', env, deaths);
    closing.push(() => underwriting.close());
    const entries = [
      `underwriting=${underwriting.url},${patterns.join(',')}`,
      `ledger=${ledger.url},end_user.reviewed`,
    ];
    local = await startLocal(
      { ...env, HERON_SHARED_SECRET: SECRET },
      entries.flatMap((entry) => ['--subscriber', entry]),
    );
    closing.push(() => local.interrupt());
  }, 5 * MINUTES);
  afterAll(async () => {
    for (const close of closing.reverse()) await close();
    await db.terminate();
  }, MINUTES);

  const topicsTold = () => new Set(underwriting.answered.map(({ topic }) => topic));

  it(
    `gets its topics and no other; killed in its handlers ${DEATHS} times, each of ${EVENTS} events, delivered three times, had its effect once`,
    async () => {
      const all = random.shuffled([...wanted, ...reviews].flatMap((sent) => Array(TIMES).fill(sent)));
      await pool([...all, ...others], 8, (sent) => post(local, sent));
      const open = () => [...wanted, ...reviews].filter(({ id }) => (underwriting.acknowledged.get(id) ?? 0) < TIMES);
      await until(
        () => open().length === 0,
        () => underwriting.answered.length,
      ).catch((error) => {
        const answersTo = (id: string) => underwriting.answered.filter((each) => each.id === id);
        const answers = open().map(({ id, topic }) => [id, topic, answersTo(id).map(({ status }) => status)]);
        const { waiting, died } = underwriting;
        throw new Error(JSON.stringify({ answers, waiting: [...waiting], died, deaths }), { cause: error });
      });
      expect(underwriting.died).toEqual(deaths);
      expect(await stateOf(db, 'underwriting')).toEqual(oracle(wanted, () => true));
      expect(topicsTold()).toEqual(new Set(patterns));
    },
    15 * MINUTES,
  );

  /** All others than the one, and what they have been told so far. */
  const toOthers = () => ({ ledger: [...toLedger].sort(), projector: toProjector(local) });

  it(
    'gets alone what is redriven, once it takes it',
    async () => {
      const allRecorded = () => {
        const told = new Set(toProjector(local));
        return [...wanted, ...reviews, ...others].every(({ id }) => told.has(id));
      };
      const isTold = () => toLedger.length >= TIMES * reviews.length && allRecorded();
      await until(isTold, () => toLedger.length + toProjector(local).length);
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
      expect(await stateOf(db, 'underwriting')).toEqual(oracle([...wanted, ...reviews], () => true));
      expect(toOthers()).toEqual(before);
      expect(topicsTold()).toEqual(new Set(patterns)); // by now all else has long been told
    },
    5 * MINUTES,
  );
});
