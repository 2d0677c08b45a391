import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';

/** A span as it came over the wire. */
type Received = {
  readonly service: string;
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly kind: number;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly failed: boolean;
};

type Attribute = { readonly key: string; readonly value: Readonly<Record<string, unknown>> };
type Export = {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] };
    readonly scopeSpans: readonly { readonly spans: readonly (Omit<Received, 'attributes'> & Sent)[] }[];
  }[];
};
type Sent = { readonly attributes: readonly Attribute[]; readonly status?: { readonly code?: number } };

/**
 * A collector that takes OTLP over HTTP in JSON: how it answers is up to the test.
 * Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp
 */
export async function startCollector(afterTest: (callback: () => void) => void, answers: 'takes' | 'hangs' = 'takes') {
  const spans: Received[] = [];
  let asked = 0;
  const server = createServer(async (request, response) => {
    asked += 1;
    if (answers === 'hangs') return;
    if (request.url !== '/v1/traces') throw new Error(`Spans do not go to ${request.url}.`);
    const { resourceSpans } = (await json(request)) as Export;
    for (const { resource, scopeSpans } of resourceSpans)
      for (const span of scopeSpans.flatMap((scope) => scope.spans))
        spans.push({
          ...span,
          service: String(valuesOf(resource.attributes)['service.name']),
          attributes: valuesOf(span.attributes),
          failed: span.status?.code === 2,
        });
    response.setHeader('Content-Type', 'application/json').end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterTest(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, spans, asked: () => asked };
}

function valuesOf(attributes: readonly Attribute[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
}
