import {
  DiagLogLevel,
  diag,
  SpanKind as OtelKind,
  type Span as OtelSpan,
  type Tracer as OtelTracer,
  ROOT_CONTEXT,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor, type SpanExporter } from '@opentelemetry/sdk-trace-base';
import { within } from '../deadline.ts';
import { contextOf, describe, type Log } from '../log.ts';
import type { Span, SpanFields, SpanKind, SpanOptions, Tracer } from './tracer.ts';

/** How long a process that ends waits for the collector: it has 10 s in all, and answers come first. */
const LAST_EXPORT_MS = 1_000;
/** A collector that is down is told of now and then, not for each batch. */
const TOLD_EVERY_MS = 60_000;

const KINDS: Readonly<Record<SpanKind, OtelKind>> = {
  server: OtelKind.SERVER,
  consumer: OtelKind.CONSUMER,
  producer: OtelKind.PRODUCER,
  client: OtelKind.CLIENT,
};

/**
 * Spans by OpenTelemetry, over OTLP/HTTP, as its own variables say (`OTEL_EXPORTER_OTLP_*`, `OTEL_TRACES_SAMPLER`,
 * `OTEL_BSP_*`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_SERVICE_NAME`). They wait in a queue of 2,048, beyond which they are
 * dropped, and go out in batches of up to 512, one at a time, by a timer or once there are so many: where a function has
 * no CPU between requests, that is while the next one is worked on, and the last ones go as the process ends.
 */
export class OpenTelemetryTracer implements Tracer {
  readonly #provider: BasicTracerProvider;
  readonly #tracer: OtelTracer;

  /** @param name of the service, unless OTEL_SERVICE_NAME says it. */
  constructor(name: string, log: Log) {
    const lost = tellingOfLoss(log);
    listen((message) => log('WARNING', `OpenTelemetry: ${message}`)); // of its variables, which it reads now
    const resource = defaultResource()
      .merge(resourceFromAttributes({ 'service.name': name }))
      .merge(detectResources({ detectors: [envDetector] }));
    this.#provider = new BasicTracerProvider({
      resource,
      spanProcessors: [new BatchSpanProcessor(toldOf(new OTLPTraceExporter(), lost))],
    });
    listen((message) => {
      if (/^Dropped \d+ spans /.test(message)) lost(message); // of failures the exporter tells
    });
    this.#tracer = this.#provider.getTracer('heron-webhooks');
  }

  begin(name: string, { kind, from, began }: SpanOptions): Span {
    const caller = contextOf(from);
    const parent =
      caller?.span === undefined
        ? ROOT_CONTEXT
        : trace.setSpanContext(ROOT_CONTEXT, {
            traceId: caller.id,
            spanId: caller.span,
            traceFlags: Number.parseInt(caller.flags, 16),
            isRemote: true,
          });
    const options = { kind: KINDS[kind], ...(began === undefined ? {} : { startTime: began }) };
    return this.#spanOf(this.#tracer.startSpan(name, options, parent));
  }

  async close(): Promise<void> {
    await within(LAST_EXPORT_MS, this.#provider.shutdown(), () => {}).catch(() => {}); // the exporter has told it
  }

  #spanOf(span: OtelSpan): Span {
    const { traceId, spanId, traceFlags } = span.spanContext();
    return {
      headers: { traceparent: `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}` },
      child: (name, kind) =>
        this.#spanOf(this.#tracer.startSpan(name, { kind: KINDS[kind] }, trace.setSpan(ROOT_CONTEXT, span))),
      end: (fields = {}) => {
        span.setAttributes(attributesOf(fields));
        if (fields.error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR });
        span.end();
      },
    };
  }
}

function attributesOf(fields: SpanFields): Record<string, string | number> {
  return Object.fromEntries(
    Object.entries(fields).flatMap(([name, value]) =>
      typeof value === 'string' || typeof value === 'number' ? [[`heron.${name}`, value]] : [],
    ),
  );
}

/** The same exporter, whose failures are told of. */
function toldOf(exporter: SpanExporter, lost: (why: string) => void): SpanExporter {
  return {
    export: (spans, done) =>
      exporter.export(spans, (result) => {
        if (result.error !== undefined) lost(describe(result.error));
        done(result);
      }),
    forceFlush: async () => exporter.forceFlush?.(),
    shutdown: () => exporter.shutdown(),
  };
}

function tellingOfLoss(log: Log): (why: string) => void {
  let toldAt = Number.NEGATIVE_INFINITY;
  return (why) => {
    if (performance.now() - toldAt < TOLD_EVERY_MS) return;
    toldAt = performance.now();
    log('WARNING', 'Spans could not be exported, and are lost. Webhooks are not: look at the collector.', {
      outcome: 'spans_lost',
      error: why,
    });
  };
}

/** Hears what OpenTelemetry says of itself, which else nobody does. */
function listen(hear: (message: string) => void): void {
  const nothing = () => {};
  const logger = { error: hear, warn: hear, info: nothing, debug: nothing, verbose: nothing };
  diag.setLogger(logger, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
}
