import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { html } from './html.js';

const HEIGHT = 200;

/** A canvas knows neither variables nor light-dark(): an element resolves them. @param {HTMLElement} place */
const coloursOf = (place) => (/** @type {string} */ name) => {
  place.style.color = `var(${name})`;
  const { color } = getComputedStyle(place);
  place.style.color = '';
  return color;
};

/** Counts as uPlot stacks them: each series on top of those before it. @param {readonly { by_hour: readonly number[] }[]} series */
function stacked(series) {
  /** @type {number[]} */
  let below = [];
  return series.map(({ by_hour }) => {
    below = by_hour.map((count, hour) => count + (below[hour] ?? 0));
    return below;
  });
}

/**
 * Webhooks by hour, a colour a topic. The same numbers stand in a table beside it, for those who cannot see it.
 * @param {{ hours: readonly string[], series: readonly { by_hour: readonly number[], colour: string }[] }} properties
 */
export function Plot({ hours, series }) {
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const dark = matchMedia('(prefers-color-scheme: dark)');
    /** @type {uPlot | undefined} */
    let plot;
    const draw = () => {
      plot?.destroy();
      const colour = coloursOf(element);
      const axis = {
        stroke: colour('--quiet'),
        font: '12px system-ui, sans-serif',
        grid: { stroke: colour('--line'), width: 1 },
        ticks: { show: false },
      };
      const stacks = stacked(series);
      const times = hours.map((time) => Date.parse(time) / 1_000);
      const bars = uPlot.paths.bars?.({ size: [0.8, 40], align: 1 });
      const [first = 0] = times;
      plot = new uPlot(
        {
          width: element.clientWidth,
          height: HEIGHT,
          cursor: { show: false },
          legend: { show: false },
          padding: [8, 28, 0, 0], // the last hour's name stands beyond its line
          scales: {
            x: { time: true, range: () => [first, first + times.length * 3_600] },
            y: { range: (_, _min, max) => [0, Math.max(4, max * 1.1)] },
          },
          axes: [
            { ...axis, size: 28, grid: { show: false }, space: 64, values: (_, marks) => marks.map(hour) },
            { ...axis, size: 44, space: 36, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1e5, 1e6] },
          ],
          series: [
            {},
            // The tallest first: the others are drawn over it.
            ...stacks.map((_, i) => ({
              fill: colour(`--${series[stacks.length - 1 - i]?.colour}`),
              width: 0,
              points: { show: false },
              ...(bars && { paths: bars }),
            })),
          ],
        },
        [times, ...stacks.toReversed()],
        element,
      );
    };
    const observer = new ResizeObserver(() => plot?.setSize({ width: element.clientWidth, height: HEIGHT }));
    draw();
    observer.observe(element);
    dark.addEventListener('change', draw);
    return () => {
      dark.removeEventListener('change', draw);
      observer.disconnect();
      plot?.destroy();
    };
  }, [hours, series]);
  return html`<div class="plot" aria-hidden="true" ref=${place}></div>`;
}

/** @param {number} seconds */
const hour = (seconds) => new Date(seconds * 1_000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
