import { untilAborted } from "../src/abort.js";
import { Calls } from "../src/calls.js";
import { Observer } from "../src/chain/observer.js";
import { AllProvidersFailedError, ConnectionError, TimeoutError } from "../src/errors.js";
import { ModelLists } from "../src/model-lists.js";
import type { QueryContext } from "../src/providers/provider.js";
import type { ModelInfo } from "../src/types.js";
import { failureOf, type Legs, legsOf } from "./helpers/chain-calls.js";
import { type ScriptedOptions, ScriptedProvider } from "./helpers/scripted-provider.js";

/** A provider with models, some of them in memory, that counts how often it was asked for them. */
class Library extends ScriptedProvider {
  listings = 0;
  failure: Error | "silence" | undefined;
  readonly inMemory = new Set<string>();
  readonly #ids: string[];

  constructor(ids: string[], options: ScriptedOptions = {}) {
    super([], options);
    this.#ids = ids;
  }

  override async listModels({ signal }: QueryContext): Promise<ModelInfo[]> {
    this.listings += 1;
    if (this.failure === "silence") await untilAborted(new Promise(() => {}), signal);
    if (this.failure instanceof Error) throw this.failure;
    return this.#ids.map((id) => ({ id, provider: this.name, object: "model", loaded: false }));
  }

  isLoaded({ id }: ModelInfo): boolean {
    return this.inMemory.has(id);
  }
}

const ollama = (...ids: string[]) => new Library(ids);
const lmStudio = (...ids: string[]) => new Library(ids, { name: "lmstudio" });
const refused = new ConnectionError("Ollama does not answer.", { hint: "Start it." });

function listsOf(legs: Legs, calls = new Calls()) {
  const lines: string[] = [];
  const warn = (line: string) => void lines.push(line);
  const observer = new Observer({}, { debug() {}, info() {}, warn, error() {} });
  const lists = new ModelLists(legsOf(legs), calls, 60, observer);
  const ids = async (options = {}) => (await lists.get(options)).map(({ id }) => id);
  return { lists, ids, lines };
}

test("the models of all providers are listed, in their order", async () => {
  const { lists } = listsOf([ollama("a", "b"), lmStudio("c")]);
  expect(await lists.get({})).toMatchObject([
    { id: "a", provider: "ollama" },
    { id: "b", provider: "ollama" },
    { id: "c", provider: "lmstudio" },
  ]);
});

test("a server that is in the chain twice is asked once", async () => {
  const server = ollama("a");
  const same = ollama("a");
  const other = new Library(["b"], { url: "http://elsewhere" });
  const { ids } = listsOf([server, same, other]);
  expect(await ids()).toEqual(["a", "b"]);
  expect([server.listings, same.listings]).toEqual([1, 0]);
});

test("lists are kept until they are unwanted or cleared", async () => {
  const server = ollama("a");
  const { lists, ids } = listsOf([server]);
  await Promise.all([ids(), ids()]);
  await ids();
  expect(server.listings).toBe(1);
  await ids({ useCache: false });
  lists.clear();
  await ids();
  expect(server.listings).toBe(3);
});

test("what was loaded since is marked all the same", async () => {
  const server = ollama("a", "b");
  const { lists } = listsOf([server]);
  expect((await lists.get({})).map(({ loaded }) => loaded)).toEqual([false, false]);
  server.inMemory.add("b");
  expect((await lists.get({})).map(({ loaded }) => loaded)).toEqual([false, true]);
  expect(server.listings).toBe(1);
});

test("a provider that fails is left out, and the logger is told", async () => {
  const down = ollama();
  down.failure = refused;
  const { ids, lines } = listsOf([down, lmStudio("c")]);
  expect(await ids()).toEqual(["c"]);
  expect(lines).toEqual(["Left out: Ollama does not answer."]);
});

test("a provider that does not answer in time is left out", async () => {
  const mute = ollama();
  mute.failure = "silence";
  const { ids, lines } = listsOf([[mute, { timeout: 0.02 }], lmStudio("c")]);
  expect(await ids()).toEqual(["c"]);
  expect(lines).toEqual(["Left out: Listing the models was not done within 0.02 s."]);
});

test("a provider that cannot work here is not asked, unless all are like it", async () => {
  const absent = new Library(["demo"], { name: "mlx", unavailable: "there is no GPU" });
  const { ids, lines } = listsOf([absent, ollama("a")]);
  expect(await ids()).toEqual(["a"]);
  expect(absent.listings).toBe(0);
  expect(lines).toEqual([]);
  expect(await listsOf([absent]).ids()).toEqual(["demo"]);
});

describe("where all fail", () => {
  test("a single failure is thrown itself", async () => {
    const down = ollama();
    down.failure = refused;
    expect(await failureOf(listsOf([down]).ids())).toBe(refused);
    const mute = ollama();
    mute.failure = "silence";
    const late = listsOf([[mute, { timeout: 0.02 }]]);
    expect(await failureOf(late.ids())).toBeInstanceOf(TimeoutError);
  });

  test("several are told together", async () => {
    const [first, second] = [ollama(), lmStudio()];
    first.failure = refused;
    second.failure = new ConnectionError("LM Studio does not answer.", { hint: "Start it." });
    const { ids, lines } = listsOf([first, second]);
    const failure = await failureOf(ids());
    expect(failure).toBeInstanceOf(AllProvidersFailedError);
    expect(failure).toMatchObject({
      message:
        "No provider could list its models. " +
        "Ollama does not answer. LM Studio does not answer.",
      hint: "Start it.",
      cause: second.failure,
    });
    expect(lines).toEqual([]);
  });

  test("what is no error of this package becomes one", async () => {
    const broken = ollama();
    broken.failure = new TypeError("bug");
    const failure = await failureOf(listsOf([broken]).ids());
    expect(failure).toMatchObject({
      message: "Listing the models failed: TypeError: bug",
      cause: broken.failure,
    });
  });
});

test("closing ends the listing", async () => {
  const mute = ollama();
  mute.failure = "silence";
  const calls = new Calls();
  const failing = failureOf(listsOf([mute], calls).ids());
  calls.close();
  expect(await failing).toMatchObject({ name: "AbortError", code: "closed" });
});
