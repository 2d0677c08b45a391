import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { pool } from '../functions/pool.ts';

describe('the pool', () => {
  it('does the work for all, never for more at once than it may, and gives the results in order', async () => {
    let [running, most] = [0, 0];
    const results = await pool([5, 4, 3, 2, 1], 2, async (item) => {
      most = Math.max(most, ++running);
      await sleep(item);
      running--;
      return item * 10;
    });
    expect(results).toEqual([50, 40, 30, 20, 10]);
    expect(most).toBe(2);
  });

  it('begins no other where one fails, and waits for those that were begun', async () => {
    const begun: number[] = [];
    const ended: number[] = [];
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const all = pool([0, 1, 2, 3, 4], 2, async (item) => {
      begun.push(item);
      if (item === 1) throw new Error('an outage');
      await held;
      ended.push(item);
    });
    let settled = false;
    const failed = expect(all)
      .rejects.toThrow('an outage')
      .then(() => {
        settled = true;
      });
    await sleep(0);
    expect(settled).toBe(false);
    release();
    await failed;
    expect({ begun, ended }).toEqual({ begun: [0, 1], ended: [0] });
  });

  it('has nothing to do for none', async () => {
    expect(await pool([], 3, async (item) => item)).toEqual([]);
  });
});
