// Prints the spans of a call (`npm install @opentelemetry/sdk-trace-base`); a real program sends them on:
//   node examples/opentelemetry.mjs "What is 7 + 5?"
import { BasicTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { LLMClient } from "mlx-llm-client";
import { openTelemetry } from "mlx-llm-client/otel";

const printer = {
  export(spans, done) {
    for (const { name, duration, attributes } of spans) {
      const [seconds, nanoseconds] = duration;
      console.error(`${name}: ${Math.round(seconds * 1e3 + nanoseconds / 1e6)} ms`, attributes);
    }
    done({ code: 0 });
  },
  shutdown: async () => {},
};
const tracerProvider = new BasicTracerProvider({
  spanProcessors: [new SimpleSpanProcessor(printer)],
});

const client = new LLMClient({ model: "demo", ...openTelemetry({ tracerProvider }) });
const { content } = await client.generate(process.argv.slice(2).join(" ") || "What is 7 + 5?");
console.log(content);
await client.close();
await tracerProvider.shutdown();
