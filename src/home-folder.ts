import { homedir } from "node:os";

/** The user's folder, as the environment names it. */
export function homeFolder(env: NodeJS.ProcessEnv): string {
  return env.HOME || env.USERPROFILE || homedir();
}

/** A path in which `~` stands for the home folder. */
export function expandHome(path: string, env: NodeJS.ProcessEnv = process.env): string {
  return path.replace(/^~(?=[/\\]|$)/, () => homeFolder(env));
}
