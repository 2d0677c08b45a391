import { clock } from '../clock.ts';
import type { Env } from '../config.ts';
import { FOLD_VERSION } from '../events/end-user.ts';
import { type Instant, microsecondsBetween, rfc3339 } from '../heron/instant.ts';
import { pool } from '../pool.ts';
import type { Checkpoint, Difference, Recomputed, Upkeep } from '../store/upkeep.ts';
import { CommandFailed, isOutage, reasonOf } from './failure.ts';
import { counted, inLine, note, print, printJson, progressBar, shown, styled } from './output.ts';
import { announce, envOf } from './project.ts';
import { withUpkeep } from './upkeep.ts';

export type RebuildOptions = {
  readonly endUser?: string;
  readonly dryRun: boolean;
  readonly concurrency: number;
  readonly restart: boolean;
  readonly project?: string;
  readonly json: boolean;
};

/** How many end users came to which outcome; those whose log has lost events are among the different ones. */
type Tally = Readonly<Record<Recomputed['outcome'] | 'failed' | 'fewer_events', number>>;
type Example = { readonly heron_id: string; readonly differences: readonly Difference[] };
type Rebuilt = {
  readonly tally: Tally;
  /** The first few that differ. */
  readonly examples: Example[];
  readonly startedAt: Instant;
};

/** A checkpoint is written after so many end users. */
const WINDOW = 100;
const EXAMPLES = 5;
const CHECKPOINT_MICROSECONDS = 6 * 3_600_000_000;
const NONE: Tally = {
  right: 0,
  different: 0,
  forgotten: 0,
  without_events: 0,
  untimed: 0,
  newer: 0,
  unknown: 0,
  failed: 0,
  fewer_events: 0,
};

/**
 * Recomputes states from the log while webhooks keep arriving. Resolves with the exit code: 1 where a dry run finds one
 * that differs, or one could not be recomputed.
 */
export async function rebuild(options: RebuildOptions, env: Env): Promise<number> {
  const started = performance.now();
  const { endUser, dryRun, json } = options;
  const environment = envOf(env, options.project);
  await announce(environment, ['Firestore']);
  const { tally, examples, startedAt } = await withUpkeep(environment, (upkeep) =>
    endUser === undefined ? rebuildAll(upkeep, options) : rebuildOne(upkeep, endUser, dryRun),
  );
  examples.sort((a, b) => (a.heron_id < b.heron_id ? -1 : 1));
  const { fewer_events, ...outcomes } = tally;
  const endUsers = Object.values(outcomes).reduce((sum, count) => sum + count);
  const milliseconds = Math.round(performance.now() - started);
  if (json) {
    const summary = { dry_run: dryRun, started_at: rfc3339(startedAt), end_users: endUsers, ...tally };
    printJson({ ...summary, differences: examples, milliseconds });
  } else {
    for (const example of examples) print(`${block(example)}\n`);
    const more = tally.different - examples.length;
    if (more > 0) print(`… and ${counted(more, 'end user')} more.\n`);
    print(summary(tally, endUsers, dryRun, milliseconds));
  }
  return tally.failed > 0 || tally.newer > 0 || (dryRun && tally.different > 0) ? 1 : 0;
}

async function rebuildOne(upkeep: Upkeep, heronId: string, dryRun: boolean): Promise<Rebuilt> {
  const startedAt = clock();
  const recomputed = await upkeep.recompute(heronId, !dryRun);
  if (recomputed.outcome === 'unknown')
    throw new CommandFailed(
      `Neither log nor states have an end user ${JSON.stringify(heronId)}: give its heron_id.`,
      'end-user-unknown',
    );
  tell(heronId, recomputed);
  const examples = recomputed.outcome === 'different' ? [{ heron_id: heronId, ...recomputed }] : [];
  return {
    tally: added(NONE, recomputed),
    examples: examples.map(({ heron_id, differences }) => ({ heron_id, differences })),
    startedAt,
  };
}

async function rebuildAll(upkeep: Upkeep, { dryRun, concurrency, restart }: RebuildOptions): Promise<Rebuilt> {
  const resumed = dryRun || restart ? null : await usable(upkeep);
  const startedAt = resumed?.started_at ?? clock();
  let tally: Tally = { ...NONE, ...resumed?.tally };
  let cursor = resumed?.cursor ?? null;
  if (resumed) note(`Going on behind ${cursor}, where the one begun at ${rfc3339(startedAt)} was cut off.`);

  const examples: Example[] = [];
  const bar = progressBar(await upkeep.countEndUsers(cursor), 'end users');
  const work = async (heronId: string) => {
    try {
      const recomputed = await upkeep.recompute(heronId, !dryRun);
      tally = added(tally, recomputed);
      tell(heronId, recomputed);
      if (recomputed.outcome === 'different' && examples.length < EXAMPLES)
        examples.push({ heron_id: heronId, differences: recomputed.differences });
    } catch (error) {
      if (isOutage(error)) throw error;
      note(`${heronId} could not be recomputed: ${inLine(reasonOf(error))}.`);
      tally = { ...tally, failed: tally.failed + 1 };
    }
    bar.tick();
  };
  try {
    do {
      const { ids, next } = await upkeep.endUsers(cursor, WINDOW);
      await pool(ids, concurrency, work);
      cursor = next;
      const checkpoint = cursor && {
        cursor,
        started_at: startedAt,
        saved_at: clock(),
        fold_version: FOLD_VERSION,
        tally,
      };
      if (!dryRun) await upkeep.saveCheckpoint(checkpoint || null);
    } while (cursor !== null);
  } finally {
    bar.stop();
  }
  return { tally, examples, startedAt };
}

function tell(heronId: string, { outcome }: Recomputed): void {
  if (outcome === 'untimed') note(`${heronId} has no state: none of its events has a time.`);
  if (outcome === 'newer') note(`${heronId} was left alone: its state is of a newer fold than this program knows.`);
}

/** One of another fold was not finished, and never will be; one that is old may have come back with a backup. */
async function usable(upkeep: Upkeep): Promise<Checkpoint | null> {
  const checkpoint = await upkeep.checkpoint();
  if (checkpoint === null || checkpoint.fold_version !== FOLD_VERSION) return null;
  return microsecondsBetween(checkpoint.saved_at, clock()) <= CHECKPOINT_MICROSECONDS ? checkpoint : null;
}

function added(tally: Tally, recomputed: Recomputed): Tally {
  const { outcome } = recomputed;
  const fewer = recomputed.outcome === 'different' && recomputed.fewerEvents;
  return { ...tally, [outcome]: tally[outcome] + 1, fewer_events: tally.fewer_events + (fewer ? 1 : 0) };
}

function summary(tally: Tally, endUsers: number, dryRun: boolean, milliseconds: number): string {
  const { right, different, forgotten, without_events, failed, fewer_events } = tally;
  const took = `${counted(endUsers, 'end user')} in ${(milliseconds / 1000).toFixed(1)} s`;
  const states = `${counted(different, 'state')} ${dryRun ? 'would differ' : 'set right'}`;
  const facts = [
    styled(different === 0 ? 'green' : 'yellow', states),
    `${right.toLocaleString('en')} right as they were`,
    ...(forgotten > 0 ? [`${forgotten.toLocaleString('en')} forgotten`] : []),
    ...(failed > 0 ? [styled('red', `${failed.toLocaleString('en')} failed`)] : []),
  ];
  const one = fewer_events === 1;
  return [
    `${took}: ${facts.join(', ')}.`,
    ...(fewer_events > 0
      ? [
          `Of ${counted(fewer_events, 'end user')} the log has fewer events than ${one ? 'its state' : 'their states'} had counted: ${one ? 'it' : 'they'} ${dryRun ? 'would start' : 'started'} from what is left.`,
        ]
      : []),
    ...(without_events > 0
      ? [`Of ${counted(without_events, 'end user')} the log has no events left: what they stood at is kept.`]
      : []),
  ].join('\n');
}

function block({ heron_id, differences }: Example): string {
  if (differences.every(({ stored }) => stored === undefined)) return `${styled('bold', heron_id)}\n  has no state`;
  const rows = differences.map(({ field, stored, computed }) => {
    const change = `${styled('red', shown(stored))} → ${styled('green', shown(computed))}`;
    return `  ${styled('dim', shown(field).slice(1, -1).padEnd(16))}${change}`;
  });
  return [styled('bold', heron_id), ...rows].join('\n');
}
