// The clients that are compared, each used as its own documentation does.
// `whole` resolves with the text of a reply; `stream` calls back with each piece of its text.

const messages = [{ role: "user", content: "What does the fox do?" }];

async function ours(provider, baseUrl) {
  const { LLMClient } = await import("../../dist/esm/index.js");
  const client = new LLMClient({ provider, baseUrl });
  return {
    whole: async (model) => (await client.generate({ messages, model })).content,
    stream: async (model, onText) => {
      for await (const event of client.stream({ messages, model })) {
        if (event.type === "text") onText(event.text);
      }
    },
  };
}

async function ollama(host) {
  const { Ollama } = await import("ollama");
  const client = new Ollama({ host });
  return {
    whole: async (model) => (await client.chat({ model, messages })).message.content,
    stream: async (model, onText) => {
      const parts = await client.chat({ model, messages, stream: true });
      for await (const { message } of parts) if (message.content) onText(message.content);
    },
  };
}

async function openai(url) {
  const { OpenAI } = await import("openai");
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none" });
  const ask = (model, stream) => client.chat.completions.create({ model, messages, stream });
  return {
    whole: async (model) => (await ask(model, false)).choices[0].message.content,
    stream: async (model, onText) => {
      for await (const { choices } of await ask(model, true)) {
        const content = choices[0]?.delta.content;
        if (content) onText(content);
      }
    },
  };
}

/** By name, each a function of the server's address. */
export const clients = {
  "ours-ollama": (url) => ours("ollama", url),
  ollama,
  "ours-openai": (url) => ours("lmstudio", url),
  openai,
};
