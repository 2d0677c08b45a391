#!/usr/bin/env node
import { Command, CommanderError, Help, Option } from 'commander';
import manifest from '../../package.json' with { type: 'json' };
import { duration, filter, httpUrl, instant, port, positive, SAMPLE_END_USER, subscriber } from './arguments.ts';
import { exitCodeOf, failureOf } from './failure.ts';
import { beQuiet, complain, inLine, printJson, styled } from './output.ts';

const asJson = process.argv.includes('--json');

/** Each command loads its own modules when it runs: help and typing errors are answered at once. */
const program = new Command('heron')
  .description(
    "Receive Heron Data's webhooks on Google Cloud: run it here, send test webhooks, ask for states, operate it.",
  )
  .version(manifest.version)
  .addHelpText('after', '\nExit codes: 0 done or yes, 1 failed or no, 2 misused.\nNO_COLOR is respected.')
  // That a switch is off unless it is given goes without saying.
  .configureHelp({
    optionDescription: (option) => new Help().optionDescription(option).replace(/ ?\(default: false\)$/, ''),
  })
  .exitOverride()
  .configureOutput(asJson ? { writeErr: () => {} } : {})
  .showHelpAfterError('(heron --help tells what there is)')
  .hook('preAction', (_, action) => {
    if (action.opts().quiet) beQuiet();
  });

/** Of every command. */
function command(parent: Command, nameAndArguments: string, description: string): Command {
  return parent
    .command(nameAndArguments)
    .description(description)
    .option('--json', 'print JSON for programs, failures too: {error: {code, message}}', false)
    .option('-q, --quiet', 'nothing but answers and failures', false);
}

/** Of those that work on the project itself. */
function onProject(parent: Command, nameAndArguments: string, description: string): Command {
  return command(parent, nameAndArguments, description).option(
    '--project <id>',
    'the Google Cloud project; else GOOGLE_CLOUD_PROJECT',
  );
}

/** @param told the default, with its unit. */
function patience(description: string, seconds: number, told: string): Option {
  return new Option('--timeout <duration>', description).argParser(duration).default(seconds, told);
}

/** Of those that ask the query API. */
function ofQuery(nameAndArguments: string, description: string): Command {
  return command(program, nameAndArguments, description)
    .option('--url <url>', 'where the query API is', httpUrl, 'http://localhost:8081/')
    .option('--token <token>', 'an identity token for it; else of your application default credentials');
}

command(program, 'dev', "run everything on this machine, with Google's emulators where they are, else in memory")
  .option('--port <n>', 'the port of the webhook; the query API has the next', port, 8080)
  .option(
    '--subscriber <name=url[,pattern…]>',
    'a service under development, told of its topics as in production (repeatable)',
    subscriber,
    [],
  )
  .option('--filter <name=filter>', 'the filter of one of them, as in Terraform (repeatable)', filter, [])
  .action(async (options) => finish((await import('./dev.ts')).dev(options, process.env)));

command(program, 'send', 'sign and post a made-up webhook as Heron would')
  .argument('[topic]', 'such as end_user.processed')
  .option('--end-user <id>', 'a heron_id (eus_…) or your own id', SAMPLE_END_USER)
  .option('--url <url>', 'where the webhook is', httpUrl, 'http://localhost:8080/')
  .option('--secret <secret>', 'the shared secret; else HERON_SHARED_SECRET(_FILE), here else that of npm start')
  .option('--count <n>', 'how many, 32 at a time', positive, 1)
  .option('--body <file>', 'post this file as it is (- is standard input)')
  .action(async (topic: string | undefined, options) =>
    finish((await import('./send.ts')).send(topic, options, process.env)),
  );

ofQuery('status', 'where an end user stands; exits 1 where it is unknown')
  .argument('<id>', 'a heron_id (eus_…) or your own id')
  .action(async (id: string, options) => finish((await import('./status.ts')).status(id, options)));

ofQuery('wait', 'wait until an end user is, or has become, of a status; exits 1 once the time is out')
  .argument('<id>', 'a heron_id (eus_…) or your own id; it need not exist yet')
  .requiredOption('--for <statuses>', 'such as processed or processed,failed')
  .option('--after <time>', 'only what was said later than this (RFC 3339)', instant)
  .addOption(patience('such as 90s, 5m or 1h', 300, '5m'))
  .action(async (id: string, options) => finish((await import('./wait.ts')).wait(id, options)));

ofQuery('events', "an end user's history, oldest first, in UTC")
  .argument('<id>', 'a heron_id (eus_…) or your own id')
  .option('--limit <n>', 'only the newest', positive, 100)
  .action(async (id: string, options) => finish((await import('./events.ts')).events(id, options)));

ofQuery('doctor', 'what works and what does not, end to end, with the command that mends it')
  .option('--ingest-url <url>', 'where the webhook is; else the port before that of the query API', httpUrl)
  .option('--project <id>', 'the Google Cloud project; else GOOGLE_CLOUD_PROJECT, else that of npm start')
  .addOption(patience('how long the canary may take', 60, '60s'))
  .addHelpText(
    'after',
    '\nThe canary is signed with HERON_SHARED_SECRET or HERON_SHARED_SECRET_FILE; HERON_API_KEY lets registrations be\ncompared. What could not be checked is no failure: it says why. With --quiet only what is wrong is told.',
  )
  .action(async (options) => finish((await import('./doctor.ts')).doctor(options, process.env)));

const deadLetters = program
  .command('dead-letters')
  .description('what a subscriber could never process: read it, send it again, or discard it')
  .addHelpText(
    'after',
    "\nAn ID is a dead letter's or an event's. One that somebody else looks at meanwhile may not be seen.",
  );
const ofDeadLetters = (nameAndArguments: string, description: string) =>
  onProject(deadLetters, nameAndArguments, description).option('--subscriber <name>', 'whose', 'projector');
ofDeadLetters('list', 'each with its reason; leaves them where they are').action(async (options) =>
  finish((await import('./dead-letters.ts')).list(options, process.env)),
);
ofDeadLetters('show <id...>', 'the whole of it, attributes and body').action(async (ids: string[], options) =>
  finish((await import('./dead-letters.ts')).show(ids, options, process.env)),
);
ofDeadLetters('redrive [id...]', 'send it to its subscriber again, to no other')
  .option('--all', 'all there are', false)
  .action(async (ids: string[], options) =>
    finish((await import('./dead-letters.ts')).redrive(ids, options, process.env)),
  );
ofDeadLetters('discard <id...>', 'take it away for good').action(async (ids: string[], options) =>
  finish((await import('./dead-letters.ts')).discard(ids, options, process.env)),
);

onProject(
  program,
  'rebuild',
  'recompute states from the log, while webhooks keep arriving; goes on where it was cut off',
)
  .option('--end-user <heron_id>', 'only this one')
  .option('--dry-run', 'change nothing: tell which would differ, and how; exits 1 where one does', false)
  .option('--concurrency <n>', 'how many end users at a time', positive, 16)
  .option('--restart', 'from the beginning, also where one was cut off', false)
  .action(async (options) => finish((await import('./rebuild.ts')).rebuild(options, process.env)));

onProject(
  program,
  'forget',
  'erase an end user: state, events, bodies, dead letters; what arrives later is not recorded',
)
  .argument('<heron_id>', 'eus_…')
  .option('--by <name>', 'who wants it, for the tombstone; else your user name')
  .option('--lift', 'take its tombstone away: new events count again', false)
  .action(async (id: string, options) => finish((await import('./forget.ts')).forget(id, options, process.env)));

onProject(program, 'recover', 'bring in what Heron failed to deliver and gave up; needs HERON_API_KEY')
  .option('--since <time>', 'only attempts from then on (RFC 3339); else those since the last run', instant)
  .option('--dry-run', 'change nothing: tell what would be brought in', false)
  .action(async (options) => finish((await import('./recover.ts')).recover(options, process.env)));

const webhooks = program.command('webhooks').description('what Heron sends where; needs HERON_API_KEY');
command(webhooks, 'list', 'each topic that is registered with Heron, and its address').action(async (options) =>
  finish((await import('./webhooks.ts')).list(options, process.env)),
);
command(webhooks, 'register', 'have Heron send topics to an address: shows what would change, and asks')
  .requiredOption('--url <url>', 'the address of ingest', httpUrl)
  .option('--topics <topic...>', 'these topics')
  .option('--all', 'all that Heron sends, but those that it asks not to subscribe to', false)
  .option('--delete-others', 'also delete what leads to the address and is not among them', false)
  .option('--dry-run', 'only show what would change', false)
  .option('--yes', 'do not ask', false)
  .action(async (options) => finish((await import('./webhooks.ts')).register(options, process.env)));

onProject(program, 'tail', 'print events as they flow, until Ctrl-C')
  .option('--topic <pattern...>', 'only of these topics, such as end_user.*')
  .option('--end-user <id>', 'only of this one: a heron_id or your own id')
  .action(async (options) => finish((await import('./tail.ts')).tail(options, process.env)));

onProject(program, 'listen', 'forward events of a project to a service on this machine, until Ctrl-C')
  .requiredOption('--to <url>', 'where the service is', httpUrl)
  .requiredOption('--name <name>', 'whose subscriptions they are: yours')
  .option('--topic <pattern...>', 'only of these topics, such as end_user.*')
  .addHelpText(
    'after',
    `
By subscriptions of your own, listen_NAME.TOPIC: they take events from the first start on, and nobody else's go away.
What comes while this is closed waits, for 7 days; 8 days after it was last open they are deleted by themselves.
Each event is pushed as in production, unwrapped: the body, and ce-* headers. A 2xx acknowledges it; what is refused or
not answered within 60 s comes again, without end, as there are no dead letters; what a handler of the kit discards is
logged by it and done with. While nothing listens there, all waits.

  heron listen --project my-project --to http://localhost:3000/ --topic 'end_user.*' --name jane`,
  )
  .action(async (options) => finish((await import('./listen.ts')).listen(options, process.env)));

onProject(program, 'replay', 'send events of the log again, to one subscriber alone and marked as a replay')
  .requiredOption('--to <name>', 'the subscriber')
  .option('--topic <pattern...>', 'only of these topics, such as end_user.*; else those that it subscribes to')
  .option('--from <time>', 'only what Heron created from then on (RFC 3339)', instant)
  .option('--until <time>', 'and before then', instant)
  .option('--end-user <heron_id>', 'only of this one')
  .option('--rate <n>', 'so many a second', positive, 100)
  .option('--dry-run', 'send nothing: count them', false)
  .option('--restart', 'from the beginning, also where one was cut off', false)
  .addHelpText(
    'after',
    `
Published to replay.NAME, which nobody else has, each with ce-replayid. The subscriber's filter is not applied. How far
it has come is kept in Firestore (upkeep/replay-…): killed, the same command goes on from there on any machine, and some
may come twice; run twice at once, one sends, and the other waits for it, or goes on where it dies.`,
  )
  .action(async (options) => finish((await import('./replay.ts')).replay(options, process.env)));

onProject(program, 'schema', "learn what a topic's webhooks look like from the log: their shape, and no value")
  .argument('<topic>', 'such as pdf.processed')
  .option('--types', 'print TypeScript; else JSON Schema', false)
  .option(
    '--check <file>',
    'hold the events against this JSON Schema instead (- is standard input); exits 1 where one does not fit',
  )
  .option('--since <time>', 'only what was recorded from then on (RFC 3339)', instant)
  .option('--limit <n>', 'only the newest', positive)
  .addHelpText(
    'after',
    `
Goes through all events of the topic, one read each, newest first. Objects of the schema take no member that was not
seen. Keys that may be values (ids, dates, people's names) are not told: the schema has additionalProperties there.

  heron schema pdf.processed > pdf.processed.json
  heron schema pdf.processed --check pdf.processed.json --since 2026-08-01T00:00:00Z`,
  )
  .action(async (topic: string, options) => finish((await import('./schema.ts')).schema(topic, options, process.env)));

command(program, 'completions', 'a script that completes commands and options: heron completions bash > …')
  .argument('<shell>', 'bash, zsh or fish')
  .action(async (shell: string) => finish((await import('./completions.ts')).completions(program, shell)));

// Google's clients throw some errors past whoever called them.
process.on('unhandledRejection', (error) => end(fail(error)));
process.on('uncaughtException', (error) => end(fail(error)));

try {
  // What a shell asks while somebody types.
  if (process.argv[2] === 'complete') await finish((await import('./completions.ts')).complete(program));
  else await program.parseAsync();
} catch (error) {
  end(fail(error));
}

async function finish(running: Promise<number>): Promise<void> {
  end(await running);
}

/** Ends what still holds the process: a connection that does not answer may not do so. */
function end(exitCode: number): void {
  process.exitCode = exitCode;
  process.stdout.write('', () => process.exit());
}

/** Says why, once, to people or to programs. Returns the exit code. */
function fail(error: unknown): number {
  if (error instanceof CommanderError && error.exitCode === 0) return 0; // help or version
  if (error instanceof CommanderError) {
    // Commander has told people what is wrong.
    if (asJson) printJson({ error: { code: 'misused', message: error.message.replace(/^error: /, '') } });
    return 2;
  }
  const failure = failureOf(error);
  if (asJson) printJson({ error: { code: failure.code, message: failure.message } });
  else complain(`${styled('red', 'heron:', process.stderr)} ${inLine(failure.message)}`);
  if (failure.code === 'unexpected') complain(String((failure.cause as Error)?.stack ?? failure.cause));
  return exitCodeOf(failure);
}
