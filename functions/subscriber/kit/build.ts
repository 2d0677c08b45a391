import { execFile } from 'node:child_process';
import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { rolldown } from 'rolldown';
import manifest from './package.json' with { type: 'json' };

const ROOM = join(import.meta.dirname, '..');
const FUNCTIONS = join(ROOM, '..');
const TSC = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');

const exec = promisify(execFile);

/**
 * Builds the package `heron-events`: one file an entry and what they share, and their declarations.
 * @param directory where `heron-events.tgz` is to be, and beside it `heron-events/` with what is in it.
 */
export async function buildKit(directory: string): Promise<void> {
  const kit = join(directory, 'heron-events');
  await rm(kit, { recursive: true, force: true });
  await mkdir(kit, { recursive: true });
  const entries = Object.values(manifest.exports).flatMap((entry) =>
    typeof entry === 'string' ? [] : [entry.default.slice(2, -3)],
  );
  await Promise.all([
    bundle(entries, kit),
    declare(entries, join(kit, 'types')),
    cp(join(import.meta.dirname, 'package.json'), join(kit, 'package.json')),
    cp(join(import.meta.dirname, 'README.md'), join(kit, 'README.md')),
  ]);
  const { stdout } = await exec('npm', ['pack', kit, '--pack-destination', directory, '--json', '--loglevel=error']);
  const [{ filename = '' } = {}] = JSON.parse(stdout) as { filename?: string }[];
  await rename(join(directory, filename), join(directory, 'heron-events.tgz'));
}

async function bundle(entries: readonly string[], directory: string): Promise<void> {
  const built = await rolldown({
    input: Object.fromEntries(entries.map((name) => [name, join(ROOM, `${name}.ts`)])),
    external: [/^node:/, ...Object.keys(manifest.peerDependencies)],
    platform: 'neutral',
    transform: { target: 'es2022' },
  });
  await built.write({ dir: directory, format: 'esm', chunkFileNames: 'shared/[name].js' });
  await built.close();
}

async function declare(entries: readonly string[], directory: string): Promise<void> {
  const options = {
    rootDir: FUNCTIONS,
    outDir: directory,
    target: 'es2024',
    lib: 'es2024',
    module: 'nodenext',
    types: 'node',
  };
  const flags = ['declaration', 'emitDeclarationOnly', 'strict', 'exactOptionalPropertyTypes', 'skipLibCheck'];
  flags.push('allowImportingTsExtensions', 'resolveJsonModule', 'ignoreConfig');
  await exec(process.execPath, [
    TSC,
    ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]),
    ...flags.map((name) => `--${name}`),
    ...entries.map((name) => join(ROOM, `${name}.ts`)),
  ]);
  for (const name of await readdir(directory, { recursive: true })) {
    if (!name.endsWith('.d.ts')) continue;
    const file = join(directory, name);
    const text = await readFile(file, 'utf8');
    // The compiler leaves imports as they are written, and only a compiler with our settings would find them.
    await writeFile(file, text.replaceAll(/(['"])(\.{1,2}\/[^'"]+)\.ts\1/g, '$1$2.js$1'));
  }
}

if (import.meta.main) {
  const directory = join(FUNCTIONS, '..', 'build');
  await buildKit(directory);
  console.log(`Built ${join('build', 'heron-events.tgz')}: npm install it by this path.`);
}
