import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const LOADED = `
process.env.FUNCTION_TARGET = process.argv[1];
await import('./functions/index.ts');
const { default: Module } = await import('node:module');
console.log(JSON.stringify(Object.keys(Module._cache)));
process.exit();
`;

const ENV = {
  PATH: process.env.PATH,
  GOOGLE_CLOUD_PROJECT: 'heron-test',
  HERON_SHARED_SECRET: 'sec_test',
  PUBSUB_EMULATOR_HOST: '127.0.0.1:1',
  FIRESTORE_EMULATOR_HOST: '127.0.0.1:1',
};

/** The CommonJS modules, Google's among them, that a function's process has loaded once it is started. */
async function loaded(target: string, env: Readonly<Record<string, string>> = {}): Promise<string> {
  const args = ['--input-type=module', '--eval', LOADED, target];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env: { ...ENV, ...env } });
  return (JSON.parse(stdout) as string[]).join('\n');
}

describe('a function’s process loads only what that function needs', () => {
  it('ingest never loads Firestore, and none of Google’s clients: their credentials alone', async () => {
    const modules = await loaded('ingest');
    expect(modules).toContain('google-auth-library/');
    expect(modules).not.toMatch(/@google-cloud\/(?!functions-framework\/)|google-gax|@grpc/);
  });

  it('query never loads Pub/Sub', async () => {
    const modules = await loaded('query');
    expect(modules).toContain('@google-cloud/firestore/');
    expect(modules).not.toContain('@google-cloud/pubsub');
  });

  it('projector loads Firestore, and what publishes only once there is a dead letter', async () => {
    const modules = await loaded('projector');
    expect(modules).not.toContain('@google-cloud/pubsub');
    expect(modules).toContain('@google-cloud/firestore/');
  });

  it.each(['ingest', 'projector', 'query'])(
    '%s loads OpenTelemetry’s SDK only where spans go somewhere',
    async (target) => {
      const sdk = /@opentelemetry\/(sdk|exporter|otlp|resources)/;
      expect(await loaded(target)).not.toMatch(sdk);
      expect(await loaded(target, { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' })).toMatch(sdk);
    },
  );
});
