import type { Argument, Option } from '@bomb.sh/tab';
import tab from '@bomb.sh/tab/commander';
import type { Command } from 'commander';
import { UNROUTED } from '../bus/topology.ts';
import { STATUSES } from '../heron/status.ts';
import { HERON_TOPICS } from '../heron/topics.ts';
import { CommandFailed } from './failure.ts';
import { print } from './output.ts';

const SHELLS = ['bash', 'zsh', 'fish'];

/**
 * The library's script for bash takes the words of a line from the package bash-completion, which not every machine has,
 * and declares constants, which fails where it is read twice.
 */
const FOR_BASH = `# Where the package bash-completion is not there.
declare -F _get_comp_words_by_ref >/dev/null || _get_comp_words_by_ref() {
    cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} words=("\${COMP_WORDS[@]}") cword=$COMP_CWORD
}
`;

/** Prints what a shell reads to complete this program's commands and options. Resolves with the exit code. */
export async function completions(program: Command, shell: string): Promise<number> {
  if (!SHELLS.includes(shell))
    throw new CommandFailed(`There are completions for ${SHELLS.join(', ')}, not for ${shell}.`, 'misused');
  const script = printedBy(() => completionOf(program).setup('heron', 'heron', shell));
  print(shell === 'bash' ? `${FOR_BASH}${script.replaceAll(/^readonly /gm, '')}` : script);
  return 0;
}

/** The library hands its script to nobody but standard output. */
function printedBy(work: () => void): string {
  const { log } = console;
  const lines: string[] = [];
  console.log = (line: string) => lines.push(line);
  try {
    work();
  } finally {
    console.log = log;
  }
  return lines.join('\n');
}

/** Answers a shell that completes a line: `heron complete -- WORD…`. Resolves with the exit code. */
export async function complete(program: Command): Promise<number> {
  completionOf(program).parse(process.argv.slice(process.argv.indexOf('--') + 1));
  return 0;
}

const TOPICS = [...HERON_TOPICS, UNROUTED];
/** What is suggested where a command's argument or option's value is typed. */
const VALUES: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  send: { topic: HERON_TOPICS },
  wait: { for: STATUSES },
  tail: { topic: TOPICS },
  listen: { topic: TOPICS },
  schema: { topic: HERON_TOPICS },
  replay: { to: ['projector'], topic: TOPICS },
  completions: { shell: SHELLS },
  'webhooks register': { topics: HERON_TOPICS },
  ...Object.fromEntries(
    ['list', 'show', 'redrive', 'discard'].map((name) => [`dead-letters ${name}`, { subscriber: ['projector'] }]),
  ),
};

function completionOf(program: Command) {
  const root = tab(program);
  for (const [name, values] of Object.entries(VALUES))
    for (const [of, suggested] of Object.entries(values)) {
      const command = root.commands.get(name);
      const place: Argument | Option | undefined = command?.arguments.get(of) ?? command?.options.get(of);
      if (place === undefined) throw new Error(`No command ${name} takes ${of}.`);
      place.handler = (suggest) => {
        for (const value of suggested) suggest(value, '');
      };
    }
  return root;
}
