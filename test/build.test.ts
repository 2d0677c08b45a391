import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { FunctionProcess } from './ingest/process.ts';
import { SECRET, signed, webhook } from './ingest/served.ts';
import { send } from './ingest/wire.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '..');
const ENV = {
  GOOGLE_CLOUD_PROJECT: 'heron-test',
  HERON_API_KEY: 'key_test',
  HERON_SHARED_SECRET: SECRET,
  PUBSUB_EMULATOR_HOST: '127.0.0.1:1',
  FIRESTORE_EMULATOR_HOST: '127.0.0.1:1',
  METADATA_SERVER_DETECTION: 'none',
};

/** As Google's buildpack does: `gcp-build` where the archive is unpacked, `node --check` on main, then the framework. */
test('what is deployed is built from what Terraform packs, and each function of it starts and answers', {
  timeout: 180_000,
}, async ({ onTestFinished }) => {
  const folder = mkdtempSync(join(tmpdir(), 'built-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const part of ['package.json', 'package-lock.json', 'functions'])
    cpSync(join(ROOT, part), join(folder, part), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  await run('npm', ['run', 'gcp-build'], { cwd: folder });
  const { main } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  await run(process.execPath, ['--check', main], { cwd: folder });

  const runtime = JSON.parse(readFileSync(join(ROOT, 'functions', 'runtime.json'), 'utf8'));
  const statuses: Record<string, number> = {};
  for (const [target, env] of Object.entries<NodeJS.ProcessEnv>(runtime)) {
    const cache = join(folder, env.NODE_COMPILE_CACHE ?? '');
    expect(readdirSync(cache), 'what was compiled at build time').not.toEqual([]);
    const deployed = { ...ENV, ...env, NODE_COMPILE_CACHE: cache };
    const started = await FunctionProcess.spawn(target, deployed, onTestFinished, [`--source=${folder}`]);
    await Promise.race([started.ready(), started.exited.then(() => Promise.reject(new Error(started.stderr)))]);
    const body = webhook();
    const forged = { 'Heron-Signature': signed(`${body} `)['Heron-Signature'] };
    statuses[target] =
      target === 'query'
        ? (await send(started.port, '', {}, { method: 'GET' })).status
        : (
            await send(started.port, target === 'ingest' ? body : '', forged, {
              method: target === 'ingest' ? 'POST' : 'PUT',
            })
          ).status;
    started.kill('SIGKILL');
  }
  expect(statuses).toMatchObject({ ingest: 401, query: 200, projector: 405, recover: 405 });
});
