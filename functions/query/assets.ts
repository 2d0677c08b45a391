import { hash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';

/** A file of the page, as it is sent. */
export type Asset = {
  readonly type: string;
  readonly bytes: Buffer;
  readonly gzipped: Buffer;
  readonly tag: string;
  readonly headers: Readonly<Record<string, string>>;
};

const JAVASCRIPT = 'text/javascript; charset=utf-8';
const CSS = 'text/css; charset=utf-8';

/** Nothing from elsewhere, nothing inline, and no text of a webhook can become markup. */
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

const resolve = createRequire(import.meta.url).resolve;
const PAGE = join(import.meta.dirname, 'page');
const own = (name: string) => readFileSync(join(PAGE, name), 'utf8');
const installed = (entry: string, file: string) => readFileSync(join(dirname(resolve(entry)), file), 'utf8');

/** The libraries as they are installed, by what the page's modules import; uPlot's minified file is no module. */
const LIBRARIES: Readonly<Record<string, { readonly as: string; readonly source: () => string }>> = {
  preact: { as: 'preact.js', source: () => installed('preact', 'preact.mjs') },
  'preact/hooks': { as: 'hooks.js', source: () => installed('preact/hooks', 'hooks.mjs') },
  htm: { as: 'htm.js', source: () => installed('htm', 'htm.mjs') },
  uplot: { as: 'uplot.js', source: () => `${installed('uplot', 'uPlot.iife.min.js')}\nexport default uPlot;` },
};

/** Browsers find no packages by name, and an import map would be an inline script. */
function linked(source: string): string {
  return source
    .replace(/(\bfrom\s*|\bimport\s*\(\s*)(['"])([\w/]+)\2/g, (whole, keyword, quote, name) =>
      Object.hasOwn(LIBRARIES, name) ? `${keyword}${quote}./${LIBRARIES[name]?.as}${quote}` : whole,
    )
    .replace(/\n\/\/# sourceMappingURL=.*\s*$/, '\n');
}

const FILES: Readonly<Record<string, () => Asset>> = {
  '/': () => made('text/html; charset=utf-8', own('index.html'), { 'Content-Security-Policy': PAGE_POLICY }),
  '/assets/style.css': () => made(CSS, own('style.css')),
  '/assets/uplot.css': () => made(CSS, installed('uplot', 'uPlot.min.css')),
  ...Object.fromEntries(
    readdirSync(PAGE)
      .filter((name) => name.endsWith('.js'))
      .map((name) => [`/assets/${name}`, () => made(JAVASCRIPT, linked(own(name)))]),
  ),
  ...Object.fromEntries(
    Object.values(LIBRARIES).map(({ as, source }) => [`/assets/${as}`, () => made(JAVASCRIPT, linked(source()))]),
  ),
};

const loaded = new Map<string, Asset>();

/** The file at a path, read when it is first asked for; undefined where there is none. */
export function asset(path: '/'): Asset;
export function asset(path: string): Asset | undefined;
export function asset(path: string): Asset | undefined {
  const known = loaded.get(path);
  if (known !== undefined || !Object.hasOwn(FILES, path)) return known;
  const made = FILES[path]?.();
  if (made !== undefined) loaded.set(path, made);
  return made;
}

function made(type: string, text: string, headers: Readonly<Record<string, string>> = {}): Asset {
  const bytes = Buffer.from(text);
  return { type, bytes, gzipped: gzipSync(bytes, { level: 9 }), tag: tagOf(bytes), headers };
}

/** An entity tag: the same for the same bytes. */
export function tagOf(bytes: Uint8Array | string): string {
  return hash('sha256', bytes, 'base64url').slice(0, 22);
}
