import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { beforeAll, describe, expect, it } from 'vitest';
import { clock } from '../../functions/clock.ts';
import { eventOf, type HeronEvent } from '../../functions/events/event.ts';
import { FirestoreStore } from '../../functions/store/firestore.ts';
import { hasFirestore, newProject } from '../emulators.ts';
import { heron } from '../end-to-end/local.ts';
import { said } from './said.ts';

/** Values that nothing may tell, each in the log as a value or as a key. */
const SECRETS = ['Sally Secretson', 'acct_9dkLq2mEoPzRtYuWv01aBc', '7531.25', 'top-secret-note'];

/** A webhook as varied as they come: members that are missing, null, of two types, empty, and maps by id. */
function pdf(n: number, changes: object = {}) {
  return {
    topic: 'pdf.processed',
    created: new Date(Date.UTC(2026, 7, 1) + n * 1000).toISOString().replace('Z', n % 2 ? '+00:00' : ''),
    data: {
      heron_id: `pdf_${n}`,
      end_user_heron_id: `eus_${n % 24}`,
      pages: n,
      score: n % 5 ? n / 7 : n,
      ...(n % 3 ? { language: n % 4 ? 'en' : null } : {}),
      accounts: {
        [`acct_${'bcdfghjk'[n % 8]}${n}4Xz${n * 7}Qp`]: { balance: n },
        [`${SECRETS[1]}`]: { balance: 7531.25 },
      },
      checks: Array.from({ length: n % 4 }, (_, i) => (i % 2 ? { kind: 'a', amount: 1 } : { kind: 'b' })),
      either: n % 2 ? 'text' : { text: 'x' },
      ...(n % 400 === 0 ? { pages_text: SECRETS[0]?.repeat(3_000) } : {}),
      ...changes,
    },
    meta: n % 10 ? null : { [`${SECRETS[0]}`]: SECRETS[3] },
  };
}

describe.skipIf(!hasFirestore)('heron schema', () => {
  const config = { projectId: newProject(), databaseId: '(default)' };
  const env = { ...process.env, GOOGLE_CLOUD_PROJECT: config.projectId };
  const webhooks = Array.from({ length: 1_200 }, (_, n) => pdf(n));
  const file = join(mkdtempSync(join(tmpdir(), 'schema-')), 'pdf.processed.json');
  const run = (...args: string[]) => heron(['schema', ...args], env);

  const given = async (bodies: readonly string[]): Promise<readonly HeronEvent[]> => {
    const events = bodies.map((body) => eventOf(Buffer.from(body), clock()));
    const store = new FirestoreStore(config, clock);
    const byEndUser = Map.groupBy(events, ({ heron_id }) => heron_id);
    await Promise.all([...byEndUser.values()].map((some) => store.append(some)));
    await store.close();
    return events;
  };

  beforeAll(async () => {
    await given(webhooks.map((webhook) => JSON.stringify(webhook)));
    await given([`{"topic":"pdf.processed","created":"2026-08-01T00:00:00","data":{"pages":NaN}}`]);
  });

  it('learns from 1,200 varied events a schema that all of them fit, and a changed one does not', async () => {
    const { code, stdout, stderr } = await run('pdf.processed');
    expect(code).toBe(0);
    expect(said(stderr)).toMatch(
      /^Learned from 1,200 events of pdf\.processed, recorded from .*Z to .*Z\.\n1 event more, which are not JSON, were left out\.\n$/,
    );
    writeFileSync(file, stdout);
    const learned = JSON.parse(stdout);
    expect(learned.description).toMatch(/^Learned from 1,200 events of pdf\.processed/);
    const validate = new Ajv2020({ allowUnionTypes: true }).compile(learned);
    for (const webhook of webhooks)
      expect(validate(JSON.parse(JSON.stringify(webhook))), JSON.stringify(validate.errors)).toBe(true);
    for (const changes of [
      { pages: '3' },
      { pages: 1.5 },
      { heron_id: null },
      { new_member: 1 },
      { checks: {} },
      { either: 7 },
      { score: undefined },
      { accounts: { x: { balance: '1' } } },
    ])
      expect(validate(JSON.parse(JSON.stringify(pdf(1, changes)))), JSON.stringify(changes)).toBe(false);
    for (const secret of [...SECRETS, 'acct_', 'pdf_1', 'eus_']) expect(stdout).not.toContain(secret);
  });

  it('prints TypeScript, and JSON for programs', async () => {
    const types = await run('pdf.processed', '--types', '--limit', '300');
    expect(types.stdout).toMatch(
      /^\/\*\* Learned from 299 events of pdf\.processed.*\*\/\nexport type PdfProcessed = \{\n/,
    );
    expect(types.stdout).toMatch(/^ {4}either: \{\n {6}text: string;\n {4}\} \| string;$/m);
    expect(types.stdout).toMatch(/^ {4}language\?: string \| null;$/m);
    expect(types.stdout).toMatch(/^ {6}\[key: string\]: \{\n {8}balance: number;$/m);
    for (const secret of SECRETS) expect(types.stdout).not.toContain(secret);
    const json = JSON.parse((await run('pdf.processed', '--json', '--quiet')).stdout);
    expect(json).toMatchObject({ topic: 'pdf.processed', events: 1_200, left_out: 1, schema: { type: 'object' } });
  });

  it('--check tells which events do not fit, and where, by no value of theirs', async () => {
    const since = clock();
    const changed = await given([
      JSON.stringify(pdf(2_001, { pages: SECRETS[0] })),
      JSON.stringify(
        pdf(2_002, { accounts: { [`${SECRETS[1]}`]: { balance: SECRETS[3] } }, fresh_member: SECRETS[3] }),
      ),
      JSON.stringify(pdf(2_003, { checks: [{ amount: 1 }], [`${SECRETS[0]}`]: 1 })),
    ]);
    const [first, second, third] = changed.map(({ event_id }) => event_id);
    const failed = await run('pdf.processed', '--check', file, '--since', since, '--json');
    expect(failed.code).toBe(1);
    const { events, unfit, first: told, topic } = JSON.parse(failed.stdout);
    expect({ topic, events, unfit }).toEqual({ topic: 'pdf.processed', events: 3, unfit: 3 });
    const flaws = Object.fromEntries(
      told.map((each: { event_id: string; flaws: object }) => [each.event_id, each.flaws]),
    );
    expect(flaws).toEqual({
      [String(first)]: [{ at: '$.data.pages', flaw: 'is not of type integer' }],
      [String(second)]: expect.arrayContaining([
        { at: '$.data.accounts.*.balance', flaw: 'is not of type number' },
        { at: '$.data', flaw: 'has a member that the schema does not know: fresh_member' },
      ]),
      [String(third)]: expect.arrayContaining([
        { at: '$.data.checks[*]', flaw: 'lacks kind' },
        { at: '$.data', flaw: 'has a member that the schema does not know' },
      ]),
    });
    const people = await run('pdf.processed', '--check', file, '--since', since);
    expect(people.code).toBe(1);
    expect(people.stdout).toMatch(/3 events of 3 of pdf\.processed do not fit\.\n$/);
    expect(people.stdout).toContain(`${first}\n  $.data.pages is not of type integer\n`);
    for (const secret of SECRETS) expect(failed.stdout + people.stdout + people.stderr).not.toContain(secret);
  });

  it('--check exits with 0 where all fit', async () => {
    const open = join(mkdtempSync(join(tmpdir(), 'schema-')), 'open.json');
    writeFileSync(
      open,
      JSON.stringify({
        $schema: 'http://json-schema.org/draft-07/schema#',
        type: 'object',
        properties: { topic: { const: 'pdf.processed' } },
      }),
    );
    const { code, stdout } = await run('pdf.processed', '--check', open, '--limit', '3', '--json');
    expect({ code, ...JSON.parse(stdout) }).toEqual({
      code: 0,
      topic: 'pdf.processed',
      events: 3,
      unfit: 0,
      first: [],
    });
  });

  it.each([
    [['unrouted'], 2, 'misused'],
    [['pdf.failed', '--check', '/no/such/file'], 2, 'misused'],
    [['pdf.failed', '--check', '/dev/null'], 2, 'misused'],
    [['pdf.failed', '--check', import.meta.filename], 2, 'misused'],
    [['pdf.failed', '--types', '--check', 'x'], 2, 'misused'],
    [['pdf.failed'], 1, 'not-found'],
    [['pdf.fialed'], 1, 'not-found'],
  ])('that cannot be is told in a line: %j', async (args, code, kind) => {
    const failed = await run(...args, '--json', '--quiet');
    expect({ code: failed.code, stderr: failed.stderr, ...JSON.parse(failed.stdout) }).toEqual({
      code,
      stderr: '',
      error: { code: kind, message: expect.stringMatching(/\.$/) },
    });
  });
});
