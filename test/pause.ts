import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { until } from './until.ts';

/** Stops a process as a machine does that gives it no time; resolves once none of its threads runs any more. */
export async function pause(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  // One of them takes the signal when its turn comes, and all go on until then. Only Linux tells.
  const tasks = `/proc/${pid}/task`;
  if (existsSync(tasks)) await until(() => readdirSync(tasks).every((id) => isStopped(`${tasks}/${id}/stat`)));
}

/** By the letter after the thread's name, which is in parentheses. */
function isStopped(stat: string): boolean {
  try {
    return readFileSync(stat, 'latin1').split(') ').at(-1)?.[0] === 'T';
  } catch {
    return false; // it has just ended
  }
}
