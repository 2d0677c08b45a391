import { type Env, exportsSpans } from '../config.ts';
import type { Log } from '../log.ts';
import { NO_TRACER, type Tracer } from './tracer.ts';

/**
 * The tracer of a function: OpenTelemetry's where its own variables say where spans go, and only then is it loaded.
 * @throws ConfigError
 */
export async function tracerOf(name: string, env: Env, log: Log): Promise<Tracer> {
  if (!exportsSpans(env)) return NO_TRACER;
  const { OpenTelemetryTracer } = await import('./open-telemetry.ts');
  return new OpenTelemetryTracer(name, log);
}
