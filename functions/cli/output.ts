import { styleText } from 'node:util';
import { MultiBar } from 'cli-progress';

type Style = Parameters<typeof styleText>[0];

/** Who waits sees something at least so often. */
const SILENCE_MS = 5_000;

let quiet = false;
let lastSign = performance.now();

/** From now on nothing but answers and failures is printed. */
export function beQuiet(): void {
  quiet = true;
}

export function isQuiet(): boolean {
  return quiet;
}

const gone = new AbortController();
/** Aborted when nobody reads the answer any more, such as behind `| head`: who only prints may end. */
export const readerGone: AbortSignal = gone.signal;
// What is being done is done to its end, whether anybody reads of it or not.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    if (stream === process.stdout) gone.abort();
  });

/** The answer of a command, on standard output. */
export function print(text: string): void {
  progress('');
  process.stdout.write(`${text}\n`);
}

/** An answer for programs: one line of JSON, that a terminal can show without being steered by it. */
export function printJson(value: unknown): void {
  print(harmless(JSON.stringify(value)));
}

/** JSON that says the same without a character that could steer a terminal. */
export function harmless(json: string): string {
  const escaped = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return json.replaceAll(/\p{C}/gu, (c) => c.split('').map(escaped).join(''));
}

/** What goes on meanwhile, on standard error, so that the answer can be piped. */
export function note(text: string): void {
  if (!quiet) complain(text);
}

/** What has to be said even when quiet, on standard error. */
export function complain(text: string): void {
  progress('');
  process.stderr.write(`${text}\n`);
}

/** What comes from outside must not steer the terminal, nor look like other text than it is. */
export function visible(text: string): string {
  return text.replaceAll(/[^\P{C}\n\t]/gu, (c) => `\\u{${c.codePointAt(0)?.toString(16)}}`);
}

/** The same in one line, whatever it is. */
export function inLine(value: unknown): string {
  return value === null || value === undefined ? '–' : visible(String(value).replaceAll(/[\n\t\r]+/g, ' '));
}

/** Styled where the stream is a terminal that shows it, and NO_COLOR is not set. */
export function styled(style: Style, text: string, stream: NodeJS.WriteStream = process.stdout): string {
  return styleText(style, text, { stream });
}

/** One line that is overwritten, on a terminal only. */
export function progress(text: string): void {
  lastSign = performance.now();
  if (process.stderr.isTTY && !quiet) process.stderr.write(`\r\u001b[K${text.slice(0, process.stderr.columns - 1)}`);
}

/** Says every few seconds that it still waits, as long as nothing else is said. Returns what ends it. */
export function sayWaiting(what: string): () => void {
  lastSign = performance.now();
  const timer = setInterval(() => {
    if (performance.now() - lastSign >= SILENCE_MS) note(`Still waiting for ${what} …`);
  }, 500);
  return () => clearInterval(timer);
}

export type Bar = { readonly tick: (count?: number) => void; readonly stop: () => void };

/** Whether anybody sees a {@link progressBar}: else nothing need be counted for it. */
export function showsProgress(): boolean {
  return process.stderr.isTTY && !quiet;
}

/** How many are done, the rate and the time left, on a terminal only. Lines that are printed meanwhile stand above it. */
export function progressBar(total: number, what: string): Bar {
  if (quiet) return { tick: () => {}, stop: () => {} };
  const started = performance.now();
  const bars = new MultiBar({
    format: `{bar} {percentage}%  {done} of {all} ${what}  {rate}/s  {eta_formatted} left`,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    barsize: 20,
    clearOnComplete: true,
    forceRedraw: true, // printed lines have overwritten it
    linewrap: true, // or a killed process leaves the terminal without
  });
  const bar = bars.create(total, 0, { done: 0, all: total.toLocaleString('en'), rate: 0 });
  let done = 0;
  return {
    tick: (count = 1) => {
      lastSign = performance.now();
      done += count;
      const rate = (done / ((performance.now() - started) / 1000)).toFixed(0);
      bar.setTotal(Math.max(total, done));
      const all = Math.max(total, done).toLocaleString('en');
      bar.update(done, { done: done.toLocaleString('en'), all, rate });
    },
    stop: () => bars.stop(),
  };
}

export function counted(count: number, what: string): string {
  return `${count.toLocaleString('en')} ${what}${count === 1 ? '' : 's'}`;
}

/** As JSON, which steers no terminal once its last control characters are gone, and not too long. */
export function shown(value: unknown): string {
  if (value === undefined) return '–';
  const text = JSON.stringify(value).replaceAll(/[^\P{C}]/gu, '\ufffd');
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
