import tab from '@bomb.sh/tab/commander';
import type { Command } from 'commander';
import { HERON_TOPICS } from '../heron/topics.ts';
import { CommandFailed } from './failure.ts';

const SHELLS = ['bash', 'zsh', 'fish'];

/** Prints what a shell reads to complete this program's commands and options. Resolves with the exit code. */
export async function completions(program: Command, shell: string): Promise<number> {
  if (!SHELLS.includes(shell))
    throw new CommandFailed(`There are completions for ${SHELLS.join(', ')}, not for ${shell}.`, 'misused');
  completionOf(program).setup('heron', 'heron', shell);
  return 0;
}

/** Answers a shell that completes a line: `heron complete -- WORD…`. Resolves with the exit code. */
export async function complete(program: Command): Promise<number> {
  completionOf(program).parse(process.argv.slice(process.argv.indexOf('--') + 1));
  return 0;
}

function completionOf(program: Command) {
  const root = tab(program);
  const send = root.commands.get('send');
  send?.argument('topic', (suggest) => {
    for (const topic of HERON_TOPICS) suggest(topic, '');
  });
  return root;
}
