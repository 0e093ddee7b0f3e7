"""Writes test/fixtures/tokenizers: small tokenizers of every supported kind, and what Python makes of them.

Each folder holds tokenizer.json, tokenizer_config.json, perhaps a chat template file, and golden.json:
ids, decoded texts and rendered chats from the Python libraries, which the tests compare with ours.

    pip install -r scripts/requirements-oracle.txt
    python scripts/make-tokenizer-fixtures.py [NAME...]
"""

import json
import os
import random
import shutil
import sys
from datetime import datetime
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import tokenizers
import transformers
from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

FOLDER = Path(__file__).resolve().parent.parent / "test" / "fixtures" / "tokenizers"

# ------------------------------------------------------------------ text to train on

NAMES = "Ada Grace Linus Mary Alan Katherine Edsger Barbara Donald Radia".split()
THINGS = "model token prompt answer kernel buffer matrix vector cache stream window layer".split()
VERBS = "reads writes loads keeps sends counts merges splits sorts finds checks moves".split()
OTHER_TEXT = [
    "Привет, мир! Как дела сегодня?", "Γειά σου Κόσμε, καλημέρα.", "你好，世界。今天天气很好，我们去公园吧。",
    "こんにちは、世界。日本語のテキストです。", "안녕하세요 세계, 한국어 문장입니다.", "مرحبا بالعالم، كيف حالك اليوم؟",
    "שלום עולם, מה שלומך היום?", "สวัสดีชาวโลก วันนี้อากาศดี", "नमस्ते दुनिया, आप कैसे हैं?",
    "El niño comió jalapeños; ¿qué más?", "Ça va très bien, merci à tous.", "Größe, Öl und Übermut im Straßenbau.",
    "😀 🎉 👍 ❤️ 🚀 done!", "def add(a, b):\n    return a + b\n", "for (let i = 0; i < 10; i++) {\n\tcount += i;\n}\n",
    '{"name": "add", "arguments": {"a": 1, "b": 2}}', "1 + 2 = 3, 12 - 5 = 7, 2024-11-30 12:45:59, 3.14159",
    "mark\ufeff x\u0085y\u00a0z \ufeff! \ufeff!", "👨‍👩‍👧 👩🏾‍💻 a\u200db", "done.) (see... [1], [2]!\n\n  e e ee e.\n",
]  # fmt: skip


def training_text(seed: int) -> list[str]:
    choose = random.Random(seed).choice
    lines = []
    for _ in range(400):
        lines.append(f"{choose(NAMES)} {choose(VERBS)} the {choose(THINGS)} and {choose(VERBS)} a {choose(THINGS)}.")
        lines.append(f"Why does {choose(NAMES)}'s {choose(THINGS)} say \"it isn't {choose(VERBS)}\"?  I don't know!")
        lines.append(choose(OTHER_TEXT))
    return lines


# ------------------------------------------------------------------ texts to compare

TEXTS = {
    "empty": "",
    "one letter": "a",
    "one space": " ",
    "sentence": "Hello, world! The model reads the prompt and writes an answer.",
    "contractions": "I'm sure they'll say it isn't Ada's; WE'RE DON'T YOU'VE he'd",
    "clean-up bait": "Wait . What ? No ! Yes , it 's n't ' so ' they 've we 're I 'm",
    "leading spaces": "   three spaces first",
    "trailing spaces": "three spaces last   ",
    "many spaces": "a  b   c    d" + " " * 20 + "e",
    "tabs and newlines": "\tone\n\ttwo\n\n\nthree\n \n four \n",
    "carriage returns": "one\r\ntwo\r\n\r\nthree\rfour",
    "only newlines": "\n\n\n",
    "unusual spaces": "no\u00a0break thin\u2009space ideographic\u3000space next\u0085line em\u2003 \u2028line\u2029para",
    "byte order mark": "\ufeffmark \ufeff inside \ufeff! end",
    "unusual case": "I'ſ we'LL THEY'RE it'S ﬃ İ ı ß ẞ Σς \u212a",
    "digits": "0 7 42 123 1234 12345 123456789 3.14 1,000,000 ٣٤٥ 四五 ² ½ Ⅷ",
    "code": "function f(x) { return x**2 != 0 ? `${x}` : null; } // note\n#include <stdio.h>\n",
    "indented code": "class A:\n    def b(self):\n        if self.c == {'d': [1, 2]}:\n            pass\n",
    "punctuation": "...!?;:--—–''\"\"“”‘’«»(){}[]<>/\\|@#$%^&*~`_+=§¶•",
    "url": "https://example.org/a_b?c=d&e=%20#f",
    "accents composed": "café naïve Ångström jalapeño Übermut",
    "accents decomposed": "cafe\u0301 nai\u0308ve A\u030angstro\u0308m jalapen\u0303o",
    "stacked marks": "Z\u0351\u036b\u0343a\u0328\u0301\u0323 o\u0302\u0323 \u0301alone",
    "chinese": "你好，世界！今天天气很好。我们去𠮷野家吃饭。",
    "japanese": "こんにちは、カタカナとひらがな。ﾊﾝｶｸ",
    "korean": "안녕하세요 세계 \u1100\u1161\u11a8",
    "arabic": "مرحبا بالعالم، كيف حالك؟ السَّلَامُ عَلَيْكُمْ",
    "hebrew": "שלום עולם שָׁלוֹם",
    "thai": "สวัสดีชาวโลก ที่นี่มีน้ำ",
    "hindi": "नमस्ते दुनिया क्षत्रिय",
    "emoji": "😀😃 🎉 👍🏽 ❤️ 🏳️‍🌈",
    "emoji sequences": "👨‍👩‍👧‍👦 family 👩🏾‍💻 🇩🇪🇯🇵🇧🇷 flags 1️⃣ #️⃣ 🧑🏻‍🤝‍🧑🏿",
    "control characters": "a\u0000b\u0001c\u0007d\u001be\u007ff\u0080g\u009fh",
    "zero width": "zero\u200bwidth\u200cnon\u200djoin\u2060er\u00adsoft",
    "direction marks": "\u200fright\u200eleft\u202eover\u202c \u2066iso\u2069",
    "replacement character": "a\ufffdb \ufffd",
    "private use": "\ue000\uf8ff\U000f0000\U0010fffd",
    "non-characters": "\ufdd0\uffff\U0001ffff\U0010ffff",
    "rare scripts": "𐍈𐌰 𓀀 ᚠᛇ ꙮ 𝔘𝔫𝔦 ① ﬁ ㍿ Ω Å",
    "long word": "pneumonoultramicroscopicsilicovolcanoconiosis" * 3,
    "repeated letter": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "metaspace characters": "a▁b ▁▁ c",
    "byte token names": "<0x41><0xE4> not bytes",
    "special tokens inside": "a<s>b</s> <|im_start|>user\nhi<|im_end|>\n<|endoftext|> <bos>x<eos>",
    "special tokens that strip": "a  <mask> b </think>  c <｜tool｜>x",
    "special token first": "</s>after",
    "special token last": "before <|im_end|>",
    "special tokens only": "<|im_end|></s><eos>",
    "added tokens": "<think>\nhm\n</think> <tool_call> {} </tool_call>",
    "almost special": "<|im_start <|im_end| <s </ s> <|IM_START|>",
    "mixed": "Ada说: “שלום” 😀\r\n  x=1;\tкод   end ",
}  # fmt: skip

# ------------------------------------------------------------------ chat templates, written for these fixtures

CHATML = """\
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages and messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
    {{- 'You may call these functions:\\n<tools>' }}
    {%- for tool in tools %}
        {{- '\\n' }}{{- tool | tojson }}
    {%- endfor %}
    {{- '\\n</tools>\\nAnswer a call with <tool_call>{"name": ..., "arguments": ...}</tool_call>.<|im_end|>\\n' }}
{%- elif messages and messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set state = namespace(last_question=-1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages | length - 1) - loop.index0 %}
    {%- if state.last_question < 0 and message.role == 'user' and message.content is string and not message.content.startswith('<tool_response>') %}
        {%- set state.last_question = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == 'assistant' %}
        {%- set content = message.content %}
        {%- set thoughts = '' %}
        {%- if message.reasoning_content is string %}
            {%- set thoughts = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set thoughts = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>assistant\\n' }}
        {%- if thoughts and loop.index0 > state.last_question %}
            {{- '<think>\\n' + thoughts.strip('\\n') + '\\n</think>\\n\\n' }}
        {%- endif %}
        {{- content.lstrip('\\n') }}
        {%- for call in message.tool_calls or [] %}
            {%- if not (loop.first and not content) %}{{- '\\n' }}{%- endif %}
            {%- set function = call.function if call.function else call %}
            {{- '<tool_call>\\n{"name": "' ~ function.name ~ '", "arguments": ' }}
            {%- if function.arguments is string %}{{- function.arguments }}{%- else %}{{- function.arguments | tojson }}{%- endif %}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == 'tool' %}
        {%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
        {%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{- '<|im_end|>\\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- endif %}
"""

LLAMA3 = """\
{{- bos_token }}
{#- The date may be given; this template has no clock. -#}
{% set date = date_string | default('26 Jul 2024') %}
{% macro header(role) -%}
<|start_header_id|>{{ role }}<|end_header_id|>

{% endmacro -%}
{% if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content'] | trim %}
    {%- set turns = messages[1:] %}
{% else %}
    {%- set system = '' %}
    {%- set turns = messages %}
{% endif %}
{{- header('system') }}
{{- 'Today is ' ~ date ~ '.\\n\\n' ~ system }}
{%- if tools is not none %}
    {{- '\\nTools:\\n' }}
    {%- for tool in tools %}
        {{- tool.function | tojson(indent=4) }}
        {{- '\\n' if not loop.last }}
    {%- endfor %}
{%- endif %}
{{- '<|eot_id|>' }}
{%- for turn in turns %}
    {%- if turn.role in ['user', 'assistant'] and not turn.tool_calls %}
        {{- header(turn.role) + turn['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in turn %}
        {%- if turn.tool_calls | length != 1 %}
            {{- raise_exception('One call at a time, please.') }}
        {%- endif %}
        {%- set call = turn.tool_calls[0].function %}
        {{- header('assistant') }}
        {%- for key, value in call.arguments.items() %}
            {{- key ~ '=' ~ (value | tojson) ~ (', ' if not loop.last else '') }}
        {%- endfor %}
        {{- ' -> ' + call.name + '<|eot_id|>' }}
    {%- elif turn.role == 'tool' %}
        {{- header('ipython') }}
        {{- turn.content | tojson if turn.content is mapping else turn.content }}
        {{- '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{% if add_generation_prompt %}
    {{- header('assistant') }}
{% endif %}
"""

MISTRAL = """\
{%- if messages[0].role == 'system' %}
    {%- set system_text = messages[0].content %}
    {%- set rest = messages[1:] %}
{%- else %}
    {%- set rest = messages %}
{%- endif %}
{{ bos_token }}
{%- for message in rest %}
    {%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception("Roles must take turns: user, assistant, user, …; message " ~ loop.index ~ " is from '" ~ message.role ~ "'.") }}
    {%- endif %}
    {%- if message.role == 'user' %}
        {%- if loop.first and system_text is defined %}
            {{- '[INST] ' + system_text + '\\n\\n' + message.content + ' [/INST]' }}
        {%- else %}
            {{- '[INST] ' + message.content + ' [/INST]' }}
        {%- endif %}
    {%- elif message.role == 'assistant' %}
        {{- ' ' + message.content | trim + eos_token }}
    {%- endif %}
{%- endfor %}
"""

GEMMA = """\
{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {{ raise_exception('This model has no system role') }}
{%- endif -%}
{% for message in messages %}
    {%- if message['role'] == 'assistant' -%}
        {% set speaker = 'model' %}
    {%- else -%}
        {% set speaker = message['role'] %}
    {%- endif -%}
{{ '<start_of_turn>' + speaker + '
' + (message['content'] | trim) + '<end_of_turn>
' }}
{%- endfor %}
{% if add_generation_prompt %}
{{ '<start_of_turn>model
' }}
{%- endif %}
"""

HARMONY = """\
{#- What a parameter may be, as TypeScript writes it. -#}
{%- macro type_of(schema, nullable=false) -%}
    {%- if schema.oneOf -%}
        {%- for choice in schema.oneOf -%}
            {{- type_of(choice, nullable) }}
            {%- if choice.description is defined %}{{- ' /* ' ~ choice.description ~ ' */' }}{% endif %}
            {%- if not loop.last %}{{- ' | ' }}{% endif %}
        {%- endfor -%}
    {%- elif schema.type is defined and schema.type is iterable and schema.type is not string and schema.type is not mapping -%}
        {{- schema.type | join(' | ') }}
    {%- elif schema.enum -%}
        {{- '"' + schema.enum | join('" | "') + '"' }}
    {%- elif schema.type == 'array' and schema['items'] -%}
        {%- set inner = type_of(schema['items']) -%}
        {{- inner + '[]' if inner | length < 24 else 'Array<' + inner + '>' }}
    {%- elif schema.type == 'object' and schema.properties -%}
        {{- '{' }}
        {%- for name, part in schema.properties.items() -%}
            {{- name + ('' if name in (schema.required or []) else '?') + ': ' + type_of(part) }}
            {%- if not loop.last %}{{- ', ' }}{% endif %}
        {%- endfor -%}
        {{- '}' }}
    {%- else -%}
        {{- 'number' if schema.type == 'integer' else schema.type or 'any' }}
    {%- endif -%}
    {%- if nullable or schema.nullable %}{{- ' | null' }}{% endif %}
{%- endmacro -%}

{%- macro functions(namespace_name, tools) -%}
    {{- '## ' + namespace_name + '\n\nnamespace ' + namespace_name + ' {\n' }}
    {%- for tool in tools -%}
        {%- set tool = tool.function -%}
        {{- '\n// ' + (tool.description or 'No description') + '\ntype ' + tool.name + ' = ' }}
        {%- if tool.parameters and tool.parameters.properties -%}
            {{- '(_: {\n' }}
            {%- for name, schema in tool.parameters.properties.items() -%}
                {%- if schema.description %}{{- '// ' + schema.description + '\n' }}{% endif %}
                {{- name ~ ('' if name in (tool.parameters.required or []) else '?') ~ ': ' ~ type_of(schema) ~ ',' }}
                {%- if schema.default is defined %}{{- ' // default: ' ~ (schema.default | tojson) }}{% endif %}
                {{- '\n' }}
            {%- endfor -%}
            {{- '}) => any;\n' }}
        {%- else -%}
            {{- '() => any;\n' }}
        {%- endif -%}
    {%- endfor -%}
    {{- '\n} // namespace ' + namespace_name }}
{%- endmacro -%}

{%- macro system_message() -%}
    {%- if model_identity is not defined %}{% set model_identity = 'You are a small model.' %}{% endif %}
    {%- if reasoning_effort is not defined %}{% set reasoning_effort = 'medium' %}{% endif %}
    {{- model_identity + '\nCurrent date: ' + strftime_now('%Y-%m-%d') + '\n\nReasoning: ' + reasoning_effort }}
    {{- '\n\n# Valid channels: analysis, commentary, final.' }}
    {%- if tools %}{{- '\nCalls go to the commentary channel.' }}{% endif %}
{%- endmacro -%}

{{- '<|start|>system<|message|>' + system_message() + '<|end|>' }}
{%- set instructions = '' %}
{%- set turns = messages %}
{%- if messages[0].role in ['developer', 'system'] %}
    {%- set instructions = messages[0].content %}
    {%- set turns = messages[1:] %}
{%- endif %}
{%- if instructions or tools %}
    {{- '<|start|>developer<|message|>' }}
    {%- if instructions %}{{- '# Instructions\n\n' + instructions }}{% endif %}
    {%- if tools %}{{- ('\n\n' if instructions else '') + '# Tools\n\n' + functions('functions', tools) }}{% endif %}
    {{- '<|end|>' }}
{%- endif %}
{%- set called = namespace(name=none) %}
{%- for turn in turns %}
    {%- if turn.role == 'assistant' %}
        {%- if '<|channel|>' in turn.content %}
            {{- raise_exception('A message of the assistant names a channel: give its thoughts apart.') }}
        {%- endif %}
        {%- if 'tool_calls' in turn %}
            {#- Thoughts are kept until the final answer that they led to. -#}
            {%- set later = namespace(is_answered=false) %}
            {%- for next in turns[loop.index:] if next.role == 'assistant' and 'tool_calls' not in next %}
                {%- set later.is_answered = true %}
            {%- endfor %}
            {%- if (turn.thinking or turn.content) and not later.is_answered %}
                {{- '<|start|>assistant<|channel|>analysis<|message|>' + (turn.thinking or turn.content) + '<|end|>' }}
            {%- endif %}
            {%- set call = turn.tool_calls[0].function or turn.tool_calls[0] %}
            {{- '<|start|>assistant to=functions.' + call.name + '<|channel|>commentary ' }}
            {{- (call.content_type if call.content_type is defined else 'json') + '<|message|>' }}
            {{- (call.arguments | tojson) + '<|call|>' }}
            {%- set called.name = call.name %}
        {%- else %}
            {%- if loop.last and not add_generation_prompt and turn.thinking %}
                {{- '<|start|>assistant<|channel|>analysis<|message|>' + turn.thinking + '<|end|>' }}
            {%- endif %}
            {{- '<|start|>assistant<|channel|>final<|message|>' + turn.content }}
            {{- '<|return|>' if loop.last and not add_generation_prompt else '<|end|>' }}
            {%- set called.name = none %}
        {%- endif %}
    {%- elif turn.role == 'tool' %}
        {%- if called.name is none %}{{- raise_exception('A result without its call.') }}{% endif %}
        {{- '<|start|>functions.' + called.name + ' to=assistant<|channel|>commentary<|message|>' }}
        {{- (turn.content | tojson) + '<|end|>' }}
    {%- else %}
        {{- '<|start|>' + turn.role + '<|message|>' + turn.content + '<|end|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start|>assistant' }}{% endif %}
"""

SIMPLE = "{% for m in messages %}{{ m.role | upper }}: {{ m.content }}{{ eos_token if not loop.last }}\n{% endfor %}"
SIMPLE_TOOLS = "{{ tools | map(attribute='function.name') | join(', ') }}\n" + SIMPLE

ADD_TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds <two> numbers & tells the “sum”",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "number"}, "b": {"type": "number", "default": 0.5}},
            "required": ["a"],
        },
    },
}
PLAN_TOOL = {
    "type": "function",
    "function": {
        "name": "plan",
        "parameters": {
            "type": "object",
            "properties": {
                "pace": {"type": "string", "enum": ["slow", "fast"], "default": "slow", "description": "How fast"},
                "days": {"type": "array", "items": {"type": "integer"}},
                "stops": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"place": {"type": "string"}, "hours": {"type": "number", "nullable": True}},
                        "required": ["place"],
                    },
                },
                "budget": {"oneOf": [{"type": "number", "description": "in euros"}, {"type": "string"}]},
                "note": {"type": ["string", "null"]},
                "extra": {"type": "object"},
                "anything": {},
            },
            "required": ["stops", "pace"],
        },
    },
}
SEARCH_TOOL = {"type": "function", "function": {"name": "search", "parameters": {"type": "object", "properties": {}}}}

# Messages as this package's users write them; `for_python` turns them into what transformers wants.
CHATS = {
    "one question": {"messages": [{"role": "user", "content": "What is 7 + 5?"}]},
    "no generation prompt": {"messages": [{"role": "user", "content": "Hi"}], "addGenerationPrompt": False},
    "system first": {
        "messages": [{"role": "system", "content": "  Be brief. "}, {"role": "user", "content": "Hi"}],
    },
    "several turns": {
        "messages": [
            {"role": "user", "content": " Hello \n"},
            {"role": "assistant", "content": "\nHi! "},
            {"role": "user", "content": "你好 😀 <b>&amp;</b>\r\nשלום"},
        ],
    },
    "no thinking": {
        "messages": [{"role": "user", "content": "Hi"}],
        "variables": {"enable_thinking": False, "date_string": "1 Jan 2030"},
    },
    "thoughts in the history": {
        "messages": [
            {"role": "user", "content": "Why?"},
            {"role": "assistant", "content": "\n\nBecause.", "reasoning": "\n  hm, so \n"},
            {"role": "user", "content": "Really?"},
            {"role": "assistant", "content": "<think>\n  again \n</think>\n\nYes.", },
        ],
    },
    "tool call": {
        "messages": [
            {"role": "user", "content": "Add 1 and 2"},
            {
                "role": "assistant",
                "content": "",
                "toolCalls": [{"id": "call_1", "name": "add", "arguments": {"a": 1, "b": 2.5, "note": "é\n\"<>&'"}}],
            },
            {"role": "tool", "content": "3", "toolCallId": "call_1"},
        ],
        "tools": [ADD_TOOL, SEARCH_TOOL],
    },
    "two tool calls": {
        "messages": [
            {"role": "system", "content": "Use tools."},
            {"role": "user", "content": "Add"},
            {
                "role": "assistant",
                "content": "Let me see.",
                "toolCalls": [
                    {"id": "1", "name": "add", "arguments": {"a": [1, {"x": None}], "b": True}},
                    {"id": "2", "name": "search", "arguments": {}},
                ],
            },
            {"role": "tool", "content": "3", "toolCallId": "1"},
            {"role": "tool", "content": "nothing", "toolCallId": "2"},
            {"role": "assistant", "content": "It is 3."},
        ],
        "tools": [ADD_TOOL],
    },
    "two questions in a row": {
        "messages": [{"role": "user", "content": "One"}, {"role": "user", "content": "Two"}],
    },
}  # fmt: skip

# Those of templates that are particular about them.
MORE_CHATS = {
    "harmony-like": {
        "tool of many types": {
            "messages": [
                {"role": "system", "content": "Plan."},
                {"role": "user", "content": "A trip"},
                {
                    "role": "assistant",
                    "content": "",
                    "reasoning": "A plan is wanted.",
                    "toolCalls": [{"id": "1", "name": "plan", "arguments": {"stops": [], "pace": "slow"}}],
                },
                {"role": "tool", "content": "{\"ok\": true}", "toolCallId": "1"},
            ],
            "tools": [PLAN_TOOL, SEARCH_TOOL],
            "variables": {"reasoning_effort": "high"},
        },
        "thoughts at the end": {
            "messages": [
                {"role": "user", "content": "Why?"},
                {"role": "assistant", "content": "Because.", "reasoning": "Hm."},
            ],
            "addGenerationPrompt": False,
        },
        "result without a call": {
            "messages": [{"role": "user", "content": "Hi"}, {"role": "tool", "content": "3", "toolCallId": "1"}],
        },
    },
}  # fmt: skip

# ------------------------------------------------------------------ the tokenizers

QWEN_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3_WORDS = QWEN_WORDS.replace(r"\p{N}|", r"\p{N}{1,3}|")


# As gpt-oss: words begin anew at a capital letter and keep their 's.
CAPITALS, SMALL = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
ENDING = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
HARMONY_WORDS = (
    rf"[^\r\n\p{{L}}\p{{N}}]?[{CAPITALS}]*[{SMALL}]+{ENDING}|[^\r\n\p{{L}}\p{{N}}]?[{CAPITALS}]+[{SMALL}]*{ENDING}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def special(*contents: str) -> list[AddedToken]:
    return [AddedToken(content, special=True, normalized=False) for content in contents]


def train_byte_level(seed: int, pre_tokenizer, normalizer, tokens: list[AddedToken], **model) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(**model))
    tokenizer.normalizer = normalizer
    # Trained on whole lines: with tokens that reach over words, it shows in the ids how a text is split.
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=800, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(training_text(seed), trainer)
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.add_tokens(tokens)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def qwen_like() -> Tokenizer:
    words = pre_tokenizers.Split(Regex(QWEN_WORDS), "isolated")
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokens = special("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    tokens += [AddedToken(text, normalized=False) for text in ("<think>", "</think>", "<tool_call>", "</tool_call>")]
    return train_byte_level(1, pre_tokenizers.Sequence([words, bytes_only]), normalizers.NFC(), tokens)


def llama3_like() -> Tokenizer:
    words = pre_tokenizers.Split(Regex(LLAMA3_WORDS), "isolated")
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    names = "<|begin_of_text|> <|end_of_text|> <|start_header_id|> <|end_header_id|> <|eot_id|>".split()
    tokens = special(*names, "<｜tool｜>") + [AddedToken("<mask>", special=True, normalized=False, lstrip=True)]
    tokenizer = train_byte_level(
        2, pre_tokenizers.Sequence([words, bytes_only]), None, tokens, ignore_merges=True
    )
    bos = ("<|begin_of_text|>", tokenizer.token_to_id("<|begin_of_text|>"))
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=True),
            processors.TemplateProcessing(single=f"{bos[0]} $A", pair=f"{bos[0]} $A $B", special_tokens=[bos]),
        ]
    )
    return tokenizer


def harmony_like() -> Tokenizer:
    words = pre_tokenizers.Split(Regex(HARMONY_WORDS), "isolated")
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    names = "<|startoftext|> <|endoftext|> <|return|> <|channel|> <|start|> <|end|> <|message|> <|call|>".split()
    return train_byte_level(11, pre_tokenizers.Sequence([words, bytes_only]), None, special(*names))


def smollm_like() -> Tokenizer:
    pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    return train_byte_level(3, pre_tokenizer, None, special("<|endoftext|>", "<|im_start|>", "<|im_end|>"))


def punctuation_split() -> Tokenizer:
    """Splits that no popular model combines, but some use."""
    pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(" ", "merged_with_next"),
            pre_tokenizers.Split(Regex(r"\n+"), "merged_with_previous"),
            pre_tokenizers.Punctuation("isolated"),
            pre_tokenizers.Split("e", "contiguous"),
            pre_tokenizers.Digits(individual_digits=False),
            pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False),
        ]
    )
    return train_byte_level(4, pre_tokenizer, normalizers.NFKC(), special("<s>", "</s>"))


def whitespace_words() -> Tokenizer:
    pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    return train_byte_level(10, pre_tokenizer, None, special("<s>", "</s>"))


def train_sentencepiece_bpe(seed: int, prepend: bool, tokens: list[str], by_word=True) -> Tokenizer:
    """As SentencePiece trains BPE with byte fallback: spaces are ▁, rare characters are left to bytes."""
    tokenizer = Tokenizer(models.BPE())
    scheme = "always" if prepend else "never"
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=by_word)
    trainer = trainers.BpeTrainer(vocab_size=420, limit_alphabet=90, show_progress=False)
    tokenizer.train_from_iterator(training_text(seed), trainer)
    trained = json.loads(tokenizer.to_str())["model"]
    names = tokens + [f"<0x{byte:02X}>" for byte in range(256)] + ["▁▁", "▁▁▁▁"]
    names += [token for token, _ in sorted(trained["vocab"].items(), key=lambda item: item[1])]
    vocab = {name: index for index, name in enumerate(dict.fromkeys(names))}
    merges = [("▁", "▁"), ("▁▁", "▁▁")] + [tuple(pair) for pair in trained["merges"]]
    return Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))


def sentencepiece_decoder(strip: bool) -> decoders.Decoder:
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    return decoders.Sequence(steps + [decoders.Strip(content=" ", left=1, right=0)] if strip else steps)


def begin_with(tokenizer: Tokenizer, bos: str) -> None:
    pair = (bos, tokenizer.token_to_id(bos))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[pair]
    )


def llama2_like() -> Tokenizer:
    tokenizer = train_sentencepiece_bpe(5, True, ["<unk>", "<s>", "</s>"])
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = sentencepiece_decoder(strip=True)
    tokenizer.add_special_tokens(special("<unk>", "<s>", "</s>"))
    begin_with(tokenizer, "<s>")
    return tokenizer


def mistral_like() -> Tokenizer:
    tokenizer = train_sentencepiece_bpe(6, True, ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"], by_word=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = sentencepiece_decoder(strip=True)
    tokenizer.add_special_tokens(special("<unk>", "<s>", "</s>", "[INST]", "[/INST]"))
    tokenizer.add_tokens([AddedToken("<think>", normalized=True), AddedToken("</think>", rstrip=True)])
    begin_with(tokenizer, "<s>")
    return tokenizer


def gemma_like() -> Tokenizer:
    names = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
    tokenizer = train_sentencepiece_bpe(7, False, names)
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = sentencepiece_decoder(strip=False)
    tokenizer.add_special_tokens(special(*names))
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in ("\n\n", "\t\t")])
    begin_with(tokenizer, "<bos>")
    return tokenizer


def train_unigram(seed: int, metaspace, tokens: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = metaspace
    trainer = trainers.UnigramTrainer(
        vocab_size=500, special_tokens=tokens, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(training_text(seed), trainer)
    return tokenizer


def unigram() -> Tokenizer:
    lines = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    tokenizer = train_unigram(8, lines, ["<unk>", "<s>", "</s>"])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    end = ("</s>", tokenizer.token_to_id("</s>"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {end[0]}", pair=f"$A {end[0]} $B {end[0]}", special_tokens=[end]
    )
    return tokenizer


def unigram_bytes() -> Tokenizer:
    """Unigram with byte fallback, which Python's trainer cannot make."""
    names = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    words = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    tokenizer = train_unigram(9, words, ["<unk>", "<s>", "</s>"])
    data = json.loads(tokenizer.to_str())
    pieces = data["model"]["vocab"]
    rare = set("你好世界天気오늘שлم")
    kept = [piece for piece in pieces if piece[0] not in names and not rare & set(piece[0])]
    data["model"]["vocab"] = [[name, 0.0] for name in names] + kept
    data["model"]["byte_fallback"] = True
    for index, token in enumerate(data["added_tokens"]):
        token["id"] = index
    data["normalizer"] = None
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="never"), decoders.Fuse()]
    )
    begin_with(tokenizer, "<s>")
    return tokenizer


CHATML_CONFIG = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "bos_token": None, "add_bos_token": False}
SENTENCEPIECE_CONFIG = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
# folder: (tokenizer, tokenizer_config.json, {file: text} of chat templates)
FIXTURES = {
    "qwen-like": (qwen_like, {**CHATML_CONFIG, "chat_template": CHATML, "clean_up_tokenization_spaces": True}, {}),
    "llama3-like": (
        llama3_like,
        {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>", "mask_token": "<mask>"},
        {"chat_template.jinja": LLAMA3},
    ),
    "harmony-like": (
        harmony_like,
        {"bos_token": "<|startoftext|>", "eos_token": "<|return|>", "pad_token": "<|endoftext|>"},
        {"chat_template.jinja": HARMONY},
    ),
    "smollm-like": (
        smollm_like,
        {
            "eos_token": {"__type": "AddedToken", "content": "<|im_end|>", "special": True},
            "chat_template": [
                {"name": "default", "template": SIMPLE},
                {"name": "tool_use", "template": SIMPLE_TOOLS},
            ],
        },
        {},
    ),
    "punctuation-split": (punctuation_split, {"bos_token": "<s>", "eos_token": "</s>"}, {}),
    "whitespace-words": (whitespace_words, {}, {}),
    "llama2-like": (
        llama2_like,
        {**SENTENCEPIECE_CONFIG, "add_bos_token": True, "add_eos_token": False},
        {},
    ),
    "mistral-like": (mistral_like, {**SENTENCEPIECE_CONFIG, "chat_template": MISTRAL}, {}),
    "gemma-like": (
        gemma_like,
        {"bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>", "chat_template": GEMMA},
        {},
    ),
    "unigram": (
        unigram,
        {**SENTENCEPIECE_CONFIG, "clean_up_tokenization_spaces": True},
        {"chat_template.json": json.dumps({"chat_template": SIMPLE})},
    ),
    "unigram-bytes": (unigram_bytes, SENTENCEPIECE_CONFIG, {}),
}

# ------------------------------------------------------------------ goldens

TODAY = datetime(2026, 3, 5)


def for_python(message: dict) -> dict:
    result = {"role": message["role"], "content": message["content"]}
    if "reasoning" in message:
        result["thinking"] = result["reasoning_content"] = message["reasoning"]
    if "toolCallId" in message:
        result["tool_call_id"] = message["toolCallId"]
    if "toolCalls" in message:
        result["tool_calls"] = [
            {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}}
            for call in message["toolCalls"]
        ]
    return result


class FixedClock(datetime):
    @classmethod
    def now(cls, tz=None):
        return TODAY


# What templates ask for the date.
transformers.utils.chat_template_utils.datetime = FixedClock


def render(tokenizer, chat: dict) -> dict:
    try:
        text = tokenizer.apply_chat_template(
            [for_python(message) for message in chat["messages"]],
            tools=chat.get("tools"),
            add_generation_prompt=chat.get("addGenerationPrompt", True),
            tokenize=False,
            **chat.get("variables", {}),
        )
        return {"text": text}
    except Exception as error:  # What a template raises is part of the golden.
        return {"error": str(error)}


def has_broken_bytes(names: list[str]) -> bool:
    """True if byte tokens stand next to each other that are no characters; Python and we differ there on purpose."""
    run = bytearray()
    for name in [*names, ""]:
        if name.startswith("<0x") and len(name) == 6:
            run.append(int(name[3:5], 16))
            continue
        try:
            run.decode()
        except UnicodeDecodeError:
            return True
        run.clear()
    return False


def random_streams(tokenizer, seed: int) -> list[dict]:
    """Tokens as no text encodes to, but a model may generate them."""
    source = random.Random(seed)
    streams = []
    while len(streams) < 12:
        ids = [source.randrange(len(tokenizer)) for _ in range(source.choice([1, 2, 5, 30]))]
        if has_broken_bytes(tokenizer.convert_ids_to_tokens(ids)):
            continue
        streams.append(
            {
                "ids": ids,
                "decoded": tokenizer.decode(ids),
                "decodedWithoutSpecial": tokenizer.decode(ids, skip_special_tokens=True),
            }
        )
    return streams


def golden(folder: Path) -> dict:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    cases = []
    for name, text in TEXTS.items():
        ids = tokenizer.encode(text, add_special_tokens=False)
        cases.append(
            {
                "name": name,
                "text": text,
                "ids": ids,
                "idsWithSpecial": tokenizer.encode(text),
                "decoded": tokenizer.decode(ids),
                "decodedWithoutSpecial": tokenizer.decode(ids, skip_special_tokens=True),
            }
        )
    template = tokenizer.chat_template or ""
    chats = {**CHATS, **MORE_CHATS.get(folder.name, {})} if template else {}
    return {
        "madeWith": {"tokenizers": tokenizers.__version__, "transformers": transformers.__version__},
        "cases": cases,
        "streams": random_streams(tokenizer, seed=len(folder.name)),
        **({"today": TODAY.isoformat()} if "strftime_now" in template else {}),
        "chats": [{"name": name, **chat, **render(tokenizer, chat)} for name, chat in chats.items()],
    }


def write_json(file: Path, value, indent=None) -> None:
    # Escapes keep invisible and unassigned characters readable in a diff.
    file.write_text(json.dumps(value, indent=indent, separators=(",", ": ") if indent else (",", ":")) + "\n")


def write_golden(file: Path, value: dict) -> None:
    """One line per case, so that a diff shows which one changed."""
    parts = []
    for key, entries in value.items():
        if isinstance(entries, list):
            lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries)
            parts.append(f'"{key}": [\n{lines}\n]')
        else:
            parts.append(f'"{key}": {json.dumps(entries)}')
    file.write_text("{\n" + ",\n".join(parts) + "\n}\n")


def main() -> None:
    for name in sys.argv[1:] or FIXTURES:
        make, config, templates = FIXTURES[name]
        folder = FOLDER / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        tokenizer = make()
        write_json(folder / "tokenizer.json", json.loads(tokenizer.to_str()))
        config = {"tokenizer_class": "PreTrainedTokenizerFast", **config}
        write_json(folder / "tokenizer_config.json", config, indent=2)
        for file, text in templates.items():
            (folder / file).write_text(text)
        write_golden(folder / "golden.json", golden(folder))
        print(f"{name}: {tokenizer.get_vocab_size()} tokens")


if __name__ == "__main__":
    main()
