import {
  type Attributes,
  type Context,
  context,
  type MeterProvider,
  metrics,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  type TracerProvider,
  trace,
} from "@opentelemetry/api";
import type {
  AttemptInfo,
  FallbackInfo,
  FinishInfo,
  Hooks,
  LLMResponse,
  RetryInfo,
  StartInfo,
} from "../index.js";
import { OPERATION, requestAttributes, responseAttributes } from "./attributes.js";
import { inputContent, outputContent } from "./content.js";
import { Metrics } from "./metrics.js";

/** Where spans and metrics go, and what they tell. */
export interface OpenTelemetryOptions {
  /** The global one unless told. */
  tracerProvider?: TracerProvider;
  /** The global one unless told. */
  meterProvider?: MeterProvider;
  /** True: spans have the messages of requests and replies, too. */
  captureContent?: boolean;
}

/** A call that is under way. */
interface Call {
  span: Span;
  /** In which the spans of its attempts stand. */
  context: Context;
  startedAt: number;
  model: string | undefined;
  streams: boolean;
}

const SCOPE = "mlx-llm-client";

/**
 * Hooks that tell OpenTelemetry of the calls of a client, by the conventions for generative AI.
 * @example const client = new LLMClient({ model: "demo", ...openTelemetry() });
 */
export function openTelemetry(options: OpenTelemetryOptions = {}): Required<Hooks> {
  const told = new Telemetry(options);
  return {
    onStart: (info) => told.start(info),
    onAttempt: (info) => told.attempt(info),
    onRetry: (info) => told.retry(info),
    onFallback: (info) => told.fallback(info),
    onFinish: (info) => told.finish(info),
  };
}

class Telemetry {
  readonly #tracer: Tracer;
  readonly #metrics: Metrics;
  readonly #captureContent: boolean;
  readonly #calls = new Map<string, Call>();

  constructor({ tracerProvider, meterProvider, captureContent = false }: OpenTelemetryOptions) {
    this.#tracer = (tracerProvider ?? trace).getTracer(SCOPE);
    this.#metrics = new Metrics(meterProvider ?? metrics, SCOPE);
    this.#captureContent = captureContent;
  }

  start(info: StartInfo): void {
    const { model } = info.request;
    const outer = context.active();
    const attributes = requestAttributes(info);
    if (this.#captureContent) Object.assign(attributes, inputContent(info));
    const span = this.#tracer.startSpan(
      nameOf(model),
      { kind: SpanKind.CLIENT, attributes },
      outer,
    );
    const inner = trace.setSpan(outer, span);
    const startedAt = performance.now();
    const { requestId, streams } = info;
    this.#calls.set(requestId, { span, context: inner, startedAt, model, streams });
  }

  attempt({ requestId, attempt }: AttemptInfo): void {
    const call = this.#calls.get(requestId);
    if (!call) return;
    const { provider, model, leg, phase, status, code, durationMs, skippedBecause } = attempt;
    const attributes = {
      "gen_ai.provider.name": provider,
      "gen_ai.request.model": model,
      "mlx_llm_client.leg": leg,
    };
    // The model of the configuration, for a request that names none.
    call.model ??= model;
    if (skippedBecause !== undefined) {
      const reason = { "mlx_llm_client.reason": skippedBecause };
      call.span.addEvent("mlx_llm_client.skipped", { ...attributes, ...reason });
      return;
    }
    const endTime = Date.now();
    const progress = { "mlx_llm_client.phase": phase, "http.response.status_code": status };
    const span = this.#tracer.startSpan(
      `attempt ${provider}`,
      { startTime: endTime - durationMs, attributes: { ...attributes, ...progress } },
      call.context,
    );
    if (code !== undefined) fail(span, code);
    span.end(endTime);
  }

  retry({ requestId, delay, error }: RetryInfo): void {
    const attributes = { "mlx_llm_client.delay": delay, "error.type": error.code };
    this.#calls.get(requestId)?.span.addEvent("mlx_llm_client.retry", attributes);
  }

  fallback({ requestId, from, to, error }: FallbackInfo): void {
    const way = { "mlx_llm_client.from": from.provider, "mlx_llm_client.to": to.provider };
    const attributes = { ...way, "error.type": error.code };
    this.#calls.get(requestId)?.span.addEvent("mlx_llm_client.fallback", attributes);
  }

  finish({ requestId, response, error }: FinishInfo): void {
    const call = this.#calls.get(requestId);
    // A request that was refused as wrong never began.
    if (!call) return;
    this.#calls.delete(requestId);
    const { span, model } = call;
    const common = {
      ...OPERATION,
      "gen_ai.provider.name": response?.provider ?? error?.provider,
      "gen_ai.request.model": model,
      "gen_ai.response.model": response?.model,
    };
    span.updateName(nameOf(model)).setAttributes(common);
    if (response) this.#answered(call, response, common);
    if (error) fail(span, error.code, error.message);
    const failure = error ? { "error.type": error.code } : {};
    const seconds = (performance.now() - call.startedAt) / 1000;
    this.#metrics.duration(seconds, { ...common, ...failure });
    span.end();
  }

  #answered({ span, streams }: Call, response: LLMResponse, common: Attributes): void {
    span.setAttributes(responseAttributes(response, streams));
    if (this.#captureContent) span.setAttributes(outputContent(response));
    this.#metrics.usage(response.usage, common);
    const { firstTokenMs } = response.timings;
    if (streams && firstTokenMs !== undefined) {
      this.#metrics.firstChunk(firstTokenMs / 1000, common);
    }
  }
}

function nameOf(model: string | undefined): string {
  return model === undefined ? "chat" : `chat ${model}`;
}

function fail(span: Span, code: string, message = code): void {
  span.setAttribute("error.type", code);
  span.setStatus({ code: SpanStatusCode.ERROR, message });
}
