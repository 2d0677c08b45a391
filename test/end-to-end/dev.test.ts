import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { SIGNATURE_HEADER, sign } from '../../functions/heron/signature.ts';
import { hasPubSub } from '../emulators.ts';
import { until } from '../until.ts';
import { HERON, startLocal, twoPorts, withoutEmulators } from './local.ts';

const SECRET = 'sec_dev';
/** What a terminal would obey, or show as other text than it is. */
const STEERING = '\u001b]0;own3d\u0007\u001b[2J\u009b31m\u202e\r';

describe('what Heron sends reaches no terminal as it is', () => {
  const body = Buffer.from(
    JSON.stringify({
      topic: `pdf.${STEERING}`,
      created: `2026${STEERING}`,
      data: { heron_id: 'eus_a', end_user_id: STEERING, status: STEERING },
      meta: STEERING,
    }),
  );

  it.each([[[]], [['--json']]])('of npm start: %j', async (more) => {
    const port = await twoPorts();
    const env = { ...withoutEmulators(), HERON_SHARED_SECRET: SECRET };
    const child = spawn(process.execPath, [HERON, 'dev', '--port', String(port), ...more], { env, stdio: 'pipe' });
    const ended = once(child, 'close');
    let printed = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => {
        printed += text;
      });
    try {
      await until(() => printed.includes(`localhost:${port + 1}`) || child.exitCode !== null);
      const headers = { [SIGNATURE_HEADER]: sign(body, SECRET) };
      expect((await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body, headers })).status).toBe(200);
      await until(() => printed.split('own3d').length > 2); // by ingest and by the projector
    } finally {
      child.kill('SIGINT');
      await ended;
    }
    expect(printed.match(/[^\P{C}\n]/gu)).toBeNull();
  });
});

describe.skipIf(!hasPubSub)('a Firestore emulator that makes no transaction', () => {
  it('does not keep npm start from being ready, which says so', async ({ onTestFinished }) => {
    // It answers whoever asks whether it is there, and nobody who speaks HTTP/2, as gRPC does.
    const silent = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', (start) => {
        if (!start.toString('latin1').startsWith('PRI ')) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      });
    });
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void silent.close());
    const host = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const local = await startLocal({ ...process.env, FIRESTORE_EMULATOR_HOST: host, HERON_SHARED_SECRET: SECRET });
    expect(local.output()).toMatch(/^The Firestore emulator has not made its first transaction yet: /m);
    const body = Buffer.from('{}');
    const headers = { [SIGNATURE_HEADER]: sign(body, SECRET) };
    expect((await fetch(local.webhook, { method: 'POST', body, headers })).status).toBe(200);
    expect(await local.interrupt()).toEqual({ code: 0, left: [] });
  }, 240_000);
});
