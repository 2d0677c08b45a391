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
 * declares constants, which fails where it is read twice, and never lets bash suggest files.
 */
function adapted(script: string): string {
  return script.replaceAll(/^readonly /gm, '').replace(/^complete -F/m, 'complete -o default -F');
}

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
  print(shell === 'bash' ? `${FOR_BASH}${adapted(script)}` : script);
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
  const words = withoutOthers(process.argv.slice(process.argv.indexOf('--') + 1));
  const answer = printedBy(() => completionOf(program, words.at(-1)).parse([...words]));
  // The library tells shells to suggest no files, wherever that is.
  print(FILE_OPTIONS.includes(words.at(-2) ?? '') ? ':0' : answer);
  return 0;
}

const LIST_OPTIONS = ['--topic', '--topics'];
const FILE_OPTIONS = ['--body', '--check'];

/** Of an option that takes several values the library knows one: the others go, but for the last, which is completed. */
function withoutOthers(words: readonly string[]): readonly string[] {
  const at = words.findLastIndex((word) => word.startsWith('-'));
  return LIST_OPTIONS.includes(words[at] ?? '') ? [...words.slice(0, at + 1), ...words.slice(at + 1).slice(-1)] : words;
}

const TOPICS = [...HERON_TOPICS, UNROUTED];
/** Or by what has been typed of it. */
type Suggested = readonly string[] | ((typed: string) => readonly string[]);
/** What is suggested where a command's argument or option's value is typed. */
const VALUES: Readonly<Record<string, Readonly<Record<string, Suggested>>>> = {
  send: { topic: HERON_TOPICS },
  wait: { for: continuing },
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

/** Statuses, each behind what of a list with commas has been typed. */
function continuing(typed: string): readonly string[] {
  const start = typed.slice(0, typed.lastIndexOf(',') + 1);
  const others = STATUSES.filter((status) => !start.split(',').includes(status));
  return others.map((status) => `${start}${status}`);
}

/** @param typed the beginning of the word that is completed. */
function completionOf(program: Command, typed = '') {
  const root = tab(program);
  for (const [name, values] of Object.entries(VALUES))
    for (const [of, suggested] of Object.entries(values)) {
      const command = root.commands.get(name);
      const place: Argument | Option | undefined = command?.arguments.get(of) ?? command?.options.get(of);
      if (place === undefined) throw new Error(`No command ${name} takes ${of}.`);
      place.handler = (suggest) => {
        for (const value of typeof suggested === 'function' ? suggested(typed) : suggested) suggest(value, '');
      };
    }
  return root;
}
