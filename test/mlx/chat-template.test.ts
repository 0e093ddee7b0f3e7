import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { readFileSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ModelLoadError, ValidationError } from "../../src/errors.js";
import {
  type ChatInput,
  type ChatTemplate,
  loadChatTemplate,
  renderPlain,
} from "../../src/mlx/chat-template.js";
import type { Message } from "../../src/types.js";

const FIXTURES = join(__dirname, "../fixtures/tokenizers");
const HELLO: Message[] = [{ role: "user", content: "Hello" }];

type GoldenChat = ChatInput & { name: string; text?: string; error?: string };

/** The chats of a fixture, and the day on which they were rendered where their template asks for it. */
function readGolden(name: string): { chats: GoldenChat[]; today?: string } {
  return JSON.parse(readFileSync(join(FIXTURES, name, "golden.json"), "utf8"));
}

const readChats = (name: string): GoldenChat[] => readGolden(name).chats;

const withTemplate = readdirSync(FIXTURES).filter((name) => readChats(name).length > 0);

test("goldens hold chats that are rendered and chats that are refused", () => {
  const chats = withTemplate.flatMap(readChats);
  expect(chats.filter(({ text }) => text !== undefined).length).toBeGreaterThan(30);
  expect(chats.filter(({ error }) => error !== undefined).length).toBeGreaterThan(5);
});

describe.each(withTemplate)("the template of %s", (name) => {
  afterEach(() => jest.useRealTimers());

  test.each(readChats(name))("does with $name what it does in Python", async (chat) => {
    const template = await loadChatTemplate(join(FIXTURES, name));
    const { today } = readGolden(name);
    if (today) jest.useFakeTimers({ now: new Date(today) });
    if (chat.text !== undefined) {
      expect(template?.render(chat)).toBe(chat.text);
    } else {
      const refusal = expect.objectContaining({ code: "bad_template" });
      expect(() => template?.render(chat)).toThrow(refusal);
      expect(() => template?.render(chat)).toThrow(chat.error);
      expect(() => template?.render(chat)).toThrow(ValidationError);
    }
  });
});

describe("a folder", () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "template-"));
  });

  afterEach(() => rm(folder, { recursive: true, force: true }));

  const write = (name: string, value: unknown): Promise<void> => {
    return writeFile(join(folder, name), typeof value === "string" ? value : JSON.stringify(value));
  };

  const load = async (template: string): Promise<ChatTemplate> => {
    await write("chat_template.jinja", template);
    return (await loadChatTemplate(folder))!;
  };

  const render = async (template: string, input: Partial<ChatInput> = {}): Promise<string> => {
    return (await load(template)).render({ messages: HELLO, ...input });
  };

  describe("has its template", () => {
    test("nowhere", async () => {
      expect(await loadChatTemplate(folder)).toBeUndefined();
      await write("tokenizer_config.json", { eos_token: "</s>" });
      await write("chat_template.json", {});
      expect(await loadChatTemplate(folder)).toBeUndefined();
    });

    test("in chat_template.jinja first, then tokenizer_config.json, then chat_template.json", async () => {
      await write("chat_template.json", { chat_template: "json" });
      const rendered = async () => (await loadChatTemplate(folder))?.render({ messages: HELLO });
      expect(await rendered()).toBe("json");
      await write("tokenizer_config.json", { chat_template: "config" });
      expect(await rendered()).toBe("config");
      expect(await render("file")).toBe("file");
    });

    test("in a list by name, where tools choose another one", async () => {
      const chat_template = [
        { name: "rag", template: "rag" },
        { name: "tool_use", template: "{{ tools | length }} tools" },
        { name: "default", template: "no tools" },
      ];
      await write("tokenizer_config.json", { chat_template });
      const template = await loadChatTemplate(folder);
      expect(template?.render({ messages: HELLO })).toBe("no tools");
      expect(template?.render({ messages: HELLO, tools: [] })).toBe("no tools");
      const tools = [{ type: "function" as const, function: { name: "add" } }];
      expect(template?.render({ messages: HELLO, tools })).toBe("1 tools");
    });

    test("in a list without a default, and the first counts", async () => {
      await write("tokenizer_config.json", { chat_template: [{ name: "chat", template: "x" }] });
      expect((await loadChatTemplate(folder))?.render({ messages: HELLO })).toBe("x");
    });
  });

  describe("gives its template", () => {
    test("the special tokens, however they are written", async () => {
      await write("special_tokens_map.json", { pad_token: { content: "<pad>" } });
      await write("tokenizer_config.json", {
        bos_token: { content: "<s>" },
        eos_token: "</s>",
        unk_token: null,
        extra_special_tokens: { image_token: "<image>" },
      });
      const source =
        "{{ bos_token }}{{ eos_token }}{{ pad_token }}{{ image_token }}{{ unk_token }}.";
      expect(await render(source)).toBe("<s></s><pad><image>.");
    });

    test("variables, but none instead of the messages", async () => {
      const variables = { enable_thinking: false, messages: [], bos_token: "B" };
      const source = "{{ enable_thinking is false }} {{ messages | length }} {{ bos_token }}";
      expect(await render(source, { variables })).toBe("true 1 B");
    });

    test("a request for a reply unless told otherwise", async () => {
      const source = "{{ 'reply' if add_generation_prompt else 'none' }}";
      expect(await render(source)).toBe("reply");
      expect(await render(source, { addGenerationPrompt: false })).toBe("none");
    });

    test("messages under the names of OpenAI", async () => {
      const messages: Message[] = [
        {
          role: "assistant",
          content: "",
          reasoning: "hm",
          toolCalls: [
            { id: "1", name: "add", arguments: { a: 1 } },
            { id: "2", name: "bad", arguments: {}, invalidArguments: "{a:" },
          ],
        },
        { role: "tool", content: "2", toolCallId: "1" },
      ];
      expect(JSON.parse(await render("{{ messages | tojson }}", { messages }))).toEqual([
        {
          role: "assistant",
          content: "",
          thinking: "hm",
          reasoning_content: "hm",
          tool_calls: [
            { id: "1", type: "function", function: { name: "add", arguments: { a: 1 } } },
            { id: "2", type: "function", function: { name: "bad", arguments: "{a:" } },
          ],
        },
        { role: "tool", content: "2", tool_call_id: "1", name: "add" },
      ]);
    });

    test("text parts as one text", async () => {
      const content = [
        { type: "text" as const, text: "a" },
        { type: "text" as const, text: "b" },
      ];
      const messages: Message[] = [{ role: "user", content }];
      expect(await render("{{ messages[0].content }}", { messages })).toBe("ab");
      const either = `
        {%- for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}
        {%- for part in m.content %}[{{ part.text }}]{% endfor %}{% endif %}{% endfor %}`;
      expect(await render(either, { messages })).toBe("ab");
    });

    test("a list of parts where it reads nothing else", async () => {
      const source =
        "{% for m in messages %}{% for p in m['content'] %}{{ p.type }}:{{ p.text }}{% endfor %}{% endfor %}";
      expect(await render(source)).toBe("text:Hello");
    });

    test("today's date in English", async () => {
      jest.useFakeTimers({ now: new Date(2026, 2, 5, 14, 7, 9) });
      try {
        const format = "%A %a %d %-d %e %B %b %m %Y %y %H:%M:%S %I %p %j %% %Q";
        expect(await render(`{{ strftime_now("${format}") }}`)).toBe(
          "Thursday Thu 05 5  5 March Mar 03 2026 26 14:07:09 02 PM 064 % %Q",
        );
      } finally {
        jest.useRealTimers();
      }
    });

    test("strip with the characters to remove", async () => {
      const content = "\n  ab \n\n";
      const source =
        "{% set c = messages[0].content %}[{{ c.strip('\\n') }}][{{ c.lstrip('\\n ') }}][{{ c.rstrip('\\n') }}][{{ c.strip() }}]";
      expect(await render(source, { messages: [{ role: "user", content }] })).toBe(
        "[  ab ][ab \n\n][\n  ab ][ab]",
      );
    });

    test("loops that end early, and ranges", async () => {
      const source =
        "{% for i in range(1, 10, 2) %}{% if i == 7 %}{% break %}{% endif %}{{ i }}{% endfor %}{{ range(3) | join }}";
      expect(await render(source)).toBe("135012");
    });
  });

  describe("refuses", () => {
    const loadFailure = async (template: string): Promise<ModelLoadError> => {
      const error = await load(template).catch((error: unknown) => error);
      expect(error).toBeInstanceOf(ModelLoadError);
      expect(error).toMatchObject({ code: "bad_template", hint: expect.any(String) });
      return error as ModelLoadError;
    };

    test("a template with an error, and names the file", async () => {
      const { message } = await loadFailure("{% if %}");
      expect(message).toMatch(
        `${join(folder, "chat_template.jinja")} is no valid Jinja template: `,
      );
    });

    test("a broken template of a list, and names it", async () => {
      const chat_template = [
        { name: "default", template: "x" },
        { name: "tool_use", template: "{{" },
      ];
      await write("tokenizer_config.json", { chat_template });
      await expect(loadChatTemplate(folder)).rejects.toThrow('(template "tool_use") is no valid');
    });

    test.each([7, {}, [{ name: "default" }], ["x"]])("%j as a template", async (chat_template) => {
      await write("tokenizer_config.json", { chat_template });
      await expect(loadChatTemplate(folder)).rejects.toMatchObject({
        code: "bad_template",
        message: expect.stringMatching("neither text nor a list of templates"),
      });
    });

    test("messages that the template raises an exception for", async () => {
      const template = await load("{{ raise_exception('Only users may speak') }}");
      const refusal = (): string => template.render({ messages: HELLO });
      expect(refusal).toThrow(ValidationError);
      expect(refusal).toThrow(
        "The model's chat template refuses these messages: Only users may speak",
      );
      expect(refusal).toThrow(expect.objectContaining({ code: "bad_template" }));
    });

    test("to render what the template cannot", async () => {
      const template = await load("{{ messages | magic }}");
      const failure = (): string => template.render({ messages: HELLO });
      expect(failure).toThrow(ModelLoadError);
      expect(failure).toThrow("chat_template.jinja cannot be rendered: Unknown ArrayValue filter");
    });

    test.each([
      ["too long", "x".repeat(300_000), "at most 262144 are read"],
      ["full of blanks", `a${" ".repeat(200_000)}b`, "1000 blanks in a row"],
      ["nested too deep", `{{ ${"(".repeat(60_000)}1${")".repeat(60_000)} }}`, "call stack"],
    ])("a template that is %s", async (_, template, reason) => {
      expect((await loadFailure(template)).message).toMatch(reason);
    });

    test("a template file of absurd size", async () => {
      await write("chat_template.jinja", "");
      await truncate(join(folder, "chat_template.jinja"), 2 ** 40);
      await expect(loadChatTemplate(folder)).rejects.toMatchObject({ code: "bad_template" });
    });

    const PAIRS = `[${"[1, 2], ".repeat(1000)}]`;
    const WIDE = "range(9999) | join";
    const DOUBLED = "{% for i in range(16) %}{% set x.v = x.v ~ x.v %}{% endfor %}";
    const LONG = `{% set x = namespace(v='aaaaaaa') %}${DOUBLED}{% set text = x.v %}{% set part = text[:99999] ~ 'b' ~ text[:99999] %}`;
    const growing = (start: string, step: string): string => {
      return `{% set s = namespace(v=${start}) %}{% for i in range(60) %}{% set s.v = ${step} %}{% endfor %}{{ s.v }}`;
    };

    test.each([
      [
        "loops on and on",
        "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
        "steps",
      ],
      ["asks for a huge range", "{{ range(999999999) }}", "a range of 999999999 numbers"],
      ["asks for a range without end", "{{ range(1, 2, 0) }}", "a range of Infinity numbers"],
      ["doubles a text", growing("'ab'", "s.v ~ s.v"), "characters or items"],
      ["doubles a list", growing("[1]", "s.v + s.v"), "characters or items"],
      ["puts a list into itself twice", growing("[1]", "[s.v, s.v]"), "characters or items"],
      ["calls itself", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "cannot be rendered"],
      ["indents by a lot", "{{ 'a\\nb' | indent(999999999) }}", "indents by more than 100"],
      ["indents JSON by a lot", `{{ ${PAIRS} | tojson(indent=99999999) }}`, "indents by more"],
      ["puts a lot into JSON", `{{ ${PAIRS} | tojson(**{'separators': [${WIDE}, ':']}) }}`, "more"],
      [
        "indents a block by a lot",
        "{% filter indent(*[101]) %}a{% endfilter %}",
        "by more than 100",
      ],
      ["searches a long text", `${LONG}{{ part in text }}`, "steps"],
      ["splits a long text", `${LONG}{{ text.split(part) | length }}`, "steps"],
      ["splits under another name", `${LONG}{% set f = text['split'] %}{{ f(part) }}`, "steps"],
      ["replaces in a long text", `${LONG}{{ text | replace(part, '') }}`, "steps"],
      [
        "replaces in a block",
        `${LONG}{% filter replace(part, '') %}{{ text }}{% endfilter %}`,
        "steps",
      ],
      ["spreads what it replaces", `${LONG}{{ text | replace(*[part, '']) }}`, "spreads"],
      ["fails with a lot to say", `${LONG}{{ raise_exception(text) }}`, "a…"],
    ])(
      "a template that %s",
      async (_, template, reason) => {
        const loaded = await load(template);
        expect(() => loaded.render({ messages: HELLO })).toThrow(reason);
      },
      60_000,
    );
  });

  test("a long conversation is rendered", async () => {
    const content = "word ".repeat(40);
    const messages = Array.from({ length: 5000 }, (_, index): Message => {
      return { role: index % 2 ? "assistant" : "user", content };
    });
    const template = await loadChatTemplate(join(FIXTURES, "qwen-like"));
    expect(template?.render({ messages }).length).toBeGreaterThan(5000 * 200);
  });
});

describe("without a template", () => {
  test("a conversation is written as mlx-lm does", () => {
    const messages: Message[] = [
      { role: "system", content: "Be brief." },
      { role: "user", content: "Hi" },
      { role: "assistant", content: "Hello!" },
      { role: "tool", content: "3" },
      { role: "user", content: [{ type: "text", text: "Bye" }] },
    ];
    expect(renderPlain(messages)).toBe(
      "ASSISTANT's RULE: Be brief.\nUSER: Hi\nASSISTANT: Hello!\n3\nUSER: Bye\nASSISTANT:",
    );
  });
});
