import {
  ProtocolError as McpError,
  SdkError,
  SdkErrorCode,
  SdkHttpError,
} from "@modelcontextprotocol/client";
import {
  AuthenticationError,
  ConnectionError,
  GenerationError,
  type LLMError,
  LLMError as OurError,
  ProtocolError,
} from "../index.js";

const CLOSED: string[] = [
  SdkErrorCode.ConnectionClosed,
  SdkErrorCode.NotConnected,
  SdkErrorCode.SendFailed,
];

/** What went wrong with a server, as an error of this package; `said` is what is known of why. */
export function failureOf(server: string, error: unknown, said: string): LLMError {
  if (OurError.is(error)) return error;
  const who = `The MCP server "${server}"`;
  if (error instanceof SdkHttpError && (error.status === 401 || error.status === 403)) {
    return new AuthenticationError(`${who} refused the credentials with ${error.status}.`, {
      status: error.status,
      hint: `Check the headers of "${server}".`,
    });
  }
  if (error instanceof SdkHttpError) {
    return new ConnectionError(`${who} answered with the status ${error.status}.`, {
      status: error.status,
      hint: `Check the url of "${server}".`,
    });
  }
  if (isUnreachable(error)) {
    return new ConnectionError(`${who} cannot be reached: ${reasonOf(error)}.`, {
      hint: `Check the command or url of "${server}".`,
    });
  }
  if (isClosed(error)) {
    return new ConnectionError(`${who} has ended${said}.`, {
      hint: `Run the command of "${server}" by itself to see why, and connect again.`,
    });
  }
  if (error instanceof McpError) {
    return new GenerationError(`${who} failed: ${error.message}`, { code: "tool_failed" });
  }
  return new ProtocolError(`${who} answered with what is not MCP${said}.`, {
    hint: `Check that "${server}" is an MCP server.`,
  });
}

function isClosed(error: unknown): boolean {
  if (error instanceof SdkError) return CLOSED.includes(error.code);
  return (error as Error).message === "Not connected";
}

/** By their fields: Node's own errors are of other classes where code runs in a realm of its own. */
function isUnreachable(error: unknown): error is Error & { code?: string; cause?: unknown } {
  const { syscall, name, message } = error as Partial<NodeJS.ErrnoException>;
  return syscall !== undefined || (name === "TypeError" && message === "fetch failed");
}

function reasonOf({ message, cause, code }: Error & { code?: string; cause?: unknown }): string {
  if (code === "ENOENT") return "there is no such command, or no such folder";
  const { code: reason, message: told } = (cause ?? {}) as Partial<NodeJS.ErrnoException>;
  return reason ?? told ?? message;
}
