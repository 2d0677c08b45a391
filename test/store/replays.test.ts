import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { clock } from '../../functions/clock.ts';
import { type Claim, type ReplayState, Replays, type Runner, TakenOver } from '../../functions/store/replays.ts';
import { hasFirestore, newProject } from '../emulators.ts';

const runner = (token: string): Runner => ({ token, host: `host of ${token}`, pid: 1 });
const state = (id: string, events = 0): ReplayState => ({
  id,
  started: clock(),
  done: [],
  at: { part: 'pdf.failed', cursor: { recorded_at: clock(), event_id: 'x' } },
  events,
  failed: 0,
});

describe.skipIf(!hasFirestore)('what is remembered of a replay', () => {
  let replays: Replays;
  beforeEach(() => {
    replays = new Replays({ projectId: newProject(), databaseId: '(default)' });
  });
  afterEach(() => replays.close());

  const claim = (token: string, more: Partial<Claim> = {}) =>
    replays.claim('a', {
      fresh: state(`begun by ${token}`),
      runner: runner(token),
      isDead: () => false,
      following: null,
      restart: false,
      ...more,
    });

  it('gives it to one of those who begin at once', async () => {
    const claimed = await Promise.all(['one', 'two', 'three'].map((token) => claim(token)));
    expect(claimed.map(({ kind }) => kind).sort()).toEqual(['begun', 'running', 'running']);
    expect(new Set(claimed.map((each) => each.state.id)).size).toBe(1);
  });

  it('leaves it to who lives, and tells who follows of its end; then it begins anew', async () => {
    await claim('one');
    await replays.save('a', runner('one'), state('begun by one', 7));
    const seen = await claim('two');
    expect(seen).toMatchObject({ kind: 'running', runner: runner('one'), beat: 1, state: { events: 7 } });
    await replays.save('a', runner('one'), state('begun by one', 9), true);
    expect(await claim('two', { following: 'begun by one' })).toMatchObject({ kind: 'finished', state: { events: 9 } });
    expect(await claim('two')).toMatchObject({ kind: 'begun', state: { id: 'begun by two' } });
  });

  it('gives it to another where its process is dead, which cannot save any more if it is not', async () => {
    await claim('one');
    const kept = state('begun by one', 7);
    await replays.save('a', runner('one'), kept);
    const asked: unknown[] = [];
    const isDead = (...who: unknown[]) => asked.push(...who) > 0;
    expect(await claim('two', { isDead })).toEqual({ kind: 'resumed', state: kept });
    expect(asked).toEqual([runner('one'), 1]);
    await expect(replays.save('a', runner('one'), kept)).rejects.toThrow(TakenOver);
    await replays.save('a', runner('two'), kept);
    expect(await claim('three', { restart: true })).toMatchObject({ kind: 'begun', state: { id: 'begun by three' } });
    await expect(replays.save('a', runner('two'), kept)).rejects.toThrow(TakenOver);
  });
});
