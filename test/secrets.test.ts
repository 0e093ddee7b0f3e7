import { inspect } from "node:util";
import { explainConfig, type LegConfig, LLMClient, type LLMConfig } from "../src/index.js";
import { call, MANNERS, NO_SOURCES } from "./helpers/client-calls.js";
import type { FaultName, FaultSettings } from "./servers/faults.js";
import { type Fake, KIND_NAMES, KINDS } from "./servers/kinds.js";

jest.setTimeout(120_000);

const KEY = "Zq7plain.key_31-aa";
const PASSWORD = "Zq7pass~word_31";
const BASIC = Buffer.from(`somebody:${PASSWORD}`).toString("base64");

/** Ways to say who one is, and what of it must not be seen. */
const proofs = [
  { secret: KEY, identify: (leg: LegConfig) => ({ ...leg, apiKey: KEY }) },
  ...[PASSWORD, BASIC].map((secret) => ({
    secret,
    identify: (leg: LegConfig) => ({
      ...leg,
      baseUrl: leg.baseUrl!.replace("//", `//somebody:${PASSWORD}@`),
    }),
  })),
];

/** What a server may answer, also where it repeats a secret. */
const answers = (secret: string): [FaultName, FaultSettings][] => {
  const message = `no: ${secret} is wrong`;
  return [
    ["connection-refused", {}],
    ["reset", { at: "connect" }],
    ["lm-studio-malformed-token", {}],
    ["redirect", {}],
    ["status", { status: 307, headers: { Location: `http://there/${secret}?key=${secret}` } }],
    ["status", { status: 307, headers: { Location: `http://me:${secret}@there/` } }],
    ["status", { status: 400, body: message }],
    ["server-error", { message }],
    ["unauthorized", { message }],
    ["bad-request", { message }],
    ["rate-limited", { message }],
    ["error-with-200", { message }],
    ["error-text-with-200", { message }],
    ["error-event", { at: "first-content", message }],
    ["error-event", { at: "mid-stream", message }],
    ["garbage", { at: "mid-stream" }],
  ];
};

/** Everything that a client shows, in one text. */
async function showAll(config: LLMConfig): Promise<string> {
  const shown: unknown[] = [];
  const note = (value: unknown) => shown.push(value);
  const logger = { debug: note, info: note, warn: note, error: note };
  const hooks = { onAttempt: note, onRetry: note, onFallback: note, onFinish: note };
  const full = { ...config, ...hooks, logger };
  const client = new LLMClient(full, NO_SOURCES);
  for (const manner of MANNERS) note(await call(client, manner, { messages: "hi" }));
  note(await client.health());
  const questions = [() => client.listModels(), () => client.loadModel(), () => client.embed("a")];
  for (const ask of questions) note(await ask().catch((error: unknown) => error));
  note(client);
  note(explainConfig(full, NO_SOURCES));
  await client.close();
  return shown.map((value) => inspect(value, { depth: 20 }) + JSON.stringify(value)).join("\n");
}

describe.each(KIND_NAMES)("with %s", (kind) => {
  let fake: Fake;
  beforeAll(async () => {
    fake = await KINDS[kind].start();
  });
  afterEach(() => fake.clearFaults());
  afterAll(() => fake.close());

  const cases = proofs.flatMap(({ secret, identify }) =>
    answers(secret).map(([name, settings]) => ({ secret, identify, name, settings })),
  );
  test.each(cases)("$secret is not shown after $name $settings", async (row) => {
    const { secret, identify, name, settings } = row;
    const patience = { maxRetries: 1, retryDelay: 0.001, timeout: 20 };
    const config = identify({ ...KINDS[kind].leg(fake), ...patience });
    fake.fault(name, { ...settings, on: "everything" });
    const text = await showAll({ ...config, fallbackConfigs: [{ ...config, model: "other" }] });
    expect(text).toContain(fake.url);
    expect(text.match(new RegExp(`.{0,80}${secret}.{0,80}`, "g"))).toBeNull();
  });
});
