import type { IncomingMessage } from 'node:http';
import { expect } from 'vitest';
import { answer } from '../../functions/http/answer.ts';
import { test } from '../ingest/served.ts';
import { send } from '../ingest/wire.ts';

test('a handler finds the path in originalUrl, whatever it is, and no content type', async ({ serve }) => {
  const port = await serve(async (request, response) => {
    const { originalUrl } = request as IncomingMessage & { originalUrl?: string };
    answer(response, 200, JSON.stringify([originalUrl, request.headers['content-type'] ?? null]));
  });
  for (const path of ['/a/%2F?b=c#d', '/%E0%A4%A', '/favicon.ico'])
    expect(JSON.parse((await send(port, '{', { 'Content-Type': 'application/json' }, { path })).body)).toEqual([
      path,
      null,
    ]);
});
