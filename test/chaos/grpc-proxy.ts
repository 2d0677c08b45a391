import { once } from 'node:events';
import {
  type ClientHttp2Session,
  connect,
  constants,
  createServer,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';

export type GrpcProxy = {
  /** `host:port` to use instead of the target. */
  readonly host: string;
  /** Each answer takes so much longer; the connection's own pings are answered at once: slow is not silent. */
  slow(milliseconds: number): void;
  /** Every call is refused as one too many, at once. */
  exhaust(): void;
  restore(): void;
  close(): Promise<void>;
};

/** gRPC's RESOURCE_EXHAUSTED, as an answer of trailers only. */
const EXHAUSTED = {
  ':status': 200,
  'content-type': 'application/grpc',
  'grpc-status': '8',
  'grpc-message': 'Quota exceeded (chaos)',
};

/** A proxy for gRPC in front of an emulator, that fails as a service does. @param target `host:port` */
export async function grpcProxyTo(target: string): Promise<GrpcProxy> {
  const ways = new Map<Http2Session, ClientHttp2Session>();
  let lag = 0;
  let exhausted = false;

  const wayOf = (session: Http2Session): ClientHttp2Session => {
    const known = ways.get(session);
    if (known !== undefined && !known.closed && !known.destroyed) return known;
    const way = connect(`http://${target}`);
    way.on('error', () => session.destroy());
    ways.set(session, way);
    return way;
  };

  const forward = (near: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    near.on('error', () => {});
    if (exhausted || near.session === undefined) {
      near.resume();
      near.respond(EXHAUSTED, { endStream: true });
      return;
    }
    const far = wayOf(near.session).request(headers);
    let trailers: IncomingHttpHeaders = {};
    const answer = (head: IncomingHttpHeaders, flags: number) => {
      if (near.destroyed || near.closed) return;
      if (flags & constants.NGHTTP2_FLAG_END_STREAM) near.respond(head, { endStream: true });
      else {
        near.respond(head, { waitForTrailers: true });
        near.on('wantTrailers', () => near.sendTrailers(trailers));
        far.pipe(near);
      }
    };
    far.on('response', (head, flags) => {
      if (lag === 0) answer(head, flags);
      else setTimeout(answer, lag, head, flags);
    });
    far.on('trailers', (given) => {
      trailers = given;
    });
    far.on('error', () => near.close(constants.NGHTTP2_INTERNAL_ERROR));
    near.on('close', () => far.close(constants.NGHTTP2_CANCEL));
    near.pipe(far);
  };

  const server = createServer();
  server.on('stream', forward);
  server.on('session', (session) => {
    session.on('error', () => {});
    session.on('close', () => {
      ways.get(session)?.destroy();
      ways.delete(session);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    slow: (milliseconds) => {
      lag = milliseconds;
    },
    exhaust: () => {
      exhausted = true;
    },
    restore: () => {
      lag = 0;
      exhausted = false;
    },
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const session of [...ways.keys()]) session.destroy();
      await closed;
    },
  };
}
