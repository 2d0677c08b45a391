import { styleText } from 'node:util';

type Style = Parameters<typeof styleText>[0];

/** The command cannot do what was asked: `message` says why and what to do; it ends with the exit code. */
export class CommandFailed extends Error {
  readonly exitCode: 1 | 2;
  constructor(message: string, exitCode: 1 | 2 = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** The answer of a command, on standard output. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** What goes on meanwhile, on standard error, so that the answer can be piped. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Styled where the stream is a terminal that shows it, and NO_COLOR is not set. */
export function styled(style: Style, text: string, stream: NodeJS.WriteStream = process.stdout): string {
  return styleText(style, text, { stream });
}

/** One line that is overwritten, on a terminal only. */
export function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}

/** Says who could not be reached. */
export function unreachable(url: string, error: unknown): CommandFailed {
  const { cause } = error as { cause?: { code?: unknown } };
  const why = typeof cause?.code === 'string' ? ` (${cause.code})` : '';
  return new CommandFailed(`Nothing answers at ${url}${why}. Start it with npm start, or name another with --url.`);
}
