/**
 * Run after the build: starts each function once, so that Node keeps what it compiled in the folder that
 * NODE_COMPILE_CACHE in runtime.json names, and a cold start compiles little. Without it functions start slower, and
 * that is all: a failure here is told, and fails no build.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const FRAMEWORK = 'node_modules/@google-cloud/functions-framework/build/src/main.js';
const PATIENCE_MS = 30_000;
/** As much as a function needs to start; nothing is reached, and nothing is sent. */
const CONFIGURATION = {
  GOOGLE_CLOUD_PROJECT: 'heron-build',
  HERON_SHARED_SECRET: 'sec_build',
  HERON_API_KEY: 'key_build',
  PUBSUB_EMULATOR_HOST: '127.0.0.1:1',
  FIRESTORE_EMULATOR_HOST: '127.0.0.1:1',
  METADATA_SERVER_DETECTION: 'none',
  NODE_ENV: 'production',
};

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return port;
}

/** Starts a function, has it refuse a request, and lets it end, which is when Node writes. */
async function run(target, runtime) {
  const port = await freePort();
  const env = { PATH: process.env.PATH, ...CONFIGURATION, ...runtime, FUNCTION_TARGET: target };
  const child = spawn(process.execPath, [FRAMEWORK, `--target=${target}`, `--port=${port}`], { env, stdio: 'ignore' });
  const exited = once(child, 'exit');
  const late = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  try {
    while (child.exitCode === null && child.signalCode === null && !(await answers(port))) await sleep(50);
    child.kill('SIGTERM');
    const [code] = await exited;
    if (code !== 0) throw new Error(`it ended with ${code ?? 'a signal'}`);
  } finally {
    clearTimeout(late);
  }
}

async function answers(port) {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/`, { method: 'DELETE', signal: AbortSignal.timeout(1_000) });
    await response.arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

const runtimes = JSON.parse(readFileSync('functions/runtime.json', 'utf8'));
for (const [target, runtime] of Object.entries(runtimes))
  try {
    await run(target, runtime);
  } catch (error) {
    console.error(`What ${target} compiles was not kept (${error.message}): its cold starts take longer.`);
  }
