import { createInterface } from 'node:readline/promises';
import type { Env } from '../config.ts';
import { planOf, type Registration, type Step } from '../heron/registrations.ts';
import { DEPRECATED_TOPICS, HERON_TOPICS } from '../heron/topics.ts';
import { CommandFailed } from './failure.ts';
import { heronApi, heronApiFailure } from './heron-api.ts';
import { complain, counted, inLine, note, print, printJson, styled } from './output.ts';
import { topicColumn } from './topic-pattern.ts';

export type RegisterOptions = {
  readonly topics?: readonly string[];
  readonly all: boolean;
  readonly url: string;
  readonly deleteOthers: boolean;
  readonly dryRun: boolean;
  readonly yes: boolean;
  readonly json: boolean;
};

/** Lists what Heron sends where. Resolves with the exit code. */
export async function list({ json }: { readonly json: boolean }, env: Env): Promise<number> {
  const registered = await registrations(env);
  if (json) printJson({ webhooks: registered });
  else if (registered.length === 0) print('Heron has no webhook registered for this key.');
  else
    for (const { topic, url, is_enabled } of registered)
      print(`${topicColumn(topic)}  ${is_enabled ? styled('green', 'on ') : styled('yellow', 'off')}  ${inLine(url)}`);
  const wanted = HERON_TOPICS.filter((topic) => !DEPRECATED_TOPICS.includes(topic));
  const missing = wanted.filter((topic) => !registered.some((one) => one.topic === topic && one.is_enabled));
  if (!json && missing.length > 0)
    note(
      `${missing.length} of ${wanted.length} topics that Heron documents are sent nowhere: heron webhooks register --all --url URL has them sent.`,
    );
  return 0;
}

/** Has Heron send topics to an address: shows what would change, and does it once that is agreed to. */
export async function register(options: RegisterOptions, env: Env): Promise<number> {
  const { url, deleteOthers, dryRun, yes, json } = options;
  if (options.all === (options.topics !== undefined))
    throw new CommandFailed('Name topics with --topics, or all that Heron sends with --all.', 'misused');
  if (!/^https:/.test(url))
    throw new CommandFailed('Heron sends to https addresses only: give one with --url.', 'misused');
  const api = heronApi(env);
  try {
    const known = await api.topics();
    const topics = options.topics ?? known.filter((topic) => !DEPRECATED_TOPICS.includes(topic));
    const unknown = topics.filter((topic) => !known.includes(topic));
    if (unknown.length > 0)
      throw new CommandFailed(
        `Heron does not send ${unknown.map(inLine).join(', ')}. It sends ${known.join(', ')}.`,
        'misused',
      );
    const steps = planOf(await api.registrations(), topics, url, deleteOthers);
    const changes = steps.filter(({ kind }) => kind !== 'keep');
    if (!json) for (const step of steps) print(shownStep(step));
    if (dryRun || changes.length === 0) {
      if (json) printJson({ url, changed: 0, failed: 0, steps: steps.map(told) });
      else
        print(
          changes.length === 0
            ? 'Nothing to change.'
            : `${counted(changes.length, 'change')} to make, and none made: leave out --dry-run for that.`,
        );
      return 0;
    }
    const agreement = yes || (await agreed(changes.length));
    if (agreement === null) throw new CommandFailed('Nothing was changed: agree with --yes.', 'misused');
    if (!agreement) throw new CommandFailed('Nothing was changed, as you wish.', 'declined');
    let failed = 0;
    for (const step of changes) {
      try {
        await api.carryOut(step, url);
      } catch (error) {
        // One that Heron refuses holds up no other.
        failed++;
        complain(`${step.topic}: ${(heronApiFailure(error) as Error).message}`);
      }
    }
    const changed = changes.length - failed;
    if (json) printJson({ url, changed, failed, steps: steps.map(told) });
    else print(`${counted(changed, 'change')} made${failed > 0 ? `, ${failed} failed: run it again` : ''}.`);
    return failed === 0 ? 0 : 1;
  } catch (error) {
    throw heronApiFailure(error);
  }
}

async function registrations(env: Env): Promise<readonly Registration[]> {
  try {
    const registered = await heronApi(env).registrations();
    return registered.toSorted((a, b) => (a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : 0));
  } catch (error) {
    throw heronApiFailure(error);
  }
}

/** Null where nobody can be asked. */
async function agreed(changes: number): Promise<boolean | null> {
  if (!process.stdin.isTTY) return null;
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const reply = await terminal.question(`Make ${counted(changes, 'change')}? [y/N] `);
  terminal.close();
  return /^y(es)?$/i.test(reply.trim());
}

function told({ kind, topic, ...rest }: Step) {
  return { kind, topic, heron_id: 'registration' in rest ? rest.registration.heron_id : null };
}

function shownStep({ kind, topic }: Step): string {
  const style = { create: 'green', enable: 'green', keep: 'dim', delete: 'red' } as const;
  return `${styled(style[kind], kind.padEnd(6))}  ${inLine(topic)}`;
}
