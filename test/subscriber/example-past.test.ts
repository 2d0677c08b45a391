import { Firestore } from '@google-cloud/firestore';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pool } from '../../functions/pool.ts';
import { Random } from '../chaos/random.ts';
import { killedAfterMessage } from '../cli/killed.ts';
import { hasFirestore, hasPubSub, newProject } from '../emulators.ts';
import { heron, type Local, startLocal } from '../end-to-end/local.ts';
import { until } from '../until.ts';
import { oracle, post, SECRET, type Sent, stateOf, toProjector, webhooks } from './example-events.ts';
import { installExample, patternsOf, receiver, removeExample, ServedExample } from './served-example.ts';

/** How many webhooks of each topic came before: of one more than a replay reads at a time. */
const PAST = { 'end_user.failed': 60, 'end_user.processed': 160, 'end_user.reviewed': 60 };
const MINUTES = 60_000;

describe.runIf(hasFirestore && hasPubSub)('a service with the package that is new today', () => {
  const random = new Random(2);
  const project = newProject();
  const env = { ...process.env, GOOGLE_CLOUD_PROJECT: project, METADATA_SERVER_DETECTION: 'none' };
  const db = new Firestore({ projectId: project });
  const closing: (() => unknown)[] = [];
  const toLedger: string[] = [];
  const make = webhooks(random, 20);
  let local: Local | undefined;
  let stack: (services: readonly ServedExample[]) => Promise<Local>;
  let serve: (name: string) => Promise<ServedExample>;

  beforeAll(async () => {
    const folder = await installExample();
    closing.push(() => removeExample(folder));
    const patterns = (await patternsOf(folder, env)).join(',');
    const ledger = await receiver((id) => toLedger.push(id));
    closing.push(ledger.close);
    serve = async (name) => {
      const served = await ServedExample.start(folder, name, { ...env, TAKES_REVIEWS: 'yes' });
      closing.push(() => served.close());
      return served;
    };
    stack = async (services) => {
      await local?.interrupt();
      const entries = [...services.map(({ name, url }) => `${name}=${url},${patterns}`), `ledger=${ledger.url}`];
      local = await startLocal(
        { ...env, HERON_SHARED_SECRET: SECRET },
        entries.flatMap((entry) => ['--subscriber', entry]),
      );
      return local;
    };
  }, 5 * MINUTES);
  afterAll(async () => {
    await local?.interrupt();
    for (const close of closing.reverse()) await close();
    await db.terminate();
  }, MINUTES);

  const send = async (to: Local, all: readonly Sent[], services: readonly ServedExample[]) => {
    await pool(all, 8, (sent) => post(to, sent));
    const isTold = () => {
      const [recorded, ledger] = [new Set(toProjector(to)), new Set(toLedger)];
      const tellers = services.map(({ acknowledged }) => acknowledged);
      return all.every(({ id }) => recorded.has(id) && ledger.has(id) && tellers.every((told) => told.has(id)));
    };
    await until(isTold, () => toLedger.length + services.reduce((sum, { answered }) => sum + answered.length, 0));
  };

  it(
    'has by one replay, killed twice and taken up again, the state that it would have had from the start; nobody else gets any of it',
    async () => {
      const past = Object.entries(PAST).flatMap(([topic, length]) => Array.from({ length }, () => make(topic)));
      const unwanted = ['end_user.created', 'pdf.processed'].map(make);
      const veteran = await serve('veteran');
      const before = await stack([veteran]);
      await send(before, random.shuffled(past), [veteran]);
      await send(before, unwanted, []);

      const newcomer = await serve('newcomer');
      const both = [veteran, newcomer];
      const joined = await stack(both);
      const live = Array.from({ length: 10 }, () => make(random.pick(Object.keys(PAST))));
      await send(joined, live, both);
      expect(new Set(newcomer.answered.map(({ id }) => id))).toEqual(new Set(live.map(({ id }) => id)));
      const others = () => [veteran.answered, toProjector(joined), toLedger].map(({ length }) => length);
      const told = others();

      const goingOn = (events: RegExp) =>
        expect.stringMatching(new RegExp(`Going on with the replay .*: ${events.source} events so far`));
      const args = ['replay', '--to', 'newcomer', '--rate', '5000'];
      const cut = (nth: number) => killedAfterMessage({ of: 'replay.newcomer', nth }, args, env);
      expect(await cut(20)).toMatchObject({ signal: 'SIGKILL' }); // before it has kept anything
      expect(await cut(180)).toMatchObject({ signal: 'SIGKILL', stderr: goingOn(/0/) }); // amid a topic
      const { code, stdout, stderr } = await heron([...args, '--json'], env);
      expect({ code, stderr, ...JSON.parse(stdout) }).toMatchObject({
        code: 0,
        stderr: goingOn(/1[67]\d/),
        events: past.length + live.length,
        resumed: true,
      });

      await until(
        () => past.every(({ id }) => newcomer.acknowledged.has(id)),
        () => newcomer.answered.length,
      );
      const isPast = new Set(past.map(({ id }) => id));
      const ways = newcomer.answered.filter(({ id }) => isPast.has(id)).map(({ subscription }) => subscription);
      expect(new Set(ways)).toEqual(new Set([`projects/${project}/subscriptions/replay.newcomer`]));
      expect(await stateOf(db, 'veteran')).toEqual(oracle([...past, ...live], () => true));
      // As it would be, but for what a replay is not to do again: payouts.
      expect(await stateOf(db, 'newcomer')).toEqual(oracle([...past, ...live], ({ id }) => !isPast.has(id)));

      // What comes after it has come everywhere, and nothing before it.
      const marker = make('end_user.processed');
      await send(joined, [marker], both);
      expect(others()).toEqual(told.map((count) => count + 1));
    },
    15 * MINUTES,
  );
});
