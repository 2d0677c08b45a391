import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { CommandFailed } from './failure.ts';
import { inLine } from './output.ts';

/** What a file holds that was named as an option; `-` is standard input, of whatever kind. @throws CommandFailed */
export async function read(file: string): Promise<Buffer> {
  try {
    return await (file === '-' ? buffer(process.stdin) : readFile(file));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CommandFailed(`${file === '-' ? 'Standard input' : inLine(file)} cannot be read (${code}).`, 'misused');
  }
}
