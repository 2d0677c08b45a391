import { cpus, totalmem } from 'node:os';
import { type Figure, isReached, median, ratios } from './figure.ts';

/** Three digits that count. */
function shown(value: number): string {
  if (!Number.isFinite(value)) return '–';
  return Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)));
}

/** `0.83 (0.8 to 0.88)`: the median, and between what it lay. */
function spread(values: readonly number[]): string {
  if (values.length === 0) return '–';
  const middle = shown(median(values));
  return values.length === 1 ? middle : `${middle} (${shown(Math.min(...values))} to ${shown(Math.max(...values))})`;
}

/** A line for a person at a terminal. */
export function line(figure: Figure): string {
  const { suite, name, unit, ours, floor, must } = figure;
  const own = `${shown(median(ours))} ${unit}`;
  if (floor.length === 0) return `${suite}: ${name}: ${own}`;
  const reached = isReached(figure);
  const goal =
    must === undefined
      ? ''
      : `  ${reached ? '✓' : '✗'} ${'most' in must ? `at most ${must.most}` : `at least ${must.least}`}`;
  return `${suite}: ${name}: × ${spread(ratios(figure))} of the floor (${own}, floor ${shown(median(floor))} ${unit})${goal}`;
}

/** The machine, in words. */
export function machine(): string {
  const [cpu] = cpus();
  return `${cpus().length} × ${cpu?.model.trim() ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform}, Node ${process.versions.node}`;
}

/** A table of a suite's figures, in Markdown. */
export function table(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => {
    const { name, unit, ours, floor, must } = figure;
    const goal = must === undefined ? '' : 'most' in must ? `≤ ${must.most}` : `≥ ${must.least}`;
    return `| ${name} | ${spread(ratios(figure))} | ${spread(ours)} ${unit} | ${floor.length === 0 ? '–' : `${spread(floor)} ${unit}`} | ${goal}${isReached(figure) === false ? ' **not reached**' : ''} |`;
  });
  return ['| figure | × the floor | ours | floor | goal |', '| --- | --- | --- | --- | --- |', ...rows].join('\n');
}

const LEFT = 330;
const WIDTH = 860;
const ROW = 22;

/** A plot of ratios: a bar for each figure, the floor as a line at 1, on a logarithmic scale from a tenth to ten. */
export function plot(title: string, figures: readonly Figure[]): string {
  const compared = figures.filter(({ floor }) => floor.length > 0);
  const height = 56 + compared.length * ROW;
  const x = (ratio: number) => LEFT + ((Math.log10(Math.min(10, Math.max(0.1, ratio))) + 1) / 2) * (WIDTH - LEFT - 60);
  const ticks = [0.1, 0.2, 0.5, 1, 2, 5, 10].map(
    (tick) =>
      `<line x1="${x(tick)}" y1="34" x2="${x(tick)}" y2="${height - 16}" stroke="${tick === 1 ? '#c2410c' : '#e5e7eb'}"/>` +
      `<text x="${x(tick)}" y="28" text-anchor="middle" fill="#6b7280">${tick}</text>`,
  );
  const bars = compared.map((figure, i) => {
    const y = 40 + i * ROW;
    const all = ratios(figure);
    const middle = median(all);
    const [from, to] = [x(Math.min(1, middle)), x(Math.max(1, middle))];
    const color = isReached(figure) === false ? '#b91c1c' : '#2563eb';
    return (
      `<text x="${LEFT - 8}" y="${y + 12}" text-anchor="end" fill="#111827">${escaped(figure.name)}</text>` +
      `<rect x="${from}" y="${y + 2}" width="${Math.max(1, to - from)}" height="12" fill="${color}"/>` +
      `<line x1="${x(Math.min(...all))}" y1="${y + 8}" x2="${x(Math.max(...all))}" y2="${y + 8}" stroke="#111827"/>` +
      `<text x="${WIDTH - 52}" y="${y + 12}" fill="#111827">× ${shown(middle)}</text>`
    );
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="${escaped(title)}">`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    `<text x="8" y="18" font-weight="600" fill="#111827">${escaped(title)}</text>`,
    ...ticks,
    ...bars,
    '</svg>',
    '',
  ].join('\n');
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
