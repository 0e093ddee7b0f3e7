import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { mlxLm, whyMissing } from "./places.mjs";
import { closedPort } from "./ports.js";
import { type ServerProcess, startServerProcess } from "./server-process.js";

const DEMO = fileURLToPath(new URL("../../models/demo", import.meta.url));

/** A genuine mlx_lm.server. */
export interface GenuineMlxLmServer {
  url: string;
  /** The id in its list: the folder of the model. */
  model: string;
  process: ServerProcess;
  stop(): Promise<void>;
}

/** Describes what is true of mlx_lm.server; where there is none, a skipped test says why. */
export function describeMlxLmServer(name: string, body: () => void): void {
  const reason = whyMissing(mlxLm);
  if (!reason) describe(name, body);
  else describe(name, () => test.skip(`is not tested against mlx_lm.server: ${reason}`, () => {}));
}

/** Starts mlx_lm.server with a model, the demo model unless told. */
export async function startMlxLmServer(model = DEMO): Promise<GenuineMlxLmServer> {
  const home = await mkdtemp(join(tmpdir(), "mlx-lm-"));
  // Its list of models fails where this folder is missing.
  await mkdir(join(home, "hub"));
  const port = await closedPort();
  const url = `http://127.0.0.1:${port}`;
  const remove = () => rm(home, { recursive: true, force: true });
  try {
    const server = await startServerProcess({
      command: mlxLm.program,
      arguments: ["-m", "mlx_lm", "server", "--model", model, "--port", String(port)],
      // It would fetch whatever model a request names.
      environment: { PATH: process.env.PATH ?? "", HF_HOME: home, HF_HUB_OFFLINE: "1" },
      ready: `${url}/health`,
    });
    const stop = async () => {
      await server.stop();
      await remove();
    };
    return { url, model, process: server, stop };
  } catch (error) {
    await remove();
    throw error;
  }
}
