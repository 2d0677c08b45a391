import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildKit } from '../../functions/subscriber/kit/build.ts';
import manifest from '../../functions/subscriber/kit/package.json' with { type: 'json' };
import { leaveOut } from '../left-out.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const BIN = join(ROOT, 'node_modules', '.bin');
const OLDEST = /\^(\d+\.\d+\.\d+)/.exec(manifest.engines.node)?.[1] ?? '';
const MINUTES = 60_000;

const exec = promisify(execFile);

/** The oldest Node that the package names, from npm, kept from run to run; null where it cannot be had. */
async function oldestNode(): Promise<string | null> {
  const name = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  const home = join(ROOT, 'node_modules', '.cache', `node-${OLDEST}`);
  const node = join(home, 'node_modules', name, 'bin', 'node');
  if (existsSync(node)) return node;
  await mkdir(home, { recursive: true });
  await writeFile(join(home, 'package.json'), '{"private": true}');
  try {
    await exec('npm', ['install', `${name}@${OLDEST}`, '--no-audit', '--no-fund', '--ignore-scripts'], { cwd: home });
    return node;
  } catch (error) {
    leaveOut(`Node ${OLDEST} could not be had from npm`, 'the tests of the package on it', { cause: error });
    return null;
  }
}

describe('the package heron-events', () => {
  let directory: string;
  let kit: string;
  let project: string;
  let node: string | null;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'kit-'));
    kit = join(directory, 'heron-events');
    await buildKit(directory);
    node = await oldestNode();
    project = join(directory, 'project');
    await cp(join(import.meta.dirname, 'consumer'), project, { recursive: true });
    await writeFile(join(project, 'package.json'), '{"name": "underwriting", "private": true, "type": "module"}');
    const args = ['install', '../heron-events.tgz', '--no-audit', '--no-fund', '--offline'];
    await exec('npm', args, { cwd: project });
  }, 5 * MINUTES);
  afterAll(() => rm(directory, { recursive: true, force: true }));

  const files = async () =>
    (await readdir(kit, { recursive: true, withFileTypes: true })).filter((file) => file.isFile());

  it('is small, and has JavaScript and declarations and nothing else', async () => {
    const all = (await files()).map((file) => join(file.parentPath, file.name));
    const bytes = (await Promise.all(all.map(async (file) => (await stat(file)).size))).reduce((a, b) => a + b);
    expect(bytes).toBeLessThan(300_000);
    expect(all.filter((file) => !/(\.js|\.d\.ts|README\.md|package\.json)$/.test(file))).toEqual([]);
  });

  it('needs nothing at run time, and says its types first', async () => {
    const { exports, ...packed } = JSON.parse(await readFile(join(kit, 'package.json'), 'utf8'));
    expect(packed).not.toHaveProperty('dependencies');
    expect(packed).toMatchObject({ name: 'heron-events', type: 'module', sideEffects: false });
    expect(Object.keys(packed.peerDependenciesMeta).sort()).toEqual(Object.keys(packed.peerDependencies).sort());
    for (const entry of Object.values(exports))
      if (typeof entry === 'object' && entry !== null) expect(Object.keys(entry)).toEqual(['types', 'default']);
    const imported = await Promise.all(
      (await files())
        .filter(({ name }) => name.endsWith('.js'))
        .map(async (file) =>
          (await readFile(join(file.parentPath, file.name), 'utf8')).matchAll(/ from ["']([^."'][^"']*)/g),
        ),
    );
    const foreign = new Set(imported.flatMap((found) => [...found]).map(([, name]) => name));
    expect([...foreign].filter((name) => !name?.startsWith('node:')).sort()).toEqual(['@google-cloud/pubsub']);
  });

  it('loads no module of Node where a server may not be one', async () => {
    for (const entry of ['web.js', 'subscriber.js']) {
      const loaded = new Set<string>();
      const load = async (file: string): Promise<void> => {
        if (loaded.has(file)) return;
        loaded.add(file);
        const text = await readFile(file, 'utf8');
        expect(text).not.toMatch(/from ["']node:/);
        for (const [, path = ''] of text.matchAll(/(?:from|import) ["'](\.[^"']+)["']/g))
          await load(join(file, '..', path));
      };
      await load(join(kit, entry));
    }
  });

  it('takes a push where there is nothing of Node', async () => {
    const program = `
      // Node loads its own of these with its Buffer.
      const { Headers, ReadableStream, Response } = globalThis;
      delete globalThis.Buffer;
      const { stdout } = process;
      delete globalThis.process;
      const { subscriber } = await import('heron-events');
      const { fetchHandler } = await import('heron-events/web');
      const got = [];
      const handler = fetchHandler(subscriber(({ topic }) => got.push(topic)), { log: () => {} });
      const body = '{"topic":"a.b","created":"2026-09-01T10:00:00Z","data":{}}';
      const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(body));
      const id = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
      const attributes = { 'ce-specversion': '1.0', 'ce-id': id };
      const envelope = JSON.stringify({ message: { data: btoa(body), attributes }, subscription: 's' });
      // Node's own Request needs its Buffer.
      const request = (headers, text) => ({
        method: 'POST',
        headers: new Headers(headers),
        bodyUsed: false,
        body: new ReadableStream({
          start(stream) {
            stream.enqueue(new TextEncoder().encode(text));
            stream.close();
          },
        }),
      });
      for (const [headers, text] of [[attributes, body], [{}, envelope]])
        got.push((await handler(request(headers, text))).status);
      stdout.write(got.join(' '));`;
    await writeFile(join(project, 'nothing.js'), program);
    const { stdout } = await exec(node ?? process.execPath, ['nothing.js'], { cwd: project });
    expect(stdout).toBe('a.b 204 a.b 204');
  });

  /** What the compiler and programs say is in what they throw. */
  const said = (error: { stdout?: string; stderr?: string }) => {
    throw new Error(`${error.stdout ?? ''}${error.stderr ?? ''}` || String(error));
  };

  it('is what publint wants, strictly', async () => {
    const { messages, pkg } = await publint({ pkgDir: kit, strict: true });
    expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
  });

  it('is what Are The Types Wrong wants of a package for import', async () => {
    const args = [join(directory, 'heron-events.tgz'), '--profile', 'esm-only', '--no-emoji', '--no-color'];
    await exec(join(BIN, 'attw'), args, { cwd: project }).catch(said);
  });

  const withPeers = async () => {
    const peers = join(project, 'node_modules', '@google-cloud');
    if (!existsSync(peers)) await symlink(join(ROOT, 'node_modules', '@google-cloud'), peers);
  };

  const compile = async (file: string) => {
    const options = ['--ignoreConfig', '--module', 'nodenext', '--target', 'es2022', '--strict', '--outDir', 'out'];
    await exec(
      join(BIN, 'tsc'),
      [...options, '--types', 'node', '--typeRoots', join(ROOT, 'node_modules', '@types'), file],
      { cwd: project },
    );
    return join(project, 'out', file.replace(/\.ts$/, '.js'));
  };
  it(
    `type-checks in an empty project, its libraries included, and runs there on Node ${OLDEST}`,
    async () => {
      const program = await compile('consumer.ts').catch(said);
      if (node === null) return;
      const { stdout, stderr } = await exec(node, [program], { cwd: project }).catch(said);
      expect(stderr).toBe('');
      expect(JSON.parse(stdout)).toEqual({
        got: [
          '1.00',
          '3 pages',
          'end_user.failed',
          'eus_7 processed 1',
          'eus_7 processed false',
          'eus_7 processed false',
          'pdf.failed true',
        ],
        outcomes: Array.from({ length: 5 }, () => 'acknowledged'),
        statuses: [204, 204],
        patterns: ['end_user.processed', 'end_user.*', 'pdf.parsed', 'pricing_template.delivery_failed'],
      });
    },
    2 * MINUTES,
  );

  it(
    'is what our README says: its service and the test of that run',
    async () => {
      await withPeers();
      const text = await readFile(join(ROOT, 'README.md'), 'utf8');
      const files = [...text.matchAll(/```js\n(\/\/ (\w+\.js).*?)```/gs)];
      expect(files.map(([, , name]) => name)).toEqual(['index.js', 'test.js']);
      for (const [, program = '', name = ''] of files) await writeFile(join(project, name), program);
      const { stdout } = await exec(process.execPath, ['test.js'], { cwd: project }).catch(said);
      expect(stdout).toContain('decided on acme-4\n');
    },
    2 * MINUTES,
  );

  it(
    'loads beside its peers',
    async () => {
      await withPeers();
      const program = await compile('with-peers.ts').catch(said);
      const { stdout } = await exec(process.execPath, [program], { cwd: project }).catch(said);
      expect(stdout).toBe('function\n');
    },
    2 * MINUTES,
  );
});
