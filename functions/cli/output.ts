import { styleText } from 'node:util';
import { MultiBar } from 'cli-progress';

type Style = Parameters<typeof styleText>[0];

/** The answer of a command, on standard output. */
export function print(text: string): void {
  progress('');
  process.stdout.write(`${text}\n`);
}

/** What goes on meanwhile, on standard error, so that the answer can be piped. */
export function note(text: string): void {
  progress('');
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

export type Bar = { readonly tick: () => void; readonly stop: () => void };

/** How many are done, the rate and the time left, on a terminal only. Lines that are printed meanwhile stand above it. */
export function progressBar(total: number, what: string): Bar {
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
    tick: () => {
      done++;
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
