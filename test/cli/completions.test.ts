import { execFile, execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { HERON, heron } from '../end-to-end/local.ts';
import { leaveOut } from '../left-out.ts';

/** A PATH on which there is a program heron. */
function withHeron(): NodeJS.ProcessEnv {
  const bin = mkdtempSync(join(tmpdir(), 'bin-'));
  const file = join(bin, 'heron');
  writeFileSync(file, `#!/bin/sh\nexec '${process.execPath}' '${HERON}' "$@"\n`);
  chmodSync(file, 0o755);
  return { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}`, TERM: 'dumb' };
}

function isHere(shell: string): boolean {
  try {
    execFileSync(shell, ['-c', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    leaveOut(`${shell} is missing (apt-get install ${shell})`, 'the tests of its completions');
    return false;
  }
}

/** Runs a script in a shell. */
function run(shell: string, args: readonly string[]): Promise<{ stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(shell, args, { env: withHeron(), timeout: 120_000 }, (_, stdout, stderr) => resolve({ stdout, stderr }));
  });
}

function quoted(text: string): string {
  return `'${text}'`;
}

/** What each shell suggests for a line, by its own means. */
const COMPLETE: Readonly<Record<string, (line: string) => Promise<readonly string[]>>> = {
  async bash(line) {
    // Without bash-completion, and read twice as from two start-up files.
    const script = `
      set -e
      source <(heron completions bash); source <(heron completions bash)
      COMP_LINE=${quoted(line)}; COMP_POINT=\${#COMP_LINE}
      read -ra COMP_WORDS <<< "$COMP_LINE"
      [[ $COMP_LINE == *' ' ]] && COMP_WORDS+=('')
      COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
      [[ $(complete -p heron) =~ -F\\ ([^ ]+) ]]
      compopt() { :; } # bash has it only while it completes itself
      "\${BASH_REMATCH[1]}"
      printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, stderr } = await run('bash', ['--norc', '--noprofile', '-c', script]);
    expect(stderr).toBe('');
    return stdout.trim().split('\n');
  },
  async fish(line) {
    const script = `heron completions fish | source; heron completions fish | source; complete --do-complete ${quoted(line)}`;
    const { stdout, stderr } = await run('fish', ['--no-config', '-c', script]);
    expect(stderr).toBe('');
    return stdout
      .trim()
      .split('\n')
      .map((each) => each.split('\t')[0] ?? '');
  },
  async zsh(line) {
    // Its function is called as zsh would at a Tab, and what it hands over to be shown is printed.
    const script = `
      compdef() { : }
      source <(heron completions zsh); source <(heron completions zsh)
      _describe() { print -rl -- "\${completions[@]}" }
      line=${quoted(line)}
      words=(\${=line})
      [[ $line == *' ' ]] && words+=('')
      CURRENT=$#words
      _heron`;
    const { stdout, stderr } = await run('zsh', ['-f', '-c', script]);
    expect(stderr).toBe('');
    return stdout
      .trim()
      .split('\n')
      .map((each) => each.split(':')[0] ?? '');
  },
};

describe.each(Object.keys(COMPLETE))('completions in %s', (shell) => {
  it.skipIf(!isHere(shell))('suggest commands, options and what belongs there', async () => {
    const complete = COMPLETE[shell] as (typeof COMPLETE)[string];
    expect(await complete('heron dead')).toEqual(['dead-letters']);
    expect(await complete('heron dead-letters red')).toEqual(['redrive']);
    expect(await complete('heron doctor --ing')).toEqual(['--ingest-url']);
    expect([...(await complete('heron wait acme --for re'))].sort()).toEqual(['ready', 'review_requested', 'reviewed']);
    expect(await complete('heron send end_user.pr')).toEqual(['end_user.processed']);
    expect(await complete('heron replay --to ')).toEqual(['projector']);
    expect(await complete('heron wait acme --for processed,fa')).toEqual(['processed,failed']);
    expect(await complete('heron listen --topic pdf.failed end_user.fa')).toEqual(['end_user.failed']);
  });
});

describe('heron completions', () => {
  const suggested = async (...words: readonly string[]) => (await heron(['complete', '--', ...words])).stdout;

  it.each(['bash', 'zsh', 'fish'])('prints what %s reads', async (shell) => {
    const { code, stdout, stderr } = await heron(['completions', shell]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/heron complete/);
  });

  it('knows commands, options, topics and statuses', async () => {
    expect(await suggested('dead')).toMatch(/^dead-letters\t/);
    expect(await suggested('dead-letters', 'red')).toMatch(/^redrive\t/);
    expect(await suggested('status', '--u')).toMatch(/^--url\t/);
    expect(await suggested('completions', '')).toMatch(/^bash\t\nzsh\t\nfish\t\n/);
  });

  it.each([
    [['send'], 'pdf.f', ['pdf.failed']],
    [['schema'], 'pdf.f', ['pdf.failed']],
    [['tail', '--topic'], 'unr', ['unrouted']],
    [['listen', '--topic'], 'transactions.d', ['transactions.deleted']],
    [['replay', '--topic', 'pdf.failed'], 'unr', ['unrouted']],
    [['replay', '--to'], '', ['projector']],
    [['webhooks', 'register', '--topics', 'pdf.failed', 'pdf.parsed'], 'end_user.fa', ['end_user.failed']],
    [['wait', 'a', '--for'], 'pro', ['processed']],
    [['wait', 'a', '--for'], 'new,processed,rev', ['new,processed,review_requested', 'new,processed,reviewed']],
    [['wait', 'a', '--for'], 'processed,pro', []],
    [['dead-letters', 'list', '--subscriber'], '', ['projector']],
    [['dead-letters', 'show', '--subscriber'], '', ['projector']],
    [['dead-letters', 'redrive', '--subscriber'], '', ['projector']],
    [['dead-letters', 'discard', '--subscriber'], '', ['projector']],
  ])('after %j and %j suggests %j, and no file', async (before, typed, values) => {
    const answer = (await suggested(...before, typed)).trimEnd().split('\n');
    expect(answer).toEqual([...values.map((value) => `${value}\t`), ':4']);
  });

  it.each([
    ['send', '--body'],
    ['schema', 'pdf.failed', '--check'],
  ])('leaves files to the shell, which bash has been told: %s … %s', async (...before) => {
    expect(await suggested(...before, '')).toBe(':0\n');
    expect((await heron(['completions', 'bash'])).stdout).toMatch(/^complete -o default -F \S+ heron$/m);
  });

  it('says which shells it knows', async () => {
    expect(await heron(['completions', 'tcsh'])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/bash, zsh, fish/),
    });
  });
});
