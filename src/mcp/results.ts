import type { CallToolResult, ContentBlock } from "@modelcontextprotocol/client";

/** What a model is told of a result: its texts, and of all else what it is. */
export function textOf({ content, structuredContent }: CallToolResult, most: number): string {
  const isEmpty = content.length === 0 && structuredContent !== undefined;
  const text = isEmpty ? JSON.stringify(structuredContent) : content.map(blockText).join("\n");
  if (text.length <= most) return text;
  return `${text.slice(0, most)}\n[cut: the first ${most} of ${text.length} characters]`;
}

function blockText(block: ContentBlock): string {
  switch (block.type) {
    case "text":
      return block.text;
    case "image":
    case "audio":
      return described(block.type, block.mimeType, block.data);
    case "resource_link":
      return `[link: ${block.name}, ${block.uri}]`;
    case "resource": {
      const { resource } = block;
      if ("text" in resource) return resource.text;
      return described("file", `${resource.uri}, ${resource.mimeType ?? "unknown"}`, resource.blob);
    }
  }
}

function described(kind: string, what: string, base64: string): string {
  return `[${kind}: ${what}, ${Math.floor((base64.length * 3) / 4)} bytes, not shown]`;
}
