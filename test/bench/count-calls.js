/**
 * Preloaded into a function's process (`node --import`): counts what Google would bill, by the gRPC calls that go out
 * and the lines that are logged, and writes the sums to the file that BENCH_COUNTS names whenever SIGUSR2 comes.
 */
import { writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import { syncBuiltinESMExports } from 'node:module';

/** By method: calls, bytes of requests, and items: messages published, documents read, documents written. */
const calls = {};
let logged = 0;

const { connect } = http2;
http2.connect = (...connectArguments) => {
  const session = connect(...connectArguments);
  const { request } = session;
  session.request = (headers, ...rest) => {
    const stream = request.call(session, headers, ...rest);
    const path = Array.isArray(headers) ? headers[headers.indexOf(':path') + 1] : headers[':path'];
    const method = String(path).split('/').at(-1);
    calls[method] ??= { calls: 0, bytes: 0, items: 0 };
    const sum = calls[method];
    sum.calls++;
    for (const name of ['write', 'end']) {
      const original = stream[name];
      stream[name] = (chunk, ...others) => {
        if (chunk instanceof Uint8Array) {
          sum.bytes += chunk.length;
          sum.items += items(chunk.subarray(5)); // behind gRPC's own five bytes
        }
        return original.call(stream, chunk, ...others);
      };
    }
    return stream;
  };
  return session;
};
syncBuiltinESMExports();

/**
 * How often a protobuf message has field 2: the messages of a PublishRequest, the documents of a
 * BatchGetDocumentsRequest, the writes of a CommitRequest.
 */
function items(bytes) {
  let found = 0;
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * factor;
      if (byte < 128 || at >= bytes.length) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    if (tag >> 3 === 2) found++;
    switch (tag & 7) {
      case 0:
        varint();
        break;
      case 1:
        at += 8;
        break;
      case 2: {
        const length = varint(); // which moves `at` itself
        at += length;
        break;
      }
      default:
        at += 4;
    }
  }
  return found;
}

const write = process.stdout.write.bind(process.stdout);
process.stdout.write = (chunk, ...rest) => {
  logged += Buffer.byteLength(chunk);
  return write(chunk, ...rest);
};

process.on('SIGUSR2', () => writeFileSync(process.env.BENCH_COUNTS, JSON.stringify({ calls, logged })));
