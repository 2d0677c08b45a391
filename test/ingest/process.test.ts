import { existsSync } from 'node:fs';
import { Agent, request as httpRequest } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { PubSub } from '@google-cloud/pubsub';
import { describe, expect, test } from 'vitest';
import { emulatorEnv, hasPubSub, newProject } from '../emulators.ts';
import { until } from '../until.ts';
import { FunctionProcess } from './process.ts';
import { SECRET, signed, webhook } from './served.ts';
import { head, send, Wire } from './wire.ts';

const FORGED = `${'A'.repeat(43)}=`;
const ENV = {
  GOOGLE_CLOUD_PROJECT: 'heron-test',
  HERON_SHARED_SECRET: SECRET,
  PUBSUB_EMULATOR_HOST: '127.0.0.1:1',
  ...emulatorEnv,
};

describe.concurrent('ingest does not start', () => {
  test.for<[string, NodeJS.ProcessEnv]>([
    ['HERON_SHARED_SECRET', { HERON_SHARED_SECRET: undefined }],
    ['HERON_SHARED_SECRET_FILE', { HERON_SHARED_SECRET: undefined, HERON_SHARED_SECRET_FILE: `/nowhere/${SECRET}` }],
    ['GOOGLE_CLOUD_PROJECT', { GOOGLE_CLOUD_PROJECT: undefined }],
    ['LOG_SAMPLING', { LOG_SAMPLING: '2' }],
  ])('without a good %s (%j), and says so in one line', async ([variable, env], { onTestFinished }) => {
    const started = await FunctionProcess.spawn('ingest', { ...ENV, ...env }, onTestFinished);
    expect(await started.exited).toBe(1);
    expect(started.stderr).toBe('');
    expect(started.stdout).toMatch(/^\{[^\n]*\}\n$/);
    expect(started.log()).toEqual([
      { severity: 'CRITICAL', message: expect.stringContaining(variable), function: 'ingest', outcome: 'not_started' },
    ]);
    expect(started.stdout).not.toContain(SECRET);
  });
});

test.skipIf(!existsSync('/proc/self/status')).concurrent(
  'the memory of ingest stays as it was under gzip bombs, a crumbled body, and bodies that are announced and never come',
  async ({ onTestFinished }) => {
    const ingest = await (await FunctionProcess.spawn('ingest', ENV, onTestFinished)).ready();
    const types = ['application/json', 'text/plain', 'application/x-www-form-urlencoded', 'image/png'];
    for (const type of types) await send(ingest.port, 'warm', { 'Content-Type': type, 'Heron-Signature': FORGED });
    const before = ingest.peak();

    // 1 MB each that inflates to 1 GB
    const bomb = Buffer.concat(Array(10).fill(await promisify(gzip)(Buffer.alloc(100_000_000))));
    for (const type of types) {
      const plain = { 'Content-Type': type };
      const encoded = { ...plain, 'Content-Encoding': 'gzip' };
      expect((await send(ingest.port, bomb, plain)).status).toBe(401);
      expect((await send(ingest.port, bomb, encoded)).status).toBe(401);
      expect((await send(ingest.port, bomb, { ...encoded, 'Heron-Signature': FORGED })).status).toBe(401);
    }

    const announced = Array.from({ length: 100 }, () =>
      new Wire(ingest.port).write(`${head([`Heron-Signature: ${FORGED}`, 'Content-Length: 10000000'])}x`),
    );

    const crumbled = new Wire(ingest.port).write(head([`Heron-Signature: ${FORGED}`, 'Transfer-Encoding: chunked']));
    const crumbs = Buffer.from('1\r\nx\r\n'.repeat(10_000));
    for (let sent = 0; sent < 30; sent += 1) await new Promise((resolve) => crumbled.socket.write(crumbs, resolve));
    crumbled.write('0\r\n\r\n');
    await crumbled.until(({ statuses }) => statuses.length > 0);
    expect(crumbled.statuses).toEqual([expect.toBeOneOf([401, 408])]); // on a busy machine it takes over 5 s

    expect(ingest.peak() - before).toBeLessThan(60);
    for (const { socket } of [crumbled, ...announced]) socket.destroy();
  },
  120_000,
);

describe.concurrent('on SIGTERM', () => {
  /** A connection that has had a request: it is closed half a second into the draining, one that has had none later. */
  const usedOnce = async (port: number): Promise<Wire> => {
    const wire = new Wire(port).write(head(['Content-Length: 0']));
    await wire.until(({ statuses }) => statuses.length > 0);
    return wire;
  };

  test('before the first request the process ends at once, with 0', async ({ onTestFinished }) => {
    const ingest = await (await FunctionProcess.spawn('ingest', ENV, onTestFinished)).ready();
    ingest.kill('SIGTERM');
    expect(await ingest.exited).toBe(0);
    expect(ingest.stderr).toBe('');
  });

  test('while a connection is idle the process ends with 0, and not because its 8 s are over', async ({
    onTestFinished,
  }) => {
    const ingest = await (await FunctionProcess.spawn('ingest', ENV, onTestFinished)).ready();
    const idle = new Wire(ingest.port).write(head(['Content-Length: 0']));
    await idle.until(({ statuses }) => statuses.length > 0);
    ingest.kill('SIGTERM');
    expect(await ingest.exited).toBe(0); // 1 where it takes 8 s
    expect(ingest.stderr).toBe('');
  });

  test('a body that is still coming is waited for', async ({ onTestFinished }) => {
    const ingest = await (await FunctionProcess.spawn('ingest', ENV, onTestFinished)).ready();
    const used = await usedOnce(ingest.port);
    const request = head([`Heron-Signature: ${FORGED}`, 'Content-Length: 10', 'Expect: 100-continue']);
    const wire = new Wire(ingest.port).write(request);
    const dawdling = new Wire(ingest.port).write(request);
    for (const each of [wire, dawdling]) await each.until(({ statuses }) => statuses.length > 0);
    wire.write('12345');
    ingest.kill('SIGTERM');
    await used.until(({ closed }) => closed);
    wire.write('67890');
    await wire.until(({ closed }) => closed);
    expect(wire.statuses).toEqual([100, 401]);
    expect(wire.received).toContain('Connection: close');
    expect(await ingest.exited).toBe(0);
    expect(dawdling.statuses).toEqual([100, 408]);
  });

  test('a request that arrives once it is draining is told so', async ({ onTestFinished }) => {
    const args = ['--source=test/ingest/broken.ts'];
    const process = await (await FunctionProcess.spawn('broken', {}, onTestFinished, args)).ready();
    expect((await send(process.port)).body).toBe('false');
    const used = await usedOnce(process.port);
    const fresh = await new Wire(process.port).connected();
    process.kill('SIGTERM');
    await used.until(({ closed }) => closed);
    fresh.write(head(['Content-Length: 0']));
    await fresh.until(({ closed }) => closed);
    expect(fresh.received).toMatch(/\r\n\r\ntrue$/);
    expect(await process.exited).toBe(0);
  });

  test('a connection that was taken is waited for until it is used', async ({ onTestFinished }) => {
    const ingest = await (await FunctionProcess.spawn('ingest', ENV, onTestFinished)).ready();
    const used = await usedOnce(ingest.port);
    const fresh = await new Wire(ingest.port).connected();
    ingest.kill('SIGTERM');
    await used.until(({ closed }) => closed);
    fresh.write(head(['Content-Length: 0']));
    await fresh.until(({ closed }) => closed);
    expect(fresh.statuses).toEqual([401]);
    expect(await ingest.exited).toBe(0);
  });

  test.skipIf(!hasPubSub).for([
    ['on connections that are kept, every request is answered', true],
    ['on a connection each, every request that was taken is answered', false],
  ] as const)(
    'in the middle of 32 at a time, %s, and the process ends with 0',
    async ([, keepAlive], { onTestFinished }) => {
      const projectId = newProject();
      const pubsub = new PubSub({ projectId });
      await Promise.all(['end_user.processed', 'unrouted'].map((topic) => pubsub.createTopic(topic)));
      await pubsub.close();
      const env = { ...ENV, GOOGLE_CLOUD_PROJECT: projectId };
      const ingest = await (await FunctionProcess.spawn('ingest', env, onTestFinished)).ready();
      const agent = new Agent({ keepAlive, maxSockets: 32 });
      const counts: Record<string, number> = {};
      const post = (body: string) =>
        new Promise<string>((resolve) => {
          const request = httpRequest({
            port: ingest.port,
            host: '127.0.0.1',
            method: 'POST',
            agent,
            headers: signed(body),
          });
          request.on('response', (response) => response.resume().on('end', () => resolve(String(response.statusCode))));
          request.on('error', (error: NodeJS.ErrnoException) => resolve(`${error.code} ${error.message}`)).end(body);
        });
      const answered = Array<number>(32).fill(0);
      const loop = async (_: number, client: number) => {
        for (;;) {
          const outcome = await post(webhook({ meta: { client, number: answered[client] } }));
          counts[outcome] = (counts[outcome] ?? 0) + 1;
          if (outcome !== '200') return;
          answered[client] = (answered[client] ?? 0) + 1;
        }
      };
      const loops = Promise.all(answered.map(loop));
      await until(() => Math.min(...answered) > 5);
      ingest.kill('SIGTERM');
      await loops;
      expect(await ingest.exited).toBe(0); // 1 where it takes 8 s
      const refused = `ECONNREFUSED connect ECONNREFUSED 127.0.0.1:${ingest.port}`;
      if (keepAlive) expect(counts).toEqual({ '200': expect.any(Number), [refused]: 32 });
      // The system resets connections that nobody accepted yet; whatever was published was answered.
      expect(ingest.log().filter(({ outcome }) => outcome === 'published')).toHaveLength(counts['200'] ?? 0);
      expect(ingest.stderr).toBe('');
    },
  );
});

describe.concurrent('an error that nobody caught', () => {
  const start = async (afterTest: (callback: () => void) => void) =>
    (await FunctionProcess.spawn('broken', {}, afterTest, ['--source=test/ingest/broken.ts'])).ready();

  test.for(['callback', 'promise'])(
    '(in a %s) ends the process, and what it was answering gets 503, without the error',
    async (where, { onTestFinished }) => {
      const broken = await start(onTestFinished);
      const waiting = send(broken.port, '', { 'X-Break': 'never' });
      await sleep(100);
      const replies = await Promise.all([send(broken.port, '', { 'X-Break': where }), waiting]);
      for (const { status, body } of replies) {
        expect(status).toBe(503);
        expect(body).not.toContain('private');
      }
      expect(await broken.exited).toBe(1);
      expect(broken.log()).toMatchObject([{ severity: 'CRITICAL', outcome: 'crashed' }]);
      expect(broken.stdout + broken.stderr).not.toContain('private');
    },
  );

  test('on closing is told, and the process still ends with 0', async ({ onTestFinished }) => {
    const broken = await start(onTestFinished);
    expect((await send(broken.port)).status).toBe(200);
    broken.kill('SIGTERM');
    expect(await broken.exited).toBe(0);
    expect(broken.log()).toMatchObject([{ severity: 'WARNING', outcome: 'not_closed' }]);
  });
});
