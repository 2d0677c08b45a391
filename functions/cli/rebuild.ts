import { setFlagsFromString } from 'node:v8';
import { type Clock, clock } from '../clock.ts';
import type { Env } from '../config.ts';
import { FOLD_VERSION } from '../events/end-user.ts';
import { type Instant, microsecondsBetween, rfc3339 } from '../heron/instant.ts';
import { pool } from '../pool.ts';
import {
  type Checkpoint,
  type Difference,
  differencesOf,
  type LogPlace,
  type Misread,
  type Recomputed,
  readingsOf,
  type Stretch,
  type Upkeep,
} from '../store/upkeep.ts';
import { CommandFailed, isOutage, reasonOf } from './failure.ts';
import { counted, inLine, note, print, printJson, progressBar, shown, showsProgress, styled } from './output.ts';
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

const NO_END_USERS = {
  right: 0,
  different: 0,
  forgotten: 0,
  without_events: 0,
  untimed: 0,
  newer: 0,
  unknown: 0,
  failed: 0,
} satisfies Record<Recomputed['outcome'] | 'failed', number>;
const NONE = {
  ...NO_END_USERS,
  /** Of the different ones those whose state had counted more events than the log has. */
  fewer_events: 0,
  events: 0,
  /** Of which the log says, or said, something else than their bodies do. */
  events_misread: 0,
  /** Of the misread ones those that belong to another end user, and those that were erased, as theirs is forgotten. */
  events_moved: 0,
  events_erased: 0,
  /** That name an end user and have no time, so that no state counts them; that have lost a part of their body. */
  events_untimed: 0,
  events_damaged: 0,
};
type Count = keyof typeof NONE;
type Tally = Readonly<Record<Count, number>>;

/** A state, or what the log says of an event, that differs from what it should be. */
type Example = { readonly id: string; readonly differences: readonly Difference[] };

export type Rebuilt = {
  readonly tally: Tally;
  /** The first few. */
  readonly states: readonly Example[];
  readonly readings: readonly Example[];
  readonly startedAt: Instant;
};

const EXAMPLES = 5;
/** So many end users are named that have something about them, in each way. */
const NAMED = 20;
const CHECKPOINT_MICROSECONDS = 6 * 3_600_000_000;

/**
 * Reads the log again, sets right what it says of its bodies, and the states, while webhooks keep arriving. Resolves
 * with the exit code: 1 where a dry run finds something that differs, or something could not be set right.
 */
export async function rebuild(options: RebuildOptions, env: Env): Promise<number> {
  const started = performance.now();
  // However long the log is, no more than a page of it lives; V8 would let its young generation grow by 100 MB of garbage.
  setFlagsFromString('--semi-space-growth-factor=1');
  const { dryRun, json } = options;
  const environment = envOf(env, options.project);
  await announce(environment, ['Firestore']);
  const { tally, states, readings, startedAt } = await withUpkeep(environment, (upkeep) =>
    rebuildWith(upkeep, options, clock),
  );
  const endUsers = Object.keys(NO_END_USERS).reduce((sum, outcome) => sum + tally[outcome as Count], 0);
  const milliseconds = Math.round(performance.now() - started);
  if (json) {
    const differences = states.map(({ id, differences }) => ({ heron_id: id, differences }));
    const misread = readings.map(({ id, differences }) => ({ event_id: id, differences }));
    const head = { dry_run: dryRun, started_at: rfc3339(startedAt), end_users: endUsers };
    printJson({ ...head, ...tally, differences, misread, milliseconds });
  } else {
    const [wrongStates, wrongReadings] = [tally.different - states.length, tally.events_misread - readings.length];
    for (const example of readings) print(`${block({ ...example, id: `event ${example.id}` })}\n`);
    if (wrongReadings > 0) print(`… and ${counted(wrongReadings, 'event')} more.\n`);
    for (const example of states) print(`${block(example)}\n`);
    if (wrongStates > 0) print(`… and ${counted(wrongStates, 'end user')} more.\n`);
    print(summary(tally, endUsers, dryRun, milliseconds));
  }
  const isWrong = tally.different > 0 || tally.events_misread > 0;
  return tally.failed > 0 || tally.newer > 0 || (dryRun && isWrong) ? 1 : 0;
}

export async function rebuildWith(
  upkeep: Upkeep,
  { endUser, dryRun, concurrency, restart }: Pick<RebuildOptions, 'endUser' | 'dryRun' | 'concurrency' | 'restart'>,
  now: Clock,
): Promise<Rebuilt> {
  const resumed = endUser !== undefined || dryRun || restart ? null : await usable(upkeep, now());
  const startedAt = resumed?.started_at ?? now();
  const rebuilding = new Rebuilding(upkeep, { apply: !dryRun, concurrency, tally: { ...NONE, ...resumed?.tally } });
  let place: LogPlace | null = resumed?.place ?? null;
  if (resumed) note(`Going on ${placeName(resumed.place)}, where the one begun at ${rfc3339(startedAt)} was cut off.`);

  const total = endUser === undefined && showsProgress() ? await upkeep.eventsBehind(place) : 0;
  const bar = progressBar(total, 'events');
  try {
    for await (const stretch of endUser === undefined ? upkeep.survey(place) : upkeep.surveyOne(endUser)) {
      await rebuilding.take(stretch);
      bar.tick(stretch.read);
      if (endUser !== undefined || dryRun || stretch.place === null || isSame(stretch.place, place)) continue;
      place = stretch.place;
      const { tally } = rebuilding;
      const times = { started_at: startedAt, saved_at: now() };
      await upkeep.saveCheckpoint({ place, ...times, fold_version: FOLD_VERSION, tally });
    }
    if (endUser === undefined && !dryRun) await upkeep.saveCheckpoint(null);
  } finally {
    bar.stop();
  }
  const { tally, states, readings } = rebuilding;
  if (endUser !== undefined && Object.keys(NO_END_USERS).every((outcome) => tally[outcome as Count] === 0))
    throw new CommandFailed(
      `Neither log nor states have an end user ${JSON.stringify(endUser)}: give its heron_id.`,
      'end-user-unknown',
    );
  return { tally, states: states.toSorted((a, b) => (a.id < b.id ? -1 : 1)), readings, startedAt };
}

/** What has been done so far, stretch by stretch. */
class Rebuilding {
  readonly #upkeep: Upkeep;
  readonly #apply: boolean;
  readonly #concurrency: number;
  tally: Tally;
  readonly states: Example[] = [];
  readonly readings: Example[] = [];
  readonly #named = { failed: 0, newer: 0, untimed: 0 };

  constructor(
    upkeep: Upkeep,
    { apply, concurrency, tally }: { readonly apply: boolean; readonly concurrency: number; readonly tally: Tally },
  ) {
    this.#upkeep = upkeep;
    this.#apply = apply;
    this.#concurrency = concurrency;
    this.tally = tally;
  }

  /** The log first: the states are of what it says. */
  async take({ counts: { events, untimed, damaged }, misread, endUsers }: Stretch): Promise<void> {
    this.#count({ events, events_untimed: untimed, events_damaged: damaged });
    for (const { event, stored } of misread.slice(0, EXAMPLES - this.readings.length))
      this.readings.push({ id: event.event_id, differences: differencesOf(stored, readingsOf(event)) });
    await pool([...Map.groupBy(misread, ({ event }) => event.heron_id).values()], this.#concurrency, (each) =>
      this.#mend(each),
    );
    await pool(endUsers, this.#concurrency, async ({ heron_id, outcome }) => {
      if (outcome === 'suspect') await this.#recompute(heron_id);
      else this.#tell(heron_id, { outcome });
    });
  }

  /** @param misread of one end user, or of none. */
  async #mend(misread: readonly Misread[]): Promise<void> {
    const moved = misread.filter(({ event, stored }) => event.heron_id !== stored.heron_id).length;
    if (!this.#apply) return this.#count({ events_misread: misread.length, events_moved: moved });
    const whose = misread[0]?.event.heron_id ?? 'no end user';
    await this.#attempt(`${counted(misread.length, 'event')} of ${whose} could not be set right`, async () => {
      const { mended, moved, erased } = await this.#upkeep.mend(misread);
      this.#count({ events_misread: mended, events_moved: moved, events_erased: erased });
    });
  }

  async #recompute(heronId: string): Promise<void> {
    await this.#attempt(`${heronId} could not be recomputed`, async () => {
      const recomputed = await this.#upkeep.recompute(heronId, this.#apply);
      this.#tell(heronId, recomputed);
      if (recomputed.outcome === 'different' && this.states.length < EXAMPLES)
        this.states.push({ id: heronId, differences: recomputed.differences });
    });
  }

  /** What fails for one alone does not keep the others from being set right. */
  async #attempt(failure: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (isOutage(error)) throw error;
      this.#count({ failed: 1 });
      this.#name('failed', `${failure}: ${inLine(reasonOf(error))}.`);
    }
  }

  #tell(heronId: string, recomputed: Recomputed): void {
    const { outcome } = recomputed;
    const fewer = recomputed.outcome === 'different' && recomputed.fewerEvents;
    this.#count({ [outcome]: 1, ...(fewer ? { fewer_events: 1 } : {}) });
    if (outcome === 'untimed') this.#name(outcome, `${heronId} has no state: none of its events has a time.`);
    if (outcome === 'newer')
      this.#name(outcome, `${heronId} was left alone: its state is of a newer fold than this program knows.`);
  }

  #name(kind: 'failed' | 'newer' | 'untimed', text: string): void {
    if (this.#named[kind]++ < NAMED) note(text);
    else if (this.#named[kind] === NAMED + 1) note('… and more like this, which are counted and not named.');
  }

  #count(more: Partial<Tally>): void {
    const { tally } = this;
    const sums = Object.entries(more).map(([name, count]) => [name, tally[name as Count] + count]);
    this.tally = { ...tally, ...Object.fromEntries(sums) };
  }
}

/** One of another fold was not finished, and never will be; one that is old may have come back with a backup. */
async function usable(upkeep: Upkeep, now: Instant): Promise<Checkpoint | null> {
  const checkpoint = await upkeep.checkpoint();
  if (checkpoint === null || checkpoint.fold_version !== FOLD_VERSION) return null;
  return microsecondsBetween(checkpoint.saved_at, now) <= CHECKPOINT_MICROSECONDS ? checkpoint : null;
}

function isSame(a: LogPlace | null, b: LogPlace | null): boolean {
  return a?.heron_id === b?.heron_id && a?.event?.event_id === b?.event?.event_id;
}

function placeName({ heron_id, event }: LogPlace): string {
  return heron_id === null ? `behind event ${event?.event_id}, which names no end user` : `behind ${heron_id}`;
}

function summary(tally: Tally, endUsers: number, dryRun: boolean, milliseconds: number): string {
  const { right, different, forgotten, without_events, failed, fewer_events } = tally;
  const { events, events_misread, events_moved, events_erased, events_untimed } = tally;
  const took = `${counted(events, 'event')} of ${counted(endUsers, 'end user')} in ${(milliseconds / 1000).toFixed(1)} s`;
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
    ...(events_misread > 0
      ? [
          `Of ${counted(events_misread, 'event')} the log ${dryRun ? 'says' : 'said'} something else than ${events_misread === 1 ? 'its body does' : 'their bodies do'}: ${dryRun ? 'it would be' : 'that is'} set right.`,
        ]
      : []),
    ...(events_moved > 0
      ? [
          `${counted(events_moved, 'event')} of them ${dryRun ? 'would move to another end user, whose state would change as well' : `${events_moved === 1 ? 'has' : 'have'} moved to another end user`}.`,
        ]
      : []),
    ...(events_erased > 0
      ? [
          `${counted(events_erased, 'event')} of them ${events_erased === 1 ? 'was' : 'were'} erased: whom they name is forgotten.`,
        ]
      : []),
    ...(events_untimed > 0
      ? [
          `${counted(events_untimed, 'event')} of an end user ${events_untimed === 1 ? 'has' : 'have'} no time, and no state counts them.`,
        ]
      : []),
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

function block({ id, differences }: Example): string {
  if (differences.every(({ stored }) => stored === undefined)) return `${styled('bold', id)}\n  has no state`;
  const rows = differences.map(({ field, stored, computed }) => {
    const change = `${styled('red', shown(stored))} → ${styled('green', shown(computed))}`;
    return `  ${styled('dim', shown(field).slice(1, -1).padEnd(16))}${change}`;
  });
  return [styled('bold', id), ...rows].join('\n');
}
