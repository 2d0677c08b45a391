import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import type { Publisher } from '../bus/bus.ts';
import type { Topology } from '../bus/topology.ts';
import { within } from '../deadline.ts';

/** Latin-1 for "Zoë": not UTF-8. */
const BYTES = Buffer.from([0x5a, 0x6f, 0xeb]);
const PUBLISH_MS = 10_000;
/** The first push of an emulator that has just started takes seconds. */
const PUSH_MS = 30_000;

/**
 * Whether bytes that are not UTF-8 come through an unwrapped push as they were published: those of the emulator 0.8.20
 * do not, and Google's own do.
 * @returns null where nothing came.
 */
export async function keepsBytes(
  publisher: Publisher,
  provision: (topology: Topology) => Promise<void>,
): Promise<boolean | null> {
  const name = `unwrapped-probe.${randomUUID()}`;
  const { promise: came, resolve: come } = Promise.withResolvers<Buffer>();
  const server = createServer(async (request, response) => {
    come(await buffer(request));
    response.writeHead(204).end();
  });
  try {
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const push = { endpoint, deadLetterTopic: name, unwrapped: true } as const;
    await provision({ topics: [name], subscriptions: [{ name, topic: name, push }] });
    await publisher.publish(name, { data: BYTES, attributes: {} }, PUBLISH_MS);
    const bytes = await within<Buffer | null>(PUSH_MS, came, () => null);
    return bytes === null ? null : bytes.equals(BYTES);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

/** What to tell who subscribes unwrapped, as all services beside the projector do. */
export function bytesNote(names: readonly string[]): string {
  return `This Pub/Sub emulator changes a body that is not UTF-8 before it pushes it to ${names.join(', ')}, so that its ce-id does not fit it: the kit answers 400. Google Cloud pushes it as it came.`;
}
