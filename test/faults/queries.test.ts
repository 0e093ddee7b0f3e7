import { LLMClient, LLMError } from "../../src/index.js";
import { FAULT_NAMES, type FaultName } from "../servers/faults.js";
import {
  ending,
  forEachOf,
  NO_SOURCES,
  watchForUnhandledRejections,
} from "../helpers/client-calls.js";
import { HELLO } from "./cells.js";
import { type Fake, KIND_NAMES, KINDS, type KindName } from "../servers/kinds.js";
import { PROMPT, unconnected } from "./run-cell.js";

jest.setTimeout(120_000);

watchForUnhandledRejections();

/** What else a client can be asked, all of it against one server. */
const questions: Record<string, (client: LLMClient) => Promise<unknown>> = {
  listModels: (client: LLMClient) => client.listModels({ useCache: false }),
  health: (client: LLMClient) => client.health(),
  loadModel: (client: LLMClient) => client.loadModel(),
  unloadModel: (client: LLMClient) => client.unloadModel(),
  embed: (client: LLMClient) => client.embed("river"),
  pullModel: async (client: LLMClient) => {
    for await (const _ of client.pullModel("new"));
  },
};

const SHORT = { timeout: 0.3, maxRetries: 1, retryDelay: 0.001, retryMaxDelay: 0.001 };
const PATIENT = { timeout: 20, maxRetries: 0 };

function newClient(kind: KindName, fake: Fake, limits: object): LLMClient {
  return new LLMClient({ ...KINDS[kind].leg(fake), ...limits }, NO_SOURCES);
}

/** Asks while the server fails, and generates when it is well again. */
async function ask(question: string, kind: KindName, name: FaultName): Promise<void> {
  const fake = await KINDS[kind].start();
  const client = newClient(kind, fake, SHORT);
  const patient = newClient(kind, fake, PATIENT);
  try {
    fake.fault(name, { on: "everything", ms: 20 });
    const answer = await ending("the question", questions[question]!(client).catch(checkTyped));
    if (question === "health") checkHealth(answer);
    await fake.clearFaults();
    expect(await ending("the call", patient.generate("hi"))).toHaveProperty("content", HELLO);
  } catch (error) {
    throw new Error(`${question} of ${KINDS[kind].title}: ${String(error)}`, { cause: error });
  } finally {
    await ending("closing", Promise.all([client.close(), patient.close()]), PROMPT);
    await ending("the end of the connections", unconnected(fake), PROMPT);
    await fake.close();
  }
}

function checkTyped(error: unknown): void {
  if (!LLMError.is(error)) throw error;
  expect(error.message).not.toBe("");
}

function checkHealth(answer: unknown): void {
  const { providers } = answer as Awaited<ReturnType<LLMClient["health"]>>;
  for (const { healthy, code, reason } of providers) {
    expect({ healthy, hasReason: Boolean(code && reason) }).toEqual({
      healthy,
      hasReason: !healthy,
    });
  }
}

// The errors of one server in particular are answers like those of any other here.
const general = FAULT_NAMES.filter((name) => !/^(ollama|lm-studio)-/.test(name));
test.each(general)("what is no chat ends with an answer or a typed error: %s", async (name) => {
  const asked = Object.keys(questions).flatMap((question) =>
    KIND_NAMES.map((kind) => ({ question, kind })),
  );
  await forEachOf(asked, ({ question, kind }) => ask(question, kind, name));
});
