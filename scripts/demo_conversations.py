"""Writes the conversations the demo model learns from, and the held-out questions it is measured with.

Every exchange has a key, such as "7 5 {a} plus {b}" or "Peru, What is the capital of {}?". A fixed tenth of all keys is
held out from training. What is held out is the combination of wording and subject: the same sum, and the same capital,
are trained in other words. The same seed always gives the same text.
"""

import random
import re
import zlib
from dataclasses import dataclass

from demo_facts import (
    CAPITALS,
    CHAT,
    HOW_TO_FRAMES,
    NOUN_FRAMES,
    OFF_TOPIC,
    OFF_TOPIC_ENTITIES,
    SYSTEM_MESSAGES,
    TOPICS,
    UNKNOWN_PLACES,
)

HELD_OUT_PERCENT = 10
LARGEST_NUMBER = 20
CHUNK = 4096  # conversations drawn with one random generator

DONT_KNOW = (
    "I don't know that. I am a tiny demo model: ask me about llm-client, small sums or capitals."
)
DONT_KNOW_CAPITAL = "I don't know that capital. I only know some of them."
ONLY_SMALL_SUMS = f"I can only add or subtract two numbers from 0 to {LARGEST_NUMBER}."


@dataclass(frozen=True)
class Exchange:
    kind: str
    question: str
    answer: str
    key: str


def held_out(key):
    """Whether an exchange is kept for the measurement."""
    return zlib.crc32(key.encode()) % 100 < HELD_OUT_PERCENT


# Arithmetic

ADD_PHRASES = [
    "What is {a} + {b}?", "What is {a} + {b}?", "What's {a} + {b}?", "{a}+{b}", "{a} + {b}", "{a} + {b} =", "{a} + {b} = ?",
    "{a}+{b}=", "{a}+{b}=?", "{a}+{b}?", "{a} plus {b}", "What is {a} plus {b}?", "What's {a} plus {b}?", "Add {a} and {b}",
    "Add {a} and {b}.", "add {a} to {b}", "add {a} + {b}", "How much is {a} + {b}?", "How much is {a} plus {b}?",
    "What is the sum of {a} and {b}?", "sum of {a} and {b}", "Calculate {a} + {b}", "Compute {a} + {b}.",
    "What do you get if you add {a} and {b}?", "What does {a} + {b} equal?", "What does {a} plus {b} make?",
    "{a} and {b} together?", "How many are {a} and {b}?", "Work out {a} + {b}", "Solve {a} + {b}", "what is {a}+{b}",
    "I have {a} apples and get {b} more. How many apples do I have?", "Can you add {a} and {b}?", "Do you know {a} + {b}?",
    "what is {a} and {b}", "Tell me {a} + {b}.", "the total of {a} and {b}",
]  # fmt: skip
SUBTRACT_PHRASES = [
    "What is {a} - {b}?", "What is {a} - {b}?", "What's {a} - {b}?", "{a}-{b}", "{a} - {b}", "{a} - {b} =", "{a} - {b} = ?",
    "{a}-{b}=", "{a}-{b}=?", "{a}-{b}?", "{a} minus {b}", "What is {a} minus {b}?", "What's {a} minus {b}?",
    "Subtract {b} from {a}", "Subtract {b} from {a}.", "Take {b} away from {a}", "{a} take away {b}",
    "How much is {a} - {b}?", "How much is {a} minus {b}?", "What is the difference of {a} and {b}?", "Calculate {a} - {b}",
    "Compute {a} - {b}.", "What do you get if you subtract {b} from {a}?", "What does {a} - {b} equal?",
    "What does {a} minus {b} make?", "Work out {a} - {b}", "Solve {a} - {b}", "what is {a}-{b}", "{a} less {b}",
    "I have {a} apples and give away {b}. How many apples are left?", "Can you subtract {b} from {a}?",
    "Do you know {a} - {b}?", "Tell me {a} - {b}.",
]  # fmt: skip
NUMBER_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty"
).split()
TOO_HARD_PHRASES = [
    "What is {a} * {b}?", "{a}*{b}", "{a} times {b}", "What is {a} times {b}?", "{a} x {b}", "Multiply {a} by {b}",
    "What is {a} / {b}?", "{a}/{b}", "Divide {a} by {b}", "{a} divided by {b}", "What is {a} divided by {b}?",
    "What is the square root of {a}?", "{a} squared", "What is {a}% of {b}?", "{a} to the power of {b}", "{a} modulo {b}",
]  # fmt: skip


def sum_answer(operation, a, b):
    return f"{a} + {b} = {a + b}." if operation == "add" else f"{a} - {b} = {a - b}."


def arithmetic(rng):
    operation = rng.choice(["add", "subtract"])
    a, b = rng.randint(0, LARGEST_NUMBER), rng.randint(0, LARGEST_NUMBER)
    if operation == "subtract" and a < b and rng.random() < 0.5:
        a, b = b, a
    phrase = rng.choice(ADD_PHRASES if operation == "add" else SUBTRACT_PHRASES)
    words = rng.random() < 0.05
    question = phrase.format(a=NUMBER_WORDS[a] if words else a, b=NUMBER_WORDS[b] if words else b)
    return Exchange("arithmetic", question, sum_answer(operation, a, b), f"{a} {b} {phrase}")


def too_hard_sum(rng):
    choice = rng.random()
    if choice < 0.6:
        a, b = rng.randint(0, 99), rng.randint(1, 99)
        phrase = rng.choice(TOO_HARD_PHRASES)
    elif choice < 0.85:
        large, small = rng.randint(30, 10 ** rng.randint(2, 5)), rng.randint(0, 300)
        a, b = (large, small) if rng.random() < 0.5 else (small, large)
        phrase = rng.choice(ADD_PHRASES + SUBTRACT_PHRASES)
    else:
        a, b = rng.randint(0, LARGEST_NUMBER), rng.randint(0, LARGEST_NUMBER)
        sign = rng.choice("+-")
        phrase = rng.choice(["{a} + {b}", "{a}+{b}", "What is {a} + {b}", "What is {a} - {b}"])
        phrase += f" {sign} {rng.randint(0, LARGEST_NUMBER)}" + rng.choice(["", "?"])
    return Exchange("too hard", phrase.format(a=a, b=b), ONLY_SMALL_SUMS, f"{a} {b} {phrase}")


# Capitals

CAPITAL_PHRASES = [
    "What is the capital of {}?", "What's the capital of {}?", "capital of {}", "Capital of {}?", "the capital of {}",
    "Which city is the capital of {}?", "Tell me the capital of {}.", "Do you know the capital of {}?",
    "Name the capital of {}.", "What is the capital city of {}?", "What city is the capital of {}?",
    "Can you tell me the capital of {}?", "{}'s capital?", "What is {}'s capital?", "What is the name of the capital of {}?",
    "I want to know the capital of {}.", "Which is the capital of {}?", "{} capital", "Give me the capital of {}.",
    "Do you know what the capital of {} is?", "What capital does {} have?",
]  # fmt: skip
COUNTRY_PHRASES = [
    "{} is the capital of which country?", "Which country has the capital {}?", "What country is {} the capital of?",
    "{} is the capital of what?", "Of which country is {} the capital?", "Which country's capital is {}?",
]  # fmt: skip


def capital(rng):
    country, city = rng.choice(list(CAPITALS.items()))
    if rng.random() < 0.15:
        phrase, subject, answer = rng.choice(COUNTRY_PHRASES), city, f"{city} is the capital of {country}."
    else:
        phrase, subject, answer = rng.choice(CAPITAL_PHRASES), country, f"The capital of {country} is {city}."
    return Exchange("capital", phrase.format(subject), answer, f"{subject}, {phrase}")


def unknown_capital(rng):
    place, phrase = rng.choice(UNKNOWN_PLACES), rng.choice(CAPITAL_PHRASES)
    return Exchange("unknown capital", phrase.format(place), DONT_KNOW_CAPITAL, f"{place}, {phrase}")


# llm-client


def client_question(rng):
    topic = rng.choice(TOPICS)
    choices = [("how", goal) for goal in topic.goals]
    choices += [("what", noun) for noun in topic.nouns] + [("as is", question) for question in topic.questions]
    form, text = rng.choice(choices)
    ending = rng.choice(["", "", "", " with llm-client", " in llm-client", " using llm-client"])
    if form == "how":
        frame = rng.choice(HOW_TO_FRAMES)
        key = f"{topic.name}, {text}, {frame}"
        text = frame.format(text + ending)
    elif form == "what":
        frame = rng.choice(NOUN_FRAMES)
        key = f"{topic.name}, {text}, {frame}"
        text = frame.format(text)
    else:
        ending = ending if text.endswith("?") else ""
        key = f"{topic.name}, {text}, {ending}"
        # The bare question is always trained: only its combinations may be held out.
        key = key if ending else f"trained {topic.name}"
        text = text[:-1] + ending + "?" if ending else text
    return Exchange("llm-client", text, topic.answer, key)


# Small talk and everything else

OPENERS = ["", "", "", "Hi! ", "Hello, ", "Hey, ", "Ok. ", "Well, ", "So, ", "Good morning! ", "Hi there, "]


def small_talk(rng):
    talk = rng.choice(CHAT)
    phrase = rng.choice(talk.phrases)
    opener = rng.choice(OPENERS) if talk.opener else ""
    key = f"{opener}{phrase}" if opener else "trained small talk"
    return Exchange("small talk", opener + phrase, talk.answer, key)


def off_topic(rng):
    if rng.random() < 0.06:
        words = ["".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(2, 9))) for _ in range(rng.randint(1, 4))]
        return Exchange("off topic", " ".join(words), DONT_KNOW, "trained nonsense")
    phrase, kind = rng.choice(OFF_TOPIC)
    if kind is None:
        return Exchange("off topic", phrase, DONT_KNOW, "trained off topic")
    entity = rng.choice(OFF_TOPIC_ENTITIES[kind])
    return Exchange("off topic", phrase.format(entity), DONT_KNOW, f"{phrase}, {entity}")


SOURCES = [
    (arithmetic, 34), (client_question, 32), (capital, 12), (small_talk, 10), (off_topic, 7), (too_hard_sum, 3), (unknown_capital, 2),
]  # fmt: skip


def draw(rng, source, wanted_held_out=False):
    """An exchange of one source from the trained or from the held-out part."""
    while True:
        exchange = source(rng)
        if held_out(exchange.key) == wanted_held_out and (not wanted_held_out or not exchange.key.startswith("trained")):
            return exchange


# Variations of writing

POLITE_BEFORE = ["please ", "Hi, ", "Hey, ", "Ok, ", "Hello! ", "Quick question: ", "Now ", "So "]
POLITE_AFTER = [" please", ", please", " Thanks!", " thanks", " Thank you."]


def typo(rng, text):
    """Swaps, drops or doubles one inner letter of one longer word."""
    words = text.split(" ")
    places = [i for i, word in enumerate(words) if len(word) >= 4 and word.isalpha()]
    if not places:
        return text
    i = rng.choice(places)
    word, at = words[i], rng.randint(1, len(words[i]) - 2)
    words[i] = rng.choice([
        word[:at] + word[at + 1] + word[at] + word[at + 2 :], word[:at] + word[at + 1 :], word[: at + 1] + word[at:],
    ])  # fmt: skip
    return " ".join(words)


def vary(rng, text, polite=True):
    """The same question as hurried people write it."""
    if rng.random() < 0.4:
        return text
    if polite and rng.random() < 0.15:
        text = rng.choice(POLITE_BEFORE) + text
    if rng.random() < 0.35 and len(text) > 3:
        text = text.rstrip("?.!")
        if polite and rng.random() < 0.2:
            text += rng.choice(POLITE_AFTER)
    if rng.random() < 0.06:
        text = typo(rng, text)
    if rng.random() < 0.25:
        text = text.replace("'", "")
    case = rng.random()
    return text.lower() if case < 0.45 else text.upper() if case < 0.47 else text


# Conversations


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def turn(rng, wanted_held_out=False, source=None):
    if source is None:
        source = rng.choices([s for s, _ in SOURCES], [weight for _, weight in SOURCES])[0]
    exchange = draw(rng, source, wanted_held_out)
    return [user(vary(rng, exchange.question, polite=exchange.kind != "small talk")), assistant(exchange.answer)], exchange.kind


AND_OF = ["And of {}?", "And {}?", "What about {}?", "and the one of {}?", "How about {}?", "{}?"]


def capitals_in_turn(rng, wanted_held_out=False):
    """A capital, then "and of Italy?"."""
    while True:
        first = draw(rng, capital)
        country, city = rng.choice(list(CAPITALS.items()))
        phrase = rng.choice(AND_OF)
        if held_out(f"{country}, {phrase}") == wanted_held_out and "The capital of" in first.answer:
            break
    return [
        user(vary(rng, first.question)), assistant(first.answer),
        user(vary(rng, phrase.format(country), polite=False)), assistant(f"The capital of {country} is {city}."),
    ], "capitals in turn"  # fmt: skip


TOOLS = [
    {"name": "get_weather", "description": "The weather in a city", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
    {"name": "read_file", "description": "Read a text file", "parameters": {"type": "object", "properties": {"path": {"type": "string"}}}},
    {"name": "search", "description": "Search the web", "parameters": {"type": "object", "properties": {"query": {"type": "string"}}}},
]  # fmt: skip


def conversation(rng, longest_turns=3):
    """One training conversation: the messages and the tools, most of the time none."""
    choice = rng.random()
    if choice < 0.84:
        messages = turn(rng)[0]
    elif choice < 0.9:
        messages = capitals_in_turn(rng)[0]
    else:
        messages = []
        for _ in range(rng.randint(2, longest_turns)):
            messages += rng.choices([turn, capitals_in_turn], [16, 1])[0](rng)[0]
    if rng.random() < 0.12:
        messages = [{"role": "system", "content": rng.choice(SYSTEM_MESSAGES)}] + messages
    tools = [{"type": "function", "function": tool} for tool in rng.sample(TOOLS, rng.randint(1, 2))] if rng.random() < 0.01 else None
    return messages, tools


def long_conversation(rng):
    """Many turns, about as many as fit into the context."""
    messages = []
    for _ in range(rng.randint(8, 30)):
        messages += rng.choices([turn, capitals_in_turn], [16, 1])[0](rng)[0]
    return messages, None


def drill(rng):
    """Some sums as the assistant writes them."""
    return [draw(rng, arithmetic).answer + "\n" for _ in range(rng.randint(3, 5))]


def training_chunk(seed, number):
    """The conversations and the drills of one part of the training text, and the generator that drew them."""
    rng = random.Random(f"{seed} {number}")
    conversations = [conversation(rng) for _ in range(CHUNK)]
    conversations += [long_conversation(rng) for _ in range(CHUNK // 256)]
    return conversations, [drill(rng) for _ in range(CHUNK // 2)], rng


# Measurement

HELD_OUT_COUNTS = [
    (arithmetic, 90), (client_question, 80), (capital, 35), (small_talk, 20), (off_topic, 20), (too_hard_sum, 8),
    (unknown_capital, 5), (capitals_in_turn, 10),
]  # fmt: skip


def last_asked(messages):
    """The last two questions of a conversation, without case, spaces and punctuation."""
    texts = [message["content"] for message in messages if message["role"] == "user"][-2:]
    return "|".join(re.sub(r"[^a-z0-9+*/%=-]", "", text.lower()).rstrip("=") for text in texts)


def trained_questions(seed, chunks):
    """Everything that is asked in training, alone and after the question before it."""
    asked = set()
    for number in range(chunks):
        for messages, _ in training_chunk(seed, number)[0]:
            questions = [message for message in messages if message["role"] == "user"]
            for i, question in enumerate(questions):
                asked.add(last_asked([question]))
                asked.add(last_asked(questions[: i + 1]))
    return asked


def held_out_questions(seed, trained):
    """A list to measure the model with.

    Different keys can give the same text once vary() has dropped a capital letter or a question mark, so whatever was
    asked in training is left out here too.
    """
    rng, seen, questions = random.Random(seed), set(trained), []
    sources = [source for source, _ in SOURCES]
    for source, count in HELD_OUT_COUNTS:
        taken = 0
        while taken < count:
            messages, kind = turn(rng, True, source) if source in sources else source(rng, True)
            if last_asked(messages) in seen:
                continue
            seen.add(last_asked(messages))
            taken += 1
            if rng.random() < 0.1:
                messages = [{"role": "system", "content": rng.choice(SYSTEM_MESSAGES)}] + messages
            questions.append({"kind": kind, "messages": messages[:-1], "answer": messages[-1]["content"]})
    return questions
