import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import { describe, expect } from 'vitest';
import { type Body, readBody, readChunks } from '../../functions/http/body.ts';
import { test } from '../ingest/served.ts';

describe('a body', () => {
  /** A request whose body is sent by hand. */
  function incoming(headers: IncomingMessage['headers'] = {}) {
    return Object.assign(new PassThrough(), { headers }) as unknown as IncomingMessage & PassThrough;
  }

  test.for<[string, Buffer[]]>([
    ['nothing', []],
    ['a byte', [Buffer.from('x')]],
    ['many bytes one by one', Array.from({ length: 1_000 }, (_, n) => Buffer.from([n % 256]))],
    ['growing pieces', Array.from({ length: 17 }, (_, n) => Buffer.alloc(2 ** n, n))],
    ['all that is allowed', [Buffer.alloc(100_000, 1), Buffer.alloc(100_000, 2)]],
  ])('of %s is read as it is', async ([, chunks]) => {
    const request = incoming();
    const reading = readBody(request, 200_000, 1_000);
    for (const chunk of chunks) request.write(chunk);
    request.end();
    expect(await reading).toEqual({ kind: 'complete', bytes: Buffer.concat(chunks) });
  });

  test('of a byte more than is allowed is too large, announced or not', async () => {
    const announced = await readBody(incoming({ 'content-length': '11' }), 10, 1_000);
    expect(announced).toEqual({ kind: 'too_large', announced: 11, start: Buffer.alloc(0) });
    const request = incoming();
    const reading = readBody(request, 10, 1_000);
    request.write('1234567890');
    request.write('1');
    expect(await reading).toEqual({ kind: 'too_large', announced: null, start: Buffer.from('12345678901') });
    const rest: Buffer[] = [];
    const reader = readChunks(request, 10, 1_000, (chunk) => rest.push(chunk));
    request.end('234');
    expect([await reader, Buffer.concat(rest).toString()]).toEqual(['complete', '234']);
  });

  test('that does not end in time has timed out, and one whose client leaves is not complete', async () => {
    expect(await readBody(incoming(), 10, 20)).toEqual({ kind: 'timed_out' });
    for (const error of [undefined, new Error('reset')]) {
      const request = incoming();
      const reading: Promise<Body> = readBody(request, 10, 1_000);
      request.write('12345');
      request.destroy(error);
      expect(await reading).toEqual({ kind: 'client_left' });
    }
  });
});
