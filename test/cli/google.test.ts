import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer as createHttp2, type Http2Server } from 'node:http2';
import { type AddressInfo, createServer, type Server } from 'node:net';

import { afterAll, describe, expect, it } from 'vitest';
import { provision } from '../../functions/bus/provision.ts';
import { clock } from '../../functions/clock.ts';
import { FirestoreStore } from '../../functions/store/firestore.ts';
import { hasFirestore, hasPubSub, newProject } from '../emulators.ts';
import { HERON, heron } from '../end-to-end/local.ts';
import { proxyTo } from '../proxy.ts';
import { event } from '../store/given.ts';
import { until } from '../until.ts';

const open: (Server | Http2Server)[] = [];
afterAll(() => {
  for (const server of open.splice(0)) server.close();
});

/** Google's service, as far as that it ends every call with the same gRPC code. */
async function refusing(code: number, message: string): Promise<string> {
  const server = createHttp2();
  server.on('stream', (stream) => {
    const status = { 'grpc-status': String(code), 'grpc-message': encodeURIComponent(message) };
    stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...status }, { endStream: true });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push(server);
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function run(args: readonly string[], hosts: NodeJS.ProcessEnv, project = 'my-project') {
  const env = { ...process.env, ...hosts, NO_COLOR: '1' };
  const { code, stdout, stderr } = await heron([...args, '--project', project, '--json', '--quiet'], env);
  return { code, stderr, ...JSON.parse(stdout) };
}

describe('where Google refuses', { timeout: 60_000 }, () => {
  const denied = [
    7,
    'Missing permissions.',
    'permission-denied',
    /refuses your account \(.*\): it needs roles\//,
  ] as const;
  it.each([
    [['rebuild'], ...denied],
    [['rebuild', '--end-user', 'eus_a'], ...denied],
    [['rebuild', '--dry-run'], ...denied],
    [['forget', 'eus_a'], ...denied],
    [['dead-letters', 'list'], ...denied],
    [['replay', '--to', 'reader'], ...denied],
    [['rebuild'], 5, 'No such database.', 'not-found', /^my-project has no database \(default\) .*: check --project/],
    [
      ['dead-letters', 'list'],
      5,
      'None.',
      'not-found',
      /^my-project has no subscription dead-letter.projector .*: check/,
    ],
    [['rebuild'], 16, 'Invalid credentials.', 'unauthenticated', /gcloud auth application-default login/],
    [['rebuild'], 9, 'The query requires an index.', 'failed', /The query requires an index/],
  ])('heron %j ends in one line that says why: %i', async (args, grpc, words, code, message) => {
    const host = await refusing(grpc, words);
    const failed = await run(args, { FIRESTORE_EMULATOR_HOST: host, PUBSUB_EMULATOR_HOST: host });
    expect(failed).toEqual({ code: 1, stderr: '', error: { code, message: expect.stringMatching(message) } });
    expect(failed.error.message).not.toMatch(/\n|goes on/);
  });
});

describe.skipIf(!hasPubSub)('heron replay tells which of two services refuses', { timeout: 60_000 }, () => {
  it.each([[['--dry-run']], [['--topic', 'pdf.failed']]])('Firestore, where it reads: %j', async (options) => {
    const projectId = newProject();
    const subscriptions = ['replay.reader', 'reader.pdf.failed'].map((name) => ({ name, topic: 'pdf.failed' }));
    await provision({ projectId, topicPrefix: '' }, { topics: ['pdf.failed'], subscriptions });
    const FIRESTORE_EMULATOR_HOST = await refusing(7, 'No.');
    const { error } = await run(['replay', '--to', 'reader', ...options], { FIRESTORE_EMULATOR_HOST }, projectId);
    expect(error.message).toMatch(/^Firestore of .* refuses your account \(No\): it needs roles\/datastore\.user,/);
  });

  it('Pub/Sub, where it asks for the subscriptions', async () => {
    const PUBSUB_EMULATOR_HOST = await refusing(7, 'No.');
    const { error } = await run(['replay', '--to', 'reader'], { PUBSUB_EMULATOR_HOST });
    expect(error.message).toMatch(/^Pub\/Sub of .* refuses your account \(No\): it needs roles\/pubsub\.viewer and/);
  });

  it.skipIf(!hasFirestore)('Pub/Sub, where it sends', async () => {
    const config = { projectId: newProject(), databaseId: '(default)', topicPrefix: '' };
    const subscriptions = ['replay.reader', 'reader.pdf.failed'].map((name) => ({ name, topic: 'pdf.failed' }));
    await provision(config, { topics: ['pdf.failed'], subscriptions });
    const store = new FirestoreStore(config, clock);
    await store.append([event({ topic: 'pdf.failed', heron_id: 'eus_a' })]);
    await store.close();
    const { error } = await run(['replay', '--to', 'reader'], {}, config.projectId);
    expect(error).toMatchObject({
      code: 'not-found',
      message: expect.stringMatching(/ has no topic or subscription replay\.reader /),
    });
  });
});

it('which project is meant is asked of who names none', async () => {
  const { GOOGLE_CLOUD_PROJECT, ...env } = process.env;
  expect(await heron(['dead-letters', 'list'], env)).toEqual({
    code: 2,
    stdout: '',
    stderr: 'heron: GOOGLE_CLOUD_PROJECT is not set: name the Google Cloud project with --project, or set it.\n',
  });
});

describe.skipIf(!hasFirestore)('a Firestore that', () => {
  const rebuilding = (host: string) => {
    const env = { ...process.env, FIRESTORE_EMULATOR_HOST: host };
    const args = [HERON, 'rebuild', '--project', newProject()];
    const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
    return { said: () => said, ended: once(child, 'close') };
  };

  it('starts slowly is waited for: heron rebuild says so, and does its work once it answers', async () => {
    const proxy = await proxyTo(process.env.FIRESTORE_EMULATOR_HOST ?? '');
    proxy.lengthen(1_500); // each way, of each of several steps
    const { said, ended } = rebuilding(proxy.host);
    await until(() => said().includes('Still waiting for Firestore'));
    proxy.lengthen(0);
    expect(await ended).toEqual([0, null]);
    expect(said()).toMatch(/0 end users in /);
    await proxy.close();
  });

  it('goes out once it has answered ends heron rebuild in a line that says so, and what to do', async () => {
    const proxy = await proxyTo(process.env.FIRESTORE_EMULATOR_HOST ?? '');
    const { said, ended } = rebuilding(proxy.host);
    await until(() => said().startsWith('Project ')); // it is there
    await proxy.cut();
    expect(await ended).toEqual([1, null]);
    expect(said()).toMatch(/heron: (Firestore of|Nothing listens at) .*\n$/);
    expect(said()).not.toMatch(/\n +at /);
    await proxy.close();
  });
});

describe('heron rebuild', () => {
  it('says that it waits, and after 20 s that nobody answers', async () => {
    const silent = createServer(() => {});
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    open.push(silent);
    const host = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const env = { ...process.env, FIRESTORE_EMULATOR_HOST: host };
    const { code, stderr } = await heron(['rebuild', '--project', 'my-project'], env);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^Project my-project, database \(default\), no topic prefix, Firestore emulator at .*\n/);
    expect(stderr).toMatch(/Still waiting for Firestore of my-project …\n/);
    expect(stderr).toMatch(/heron: Firestore of my-project did not answer within 20 s: .*\n$/);
  }, 60_000);
});
