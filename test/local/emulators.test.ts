import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findEmulator, startEmulator } from '../../functions/local/emulators.ts';

type Machine = { readonly sdk?: 'without emulators' | 'with emulators'; readonly java?: 'working' | 'a stub' };

/** A machine that has just what is given, as its PATH shows it. */
function given({ sdk, java }: Machine): { PATH: string; root: string } {
  const root = mkdtempSync(join(tmpdir(), 'machine-'));
  const bin = join(root, 'bin');
  const home = join(root, 'sdk');
  for (const folder of [bin, join(home, 'bin'), join(home, 'platform')]) mkdirSync(folder, { recursive: true });
  if (sdk) {
    writeFileSync(join(home, 'bin', 'gcloud'), '');
    symlinkSync(join(home, 'bin', 'gcloud'), join(bin, 'gcloud'));
  }
  if (sdk === 'with emulators') {
    const pubsub = join(home, 'platform', 'pubsub-emulator', 'lib');
    const firestore = join(home, 'platform', 'cloud-firestore-emulator');
    for (const folder of [pubsub, firestore]) mkdirSync(folder, { recursive: true });
    writeFileSync(join(pubsub, 'cloud-pubsub-emulator-1.2.3-all.jar'), '');
    writeFileSync(join(firestore, 'cloud-firestore-emulator.jar'), '');
  }
  if (java) writeFileSync(join(bin, 'java'), `#!/bin/sh\nexit ${java === 'working' ? 0 : 1}\n`, { mode: 0o755 });
  return { PATH: bin, root };
}

describe.each(['Pub/Sub', 'Firestore'] as const)('the %s emulator', (name) => {
  it.each<[string, Machine, RegExp]>([
    ['there is no Google Cloud SDK', { java: 'working' }, /no Google Cloud SDK was found \(https:/],
    ['the SDK lacks it', { sdk: 'without emulators', java: 'working' }, /gcloud components install \w/],
    ['there is no Java', { sdk: 'with emulators' }, /needs Java 11 or later/],
    ['Java only says where to get one', { sdk: 'with emulators', java: 'a stub' }, /needs Java 11 or later/],
  ])('is missing where %s, and how to get it is said', (_, machine, why) => {
    expect(findEmulator(name, given(machine))).toEqual({ kind: 'missing', why: expect.stringMatching(why) });
  });

  it('is found in the SDK that gcloud on PATH leads to, and run by Java itself', () => {
    const { PATH, root } = given({ sdk: 'with emulators', java: 'working' });
    const found = findEmulator(name, { PATH });
    if (found.kind !== 'installed') throw new Error(found.kind);
    const [java, ...args] = found.command('127.0.0.1', 8085);
    expect(java).toBe(join(root, 'bin', 'java'));
    expect(args.join(' ')).toContain(`${root}/sdk/platform/`);
    expect(args).toEqual(expect.arrayContaining(['--host=127.0.0.1', '--port=8085']));
  });

  it('that runs already is used where its variable names it', () => {
    const variable = name === 'Pub/Sub' ? 'PUBSUB_EMULATOR_HOST' : 'FIRESTORE_EMULATOR_HOST';
    const env = { ...given({}), [variable]: 'localhost:9000' };
    expect(findEmulator(name, env)).toEqual({ kind: 'running', variable, host: 'localhost:9000' });
  });

  it('that ends at once is told in a line, with its last words', async () => {
    const command = () => [process.execPath, '-e', 'console.error("no memory left"); process.exit(3)'] as const;
    const { ready } = await startEmulator(name, command);
    await expect(ready).rejects.toThrow(`The ${name} emulator did not start: it ended with code 3: no memory left`);
  });

  it('that cannot be run at all is told too', async () => {
    const { ready } = await startEmulator(name, () => ['/no/such/java']);
    await expect(ready).rejects.toThrow(/did not start: .*ENOENT/);
  });
});
