import { request } from 'node:http';
import { networkInterfaces } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { forLocalHosts, serveLocally } from '../../functions/local/loopback.ts';

const OUTSIDE = Object.values(networkInterfaces())
  .flat()
  .find((each) => each !== undefined && !each.internal && each.family === 'IPv4')?.address;

let served: Awaited<ReturnType<typeof serveLocally>>;
beforeAll(async () => {
  served = await serveLocally(
    forLocalHosts(async (_, response) => void response.end('here')),
    () => {},
    0,
  );
});
afterAll(() => {
  for (const server of served.servers) server.close();
});

/** Resolves with the status, or the code of the error. */
function ask(address: string, host: string): Promise<number | string | undefined> {
  return new Promise((resolve) => {
    request({ host: address, port: served.port, headers: { Host: host } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', (error: NodeJS.ErrnoException) => resolve(error.code))
      .end();
  });
}

describe('what npm start serves', () => {
  it.each(['localhost', 'localhost:8081', '127.0.0.1:8081', '[::1]:8081', 'LOCALHOST', 'query.localhost'])(
    'answers who asks for it as %s',
    async (host) => {
      expect(await ask('127.0.0.1', host)).toBe(200);
    },
  );

  it.each(['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', '192.168.0.1', 'localhost@evil'])(
    'refuses who asks for it as %j',
    async (host) => {
      expect(await ask('127.0.0.1', host)).toBe(403);
    },
  );

  it.skipIf(OUTSIDE === undefined)('is not there for another machine', async () => {
    expect(await ask(OUTSIDE ?? '', 'localhost')).toBe('ECONNREFUSED');
  });
});
