import { execFile } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const INFRA = join(import.meta.dirname, '..', '..', 'infra');

type Output = { readonly code: number; readonly text: string };

/** A run of a program to its end; 127 where there is no such program, as shells say it. */
function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<Output> {
  return new Promise((resolve) => {
    execFile(program, args, { env, maxBuffer: 1 << 28 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 127;
      resolve({ code, text: `${stdout}${stderr}` });
    });
  });
}

/** How the module can be checked on this machine, or why it cannot. */
export type Terraform =
  | {
      readonly kind: 'ready';
      readonly check: (args: readonly string[]) => Promise<Output>;
      /** What waits for what, as `terraform graph -type=plan` draws it. */
      readonly graph: () => Promise<Output>;
    }
  | { readonly kind: 'missing'; readonly why: string };

/**
 * Terraform with its providers from the registry. Where that cannot be reached, TERRAFORM_CHECK may name a program that
 * does without: `TERRAFORM_CHECK DIR [arguments of terraform test]` formats, validates and tests, and
 * `TERRAFORM_CHECK DIR graph` prints the graph.
 */
export async function findTerraform(): Promise<Terraform> {
  const { TERRAFORM_CHECK } = process.env;
  if (TERRAFORM_CHECK) {
    const check = (args: readonly string[]) => run(TERRAFORM_CHECK, [INFRA, ...args]);
    return { kind: 'ready', check, graph: () => check(['graph']) };
  }
  const env = { ...process.env, TF_IN_AUTOMATION: '1', TF_DATA_DIR: mkdtempSync(join(tmpdir(), 'terraform-')) };
  const terraform = (...args: string[]) => run('terraform', [`-chdir=${INFRA}`, ...args], env);
  const { code, text } = await terraform('init', '-backend=false', '-input=false', '-no-color');
  if (code === 127)
    return {
      kind: 'missing',
      why: 'there is no terraform on PATH (https://developer.hashicorp.com/terraform/install)',
    };
  if (code !== 0) {
    const [, error = text] = text.split('Error: ');
    return { kind: 'missing', why: `terraform init failed: ${error.trim().split('\n')[0]}` };
  }
  const check = async (args: readonly string[]) => {
    for (const step of [['fmt', '-check', '-diff', '-recursive'], ['validate']]) {
      const done = await terraform(...step);
      if (done.code !== 0) return done;
    }
    return terraform('test', ...args);
  };
  return { kind: 'ready', check, graph: () => terraform('graph', '-type=plan') };
}

/** A line of `terraform test -json -verbose`, as far as used here. */
export type TestLine = {
  readonly type: string;
  readonly '@message': string;
  readonly '@testfile'?: string;
  readonly test_run?: { readonly run: string; readonly status?: string; readonly progress: string };
  readonly test_plan?: { readonly resource_changes: readonly Resource[] };
};

/** A resource as it is planned; what only Google knows is left out of `after`. */
export type Resource = {
  readonly type: string;
  readonly change: { readonly after: Readonly<Record<string, unknown>> };
};

export function testLines(text: string): TestLine[] {
  return text.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as TestLine] : []));
}

/** What each resource and data source waits for, directly or not, by address without keys. */
export function waitsFor(dot: string): Map<string, ReadonlySet<string>> {
  const next = new Map<string, string[]>();
  for (const [, from = '', to = ''] of dot.matchAll(
    /"\[root\] ([^"]+?)(?: \([a-z]+\))?" -> "\[root\] ([^"]+?)(?: \([a-z]+\))?"/g,
  )) {
    next.set(from, [...(next.get(from) ?? []), to]);
  }
  const reached = (from: string) => {
    const seen = new Set<string>();
    const ahead = [from];
    for (let at = ahead.pop(); at !== undefined; at = ahead.pop()) {
      seen.add(at);
      for (const to of next.get(at) ?? []) if (!seen.has(to)) ahead.push(to);
    }
    seen.delete(from);
    return seen;
  };
  const resource = /^(data\.)?[a-z0-9]+_[a-z0-9_]+\.[a-z0-9_]+$/;
  return new Map([...next.keys()].filter((one) => resource.test(one)).map((one) => [one, reached(one)]));
}
