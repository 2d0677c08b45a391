import { codeOf } from '../grpc.ts';

/** The command cannot do what was asked: `message` says why and what to do; it ends with the exit code. */
export class CommandFailed extends Error {
  readonly exitCode: 1 | 2;
  constructor(message: string, exitCode: 1 | 2 = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Whether Google refused or could not be reached, whatever was asked. */
export function isOutage(error: unknown): boolean {
  return codeOf(error) !== undefined;
}

/** What an error says, in a line and without its full stop. */
export function reasonOf(error: unknown): string {
  const { details, message } = error as { details?: unknown; message?: unknown };
  const [line = ''] = String(details || message || error)
    .trim()
    .split('\n', 1);
  return line.trim().replace(/\.$/, '');
}

/** Says who could not be reached. */
export function unreachable(url: string, error: unknown): CommandFailed {
  const { cause } = error as { cause?: { code?: unknown } };
  const why = typeof cause?.code === 'string' ? ` (${cause.code})` : '';
  return new CommandFailed(`Nothing answers at ${url}${why}. Start it with npm start, or name another with --url.`);
}
