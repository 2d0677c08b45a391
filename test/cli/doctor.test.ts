import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PubSub } from '@google-cloud/pubsub';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GooglePublisher } from '../../functions/bus/google.ts';
import { deadLetterTopic } from '../../functions/bus/topology.ts';
import { toDeadLetter } from '../../functions/events/dead-letter.ts';
import { eventOf } from '../../functions/events/event.ts';
import { toMessage } from '../../functions/events/message.ts';
import { instantOf } from '../../functions/heron/instant.ts';
import { sampleWebhook } from '../../functions/heron/sample.ts';
import { hasFirestore, hasPubSub, newProject } from '../emulators.ts';
import { heron, type Local, startLocal, withoutEmulators } from '../end-to-end/local.ts';
import { pause } from '../pause.ts';
import { HeronStandIn } from '../recover/heron-stand-in.ts';

type Found = {
  readonly check: string;
  readonly verdict: string;
  readonly detail: string;
  readonly mend: string | null;
};
type Env = Readonly<Record<string, string | undefined>>;

/** Runs heron doctor. @returns the checks by name, and all that were not fine. */
async function doctor(local: Local, env: Env, ...args: string[]) {
  const { code, stdout, stderr } = await heron(['doctor', '--json', '--url', local.query, ...args], env);
  const told = JSON.parse(stdout) as {
    healthy: boolean;
    checks: (Found & { facts: Record<string, unknown> | null })[];
  };
  const by = (verdict: string) => told.checks.filter((each) => each.verdict === verdict).map(({ check }) => check);
  const found = Object.fromEntries(told.checks.map((each) => [each.check, each]));
  expect(code).toBe(told.healthy ? 0 : 1);
  return { code, stderr, found, wrong: by('wrong'), unchecked: by('unchecked'), fine: by('fine') };
}

describe.skipIf(!hasFirestore || !hasPubSub)('heron doctor, of what npm start runs over the emulators', () => {
  let env: Env;
  let local: Local;
  let pubsub: PubSub;
  let projectId: string;
  /** Does what a finding says mends it, as whoever reads it would. */
  const mend = async (command: string | null | undefined, shell: Env = env) => {
    const [first = '', ...rest] = (command ?? '').split(' ');
    if (command === 'npm start') {
      await local.interrupt();
      local = await startLocal(shell);
    } else if (first === 'unset') {
      return { ...shell, [rest[0] ?? '']: undefined };
    } else {
      expect([first, rest[0]]).toEqual(['npx', 'heron']);
      expect(await heron(rest.slice(1), shell)).toMatchObject({ code: 0 });
    }
    return shell;
  };

  beforeAll(async () => {
    projectId = newProject();
    const { HERON_API_KEY: _, ...others } = process.env;
    env = { ...others, GOOGLE_CLOUD_PROJECT: projectId, HERON_SHARED_SECRET: 'sec_doctor' };
    local = await startLocal(env);
    pubsub = new PubSub({ projectId });
  });
  afterAll(async () => {
    await Promise.all([local?.interrupt(), pubsub?.close()]);
  });

  it('says that it is fine, what it could not check, and how long the canary took', async () => {
    const { code, found, wrong, unchecked } = await doctor(local, env);
    expect({ code, wrong, unchecked }).toEqual({
      code: 0,
      wrong: [],
      unchecked: ['registrations', 'grants', 'indexes', 'lag'],
    });
    expect(found.registrations?.detail).toMatch(/HERON_API_KEY/);
    const { answered_ms, readable_ms, event_id } = found.canary?.facts ?? {};
    expect(readable_ms).toBeGreaterThanOrEqual(Number(answered_ms));
    const event = await (await fetch(`${local.query}events/${event_id}`)).json();
    expect(event).toMatchObject({ topic: 'doctor.canary', heron_id: 'eus_canary' });
  });

  it('shows its canary to nobody who does not ask for it', async () => {
    const asked = async (path: string) => (await fetch(`${local.query}${path}`)).json();
    expect(await asked('end-users/eus_canary')).toMatchObject({ heron_id: 'eus_canary' });
    expect(await asked('end-users')).toEqual({ end_users: [], next_page_token: null });
    expect(await asked('events?unrouted=true')).toEqual({ events: [], next_page_token: null });
    expect(await asked('stats')).toMatchObject({
      end_users: { total: 0 },
      events: { total: 0, unrouted: 0, topics: [] },
    });
  });

  it('for people has a line a check, and with --quiet none where nothing is wrong', async () => {
    const { code, stdout } = await heron(['doctor', '--url', local.query], env);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^fine {7}canary {10}went from ingest to its state in \d+ ms/m);
    expect(stdout).toMatch(/^14 checks: 10 fine, 0 wrong, 4 unchecked\.$/m);
    expect(stdout).not.toContain('sec_doctor');
    expect(await heron(['doctor', '--url', local.query, '--quiet'], env)).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  it('finds a wrong configuration, and goes on with what needs none', async () => {
    const shell = { ...env, TOPIC_PREFIX: '-bad' };
    const { found, wrong, fine } = await doctor(local, shell);
    expect(wrong).toEqual(['config']);
    expect(fine).toEqual(['query', 'ingest', 'secret', 'canary']);
    expect((await doctor(local, await mend(found.config?.mend, shell))).wrong).toEqual([]);
  });

  it('finds each secret that ingest does not take, and tells none', async () => {
    const shell = { ...env, HERON_SHARED_SECRET: 'sec_doctor\nsec_other' };
    const { found, wrong } = await doctor(local, shell);
    expect(wrong).toEqual(['secret']);
    expect(found.secret).toMatchObject({ detail: expect.stringMatching(/only the first of your 2 secrets/) });
    expect(found.secret?.facts).toMatchObject({ verified: [1], refused: [2] });
    expect(JSON.stringify(found)).not.toMatch(/sec_doctor|sec_other/);
    await mend(found.secret?.mend, shell);
    expect((await doctor(local, shell)).wrong).toEqual([]);
    await mend('npm start');
  });

  it('finds topics and subscriptions as they break, one after another, and starting anew mends them', async () => {
    const policyOf = (target: string) => ({
      deadLetterTopic: `projects/${projectId}/topics/${target}`,
      maxDeliveryAttempts: 5,
    });
    await pubsub.subscription('projector.pdf.failed').modifyPushConfig({ pushEndpoint: 'http://127.0.0.1:9/' });
    const pushedAstray = await doctor(local, env);
    expect(pushedAstray.wrong).toEqual(['push']);
    expect(pushedAstray.found.push?.detail).toContain('projector.pdf.failed');

    await pubsub.subscription('projector.pdf.processed').delete();
    const { pushConfig } = (await pubsub.subscription('projector.unrouted').getMetadata())[0];
    await pubsub.topic('pdf.processed').createSubscription('projector.pdf.processed', {
      pushConfig: { pushEndpoint: String(pushConfig?.pushEndpoint) },
      deadLetterPolicy: policyOf('unrouted'),
      expirationPolicy: { ttl: null },
    });
    const otherDeadLetters = await doctor(local, env);
    expect(otherDeadLetters.wrong).toEqual(['push', 'dead-lettering']);
    expect(otherDeadLetters.found['dead-lettering']?.detail).toContain('projector.pdf.processed has those of unrouted');

    await pubsub.subscription('projector.end_user.failed').delete();
    const unsubscribed = await doctor(local, env);
    expect(unsubscribed.wrong).toEqual(['subscriptions', 'push', 'dead-lettering']);
    expect(unsubscribed.found.subscriptions?.detail).toContain('projector.end_user.failed');

    await pubsub.topic('end_user.reviewed').delete();
    const without = await doctor(local, env);
    expect(without.wrong).toEqual(['topics', 'subscriptions', 'push', 'dead-lettering']);
    expect(without.found.topics?.detail).toContain('end_user.reviewed');

    const mends = new Set(without.wrong.map((check) => without.found[check]?.mend));
    expect([...mends]).toEqual(['npm start']);
    await mend('npm start');
    expect((await doctor(local, env)).wrong).toEqual([]);
  });

  it('finds dead letters, and says how they are tried again', async () => {
    const publisher = new GooglePublisher({ projectId, topicPrefix: '' });
    const body = Buffer.from(JSON.stringify(sampleWebhook('end_user.failed', 'acme-dead', Date.now())));
    const letter = toDeadLetter(toMessage(eventOf(body, instantOf(Date.now()))), {
      subscriber: 'projector',
      reason: 'a test',
    });
    await publisher.publish(deadLetterTopic('projector'), letter, 10_000);
    await publisher.close();
    const { found, wrong } = await doctor(local, env);
    expect(wrong).toEqual(['dead-letters']);
    expect(found['dead-letters']).toMatchObject({
      detail: expect.stringMatching(/^1 of projector \(a test\)/),
      facts: { projector: 1 },
    });
    await mend(found['dead-letters']?.mend);
    expect((await doctor(local, env)).wrong).toEqual([]);
  });

  it('finds a projector that takes nothing, by its canary alone', async () => {
    await pause(local.process('--target=projector'));
    const { found, wrong } = await doctor(local, env, '--timeout', '2s');
    expect(wrong).toEqual(['canary']);
    expect(found.canary).toMatchObject({
      detail: expect.stringMatching(/query has it not after 2 s/),
      mend: 'npm start',
    });
    await mend(found.canary?.mend);
    expect((await doctor(local, env)).wrong).toEqual([]);
  });

  it('finds what is stopped, and an emulator that is not there', async () => {
    await local.interrupt();
    const { found, wrong } = await doctor(local, { ...env, PUBSUB_EMULATOR_HOST: '127.0.0.1:9' });
    expect(wrong).toEqual(
      expect.arrayContaining(['config', 'query', 'ingest', 'secret', 'topics', 'dead-letters', 'canary']),
    );
    for (const each of wrong)
      expect(found[each]).toMatchObject({
        detail: expect.stringMatching(/Nothing (answers|listens) at/),
        mend: 'npm start',
      });
    await mend(found.ingest?.mend);
    expect((await doctor(local, env)).wrong).toEqual([]);
  });

  it('finds what Heron does not send, and has it sent', async () => {
    const standIn = new HeronStandIn();
    const shell = { ...env, HERON_API_URL: await standIn.start(), HERON_API_KEY: standIn.key };
    try {
      standIn.topics = ['end_user.processed', 'end_user.failed', 'end_user.invented'];
      standIn.webhooks = [
        { heron_id: 'wbh_0', topic: 'end_user.processed', url: 'https://ingest.invalid', is_enabled: true },
      ];
      const there = ['--ingest-url', 'https://ingest.invalid/'];
      const { found } = await doctor(local, shell, ...there);
      expect(found.registrations).toMatchObject({
        verdict: 'wrong',
        detail: expect.stringMatching(
          /2 of its 3 topics here: end_user\.failed, end_user\.invented; 1 topic .* not in topics\.json/,
        ),
      });
      await mend(found.registrations?.mend, shell);
      expect((await doctor(local, shell, ...there)).found.registrations?.verdict).toBe('fine');
      expect((await doctor(local, { ...shell, HERON_API_KEY: 'wrong' }, ...there)).found.registrations).toMatchObject({
        verdict: 'unchecked',
        detail: expect.stringMatching(/HERON_API_KEY/),
      });
    } finally {
      await standIn.stop();
    }
  });
});

describe('heron doctor, of what npm start runs in memory', () => {
  it('checks what can be reached, with nothing set, and says what it takes for the rest', async () => {
    const { GOOGLE_CLOUD_PROJECT: _, HERON_SHARED_SECRET: __, HERON_API_KEY: ___, ...shell } = withoutEmulators();
    const local = await startLocal(shell);
    try {
      const { code, found, wrong, fine } = await doctor(local, shell);
      expect({ code, wrong, fine }).toEqual({
        code: 0,
        wrong: [],
        fine: ['config', 'query', 'ingest', 'secret', 'canary'],
      });
      expect(found.topics).toMatchObject({
        verdict: 'unchecked',
        mend: expect.stringMatching(/^PUBSUB_EMULATOR_HOST=/),
      });
    } finally {
      await local.interrupt();
    }
  });
});

describe('heron doctor', () => {
  describe('of a deployment', () => {
    let careless: Server;
    let args: readonly string[];
    const shell = { ...withoutEmulators(), HERON_API_KEY: undefined, GOOGLE_APPLICATION_CREDENTIALS: '/nowhere' };
    beforeAll(async () => {
      careless = createServer((_, response) => response.end()); // it answers 200, whatever it is asked
      await new Promise<void>((resolve) => careless.listen(0, '127.0.0.1', resolve));
      const url = `http://127.0.0.1:${(careless.address() as AddressInfo).port}/`;
      args = ['doctor', '--url', url, '--ingest-url', url, '--project', 'my-project'];
    });
    afterAll(() => careless.close());

    it('checks without credentials what needs none, though Google’s clients throw past whoever called them', async () => {
      const { code, stdout, stderr } = await heron([...args, '--json'], shell);
      expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
      const { checks } = JSON.parse(stdout) as { checks: readonly Found[] };
      const verdicts = Object.fromEntries(checks.map(({ check, verdict }) => [check, verdict]));
      expect(verdicts).toMatchObject({ config: 'wrong', ingest: 'wrong', query: 'wrong', canary: 'wrong' });
      for (const check of [
        'topics',
        'subscriptions',
        'push',
        'dead-lettering',
        'dead-letters',
        'grants',
        'indexes',
        'lag',
      ])
        expect({ check, verdict: verdicts[check] }).toEqual({ check, verdict: 'unchecked' });
    });

    it('says of the apply that mends it what else it would undo', async () => {
      const { stdout, stderr } = await heron(args, shell);
      expect(stdout).toMatch(
        /takes what nobody signed .*\n +\$ terraform -chdir=infra apply -var project_id=my-project\n/,
      );
      expect(stderr).toMatch(/^terraform apply: in the workspace .* with all of its variables/m);
    });
  });

  it.each([
    [['--url', 'https://query.example/'], /--ingest-url/],
    [['--timeout', 'soon'], /duration such as 90s/],
  ])('misused as %j exits with 2', async (args, message) => {
    const { code, stderr } = await heron(['doctor', ...args]);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });
});
