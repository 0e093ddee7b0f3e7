import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ollama, whyMissing } from "./places.mjs";
import { closedPort } from "./ports.js";
import { type ServerProcess, startServerProcess } from "./server-process.js";
import { TEMPLATES, writeScriptedModel } from "./scripted-model.js";

/** A genuine Ollama with the scripted model, under three names. */
export interface GenuineOllama {
  url: string;
  /** Neither calls tools nor thinks. */
  model: string;
  /** Calls a tool where it is given some. */
  toolModel: string;
  /** Thinks unless told not to. */
  thinkingModel: string;
  /** The folder of the models' files. */
  modelsFolder: string;
  process: ServerProcess;
  stop(): Promise<void>;
}

/** Describes what is true of a genuine Ollama; where there is none, a skipped test says why. */
export function describeOllama(name: string, body: () => void): void {
  const reason = whyMissing(ollama);
  if (!reason) describe(name, body);
  else
    describe(name, () => test.skip(`is not tested against a genuine Ollama: ${reason}`, () => {}));
}

/** Starts Ollama with models of its own; the environment may hold more OLLAMA_ variables. */
export async function startOllama(
  environment: Record<string, string> = {},
): Promise<GenuineOllama> {
  const folder = await mkdtemp(join(tmpdir(), "ollama-"));
  const modelsFolder = join(folder, "models");
  const url = `http://127.0.0.1:${await closedPort()}`;
  const variables = {
    PATH: process.env.PATH ?? "",
    HOME: folder,
    OLLAMA_HOST: url,
    OLLAMA_MODELS: modelsFolder,
    // No network, no history, no idle work.
    OLLAMA_NO_CLOUD: "1",
    OLLAMA_NOHISTORY: "1",
    OLLAMA_NOPRUNE: "1",
    ...environment,
  };
  const server = await startServerProcess({
    command: ollama.program,
    arguments: ["serve"],
    environment: variables,
    ready: `${url}/api/version`,
  });
  const stop = async () => {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const names = await createModels(folder, variables);
    return { url, ...names, modelsFolder, process: server, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function createModels(folder: string, variables: Record<string, string>) {
  const checkpoint = await writeScriptedModel(join(folder, "checkpoint"));
  const create = async (name: string, from: string, template: string) => {
    const file = join(folder, `Modelfile-${name}`);
    // More threads wait for each other, which takes seconds where other tests want the cores.
    const text = `FROM ${from}\nTEMPLATE """${template}"""\nPARAMETER num_thread 1\n`;
    await writeFile(file, text);
    await finished(spawn(ollama.program, ["create", name, "-f", file], { env: variables }));
    return name;
  };
  await mkdir(folder, { recursive: true });
  const model = await create("tiny", checkpoint, TEMPLATES.plain);
  const toolModel = await create("tiny-tools", model, TEMPLATES.tools);
  const thinkingModel = await create("tiny-thinking", model, TEMPLATES.thinking);
  return { model, toolModel, thinkingModel };
}

async function finished(child: ChildProcess): Promise<void> {
  let said = "";
  child.stderr?.on("data", (chunk) => {
    said += chunk;
  });
  const code = await new Promise((resolve) => child.once("close", resolve));
  if (code !== 0) throw new Error(`${child.spawnargs.join(" ")} ended with ${code}: ${said}`);
}
