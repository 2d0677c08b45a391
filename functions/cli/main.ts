#!/usr/bin/env node
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { ConfigError } from '../config.ts';
import { CommandFailed } from './failure.ts';
import { note, styled } from './output.ts';

/** Each command loads its own modules when it runs: help and typing errors are answered at once. */
const program = new Command('heron')
  .description("Receive Heron Data's webhooks on Google Cloud: run it here, send test webhooks, ask for states.")
  .addHelpText('after', '\nExit codes: 0 done or yes, 1 failed or no, 2 misused.\nNO_COLOR is respected.')
  .exitOverride()
  .showHelpAfterError('(heron --help tells what there is)');

const JSON_FLAG = ['--json', 'print JSON for programs', false] as const;

program
  .command('dev')
  .description("run everything on this machine, with Google's emulators where they are, else in memory")
  .option('--port <n>', 'the port of the webhook; the query API has the next', port, 8080)
  .option(...JSON_FLAG)
  .action(async (options) => finish((await import('./dev.ts')).dev(options, process.env)));

program
  .command('send')
  .description('sign and post a made-up webhook as Heron would')
  .argument('[topic]', 'such as end_user.processed')
  .option('--end-user <id>', 'a heron_id (eus_…) or your own id', 'myenduser')
  .option('--url <url>', 'where the webhook is', 'http://localhost:8080/')
  .option('--secret <secret>', 'the shared secret; else HERON_SHARED_SECRET, else that of npm start')
  .option('--count <n>', 'how many, 32 at a time', positive, 1)
  .option('--body <file>', 'post this file as it is (- is standard input)')
  .option(...JSON_FLAG)
  .action(async (topic: string | undefined, options) =>
    finish(
      (await import('./send.ts')).send(topic, {
        ...options,
        secret: options.secret ?? process.env.HERON_SHARED_SECRET,
      }),
    ),
  );

program
  .command('status')
  .description('where an end user stands; exits 1 where it is unknown')
  .argument('<id>', 'a heron_id (eus_…) or your own id')
  .option('--url <url>', 'where the query API is', 'http://localhost:8081/')
  .option(...JSON_FLAG)
  .action(async (id: string, options) => finish((await import('./status.ts')).status(id, options)));

const deadLetters = program
  .command('dead-letters')
  .description('what a subscriber could never process: read it, send it again, or discard it')
  .addHelpText(
    'after',
    "\nAn ID is a dead letter's or an event's. One that somebody else looks at meanwhile may not be seen.",
  );
const deadLettersCommand = (nameAndArguments: string) =>
  deadLetters
    .command(nameAndArguments)
    .option('--subscriber <name>', 'whose', 'projector')
    .option('--project <id>', 'the Google Cloud project; else GOOGLE_CLOUD_PROJECT')
    .option(...JSON_FLAG);
deadLettersCommand('list')
  .description('each with its reason; leaves them where they are')
  .action(async (options) => finish((await import('./dead-letters.ts')).list(options, process.env)));
deadLettersCommand('show <id...>')
  .description('the whole of it, attributes and body')
  .action(async (ids: string[], options) =>
    finish((await import('./dead-letters.ts')).show(ids, options, process.env)),
  );
deadLettersCommand('redrive [id...]')
  .description('send it to its subscriber again, to no other')
  .option('--all', 'all there are', false)
  .action(async (ids: string[], options) =>
    finish((await import('./dead-letters.ts')).redrive(ids, options, process.env)),
  );
deadLettersCommand('discard <id...>')
  .description('take it away for good')
  .action(async (ids: string[], options) =>
    finish((await import('./dead-letters.ts')).discard(ids, options, process.env)),
  );

program
  .command('rebuild')
  .description('recompute states from the log, while webhooks keep arriving; goes on where it was cut off')
  .option('--end-user <heron_id>', 'only this one')
  .option('--dry-run', 'change nothing: tell which would differ, and how; exits 1 where one does', false)
  .option('--concurrency <n>', 'how many end users at a time', positive, 16)
  .option('--restart', 'from the beginning, also where one was cut off', false)
  .option('--project <id>', 'the Google Cloud project; else GOOGLE_CLOUD_PROJECT')
  .option(...JSON_FLAG)
  .action(async (options) => finish((await import('./rebuild.ts')).rebuild(options, process.env)));

program
  .command('forget')
  .description('erase an end user: state, events, bodies, dead letters; what arrives later is not recorded')
  .argument('<heron_id>', 'eus_…')
  .option('--by <name>', 'who wants it, for the tombstone; else your user name')
  .option('--lift', 'take its tombstone away: new events count again', false)
  .option('--project <id>', 'the Google Cloud project; else GOOGLE_CLOUD_PROJECT')
  .option(...JSON_FLAG)
  .action(async (id: string, options) => finish((await import('./forget.ts')).forget(id, options, process.env)));

// Google's clients throw this past whoever called them.
process.on('unhandledRejection', (error) => {
  if (!/default credentials/.test(String(error))) throw error;
  note(`${styled('red', 'heron:', process.stderr)} No Google Cloud credentials: gcloud auth application-default login`);
  process.exit(1);
});

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommandFailed || error instanceof ConfigError) {
    note(`${styled('red', 'heron:', process.stderr)} ${error.message}`);
    process.exitCode = error instanceof ConfigError ? 2 : error.exitCode;
  } else if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2; // commander has said what is wrong
  } else {
    throw error;
  }
}

async function finish(running: Promise<number>): Promise<void> {
  process.exitCode = await running;
}

function positive(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new InvalidArgumentError('Give a whole number from 1.');
  return number;
}

function port(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1 || number > 65_534)
    throw new InvalidArgumentError('Give a port from 1 to 65534.');
  return number;
}
