"""What the demo model knows: facts about llm-client, capitals, small talk, and what lies outside its topics."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Topic:
    """One fact. Goals complete "How do I …?", nouns complete "What is …?", questions stand alone."""

    name: str
    answer: str
    goals: list = field(default_factory=list)
    nouns: list = field(default_factory=list)
    questions: list = field(default_factory=list)


HOW_TO_FRAMES = [
    "How do I {}?", "How do I {}?", "How can I {}?", "how to {}", "How would I {}?", "How do you {}?",
    "What is the command to {}?", "Which command lets me {}?", "I want to {}.", "I'd like to {}.",
    "Can you tell me how to {}?", "Tell me how to {}.", "Is there a way to {}?", "What's the way to {}?",
    "Please explain how to {}.", "Show me how to {}.", "I need to {}. How?", "Can I {}?", "How does one {}?",
    "What do I do to {}?", "How should I {}?", "Could you show me how to {}?", "What must I type to {}?",
]  # fmt: skip
NOUN_FRAMES = [
    "What is {}?", "What's {}?", "What does {} do?", "Tell me about {}.", "Explain {}.", "What is {} for?",
    "Can you explain {}?", "What do I use {} for?", "What does {} mean?", "Describe {}.", "I have a question about {}.",
]  # fmt: skip

TOPICS = [
    Topic(
        "list models", "Run `llm-client models`. In code, call `await client.listModels()`.",
        ["list models", "list the models", "list all models", "see which models I have", "show the available models",
         "see all my models", "find out which models are installed", "get a list of models", "display the models",
         "check which models there are", "look up my local models"],
        ["`llm-client models`", "the models command", "listModels", "the command models"],
        ["Which models do I have?", "What models are available?", "Where do I see the models?", "List models",
         "Show me the models", "Which models are there?", "Which models can I use?", "What models can I run?"],
    ),
    Topic(
        "generate", 'Run `llm-client generate "your prompt"`. The answer streams to your terminal.',
        ["generate text", "generate an answer", "ask a question on the command line", "send a prompt", "run a prompt",
         "get an answer in the terminal", "prompt a model", "generate", "complete a text", "generate some text",
         "ask a model something from the terminal"],
        ["`llm-client generate`", "the generate command", "the command generate"],
        ["Which command generates text?", "What command answers a prompt?", "How does generate work?",
         "How is text generated?"],
    ),
    Topic(
        "chat", "Run `llm-client chat` to have a conversation in the terminal.",
        ["chat", "chat with a model", "start a chat", "have a conversation", "talk to a model", "open a chat",
         "have a dialogue with a model", "hold a conversation in the terminal", "start a conversation"],
        ["`llm-client chat`", "the chat command", "the command chat"],
        ["Is there a chat?", "Which command starts a chat?", "How does chat work?", "Is there a chat mode?"],
    ),
    Topic(
        "health", "Run `llm-client health`. In code, call `await client.health()`.",
        ["check health", "check the health", "see if everything works", "check if a provider is up", "test a provider",
         "check that the provider works", "see whether mlx works", "do a health check", "see if Ollama is running",
         "find out whether a provider is available"],
        ["`llm-client health`", "the health command", "the health check", "the command health"],
        ["Is my provider working?", "Is there a health check?", "Which command checks the health?", "How does health work?",
         "Does mlx work here?"],
    ),
    Topic(
        "choose provider", "Use `-p` or `--provider` with mlx, ollama, lmstudio or auto.",
        ["choose a provider", "pick a provider", "select a provider", "change the provider", "switch the provider",
         "set the provider", "use another provider", "use Ollama", "use LM Studio", "use mlx", "switch to Ollama",
         "switch to mlx", "choose between mlx and Ollama"],
        ["-p", "--provider", "the --provider flag", "the -p flag", "the provider option"],
        ["Which flag sets the provider?", "Which flag picks the provider?", "Where do I set the provider?"],
    ),
    Topic(
        "choose model", "Use `-m` or `--model`, for example `-m demo`.",
        ["choose a model", "pick a model", "select a model", "change the model", "switch models", "set the model",
         "use another model", "use the demo model", "use a different model", "say which model to use", "name the model"],
        ["-m", "--model", "the --model flag", "the -m flag", "the model option"],
        ["Which flag sets the model?", "Which flag picks the model?", "Where do I set the model?"],
    ),
    Topic(
        "temperature", "Use `-t` or `--temperature` with a value from 0.0 to 2.0. The default is 0.7.",
        ["set the temperature", "change the temperature", "lower the temperature", "raise the temperature",
         "make answers more random", "make answers less random", "use temperature 0", "adjust the temperature",
         "get more creative answers"],
        ["-t", "--temperature", "the temperature", "temperature", "the --temperature flag", "the -t flag"],
        ["Which flag sets the temperature?", "What is the default temperature?", "Which temperatures are allowed?",
         "How high can the temperature be?", "Where do I set the temperature?"],
    ),
    Topic(
        "max tokens", "Use `--max-tokens`, for example `--max-tokens 100`.",
        ["limit the length of the answer", "set the maximum number of tokens", "limit the tokens", "set max tokens",
         "get shorter answers", "make the answer shorter", "limit the output", "stop after 100 tokens"],
        ["--max-tokens", "max tokens", "the --max-tokens flag"],
        ["Which flag limits the length?", "Which flag limits the tokens?", "How long can an answer be?"],
    ),
    Topic(
        "system prompt", "Use `--system` with the text of your system message.",
        ["set a system prompt", "set the system prompt", "give a system message", "add a system message",
         "change the system prompt", "use a system prompt", "tell the model how to behave"],
        ["--system", "the system prompt", "the system message", "the --system flag"],
        ["Which flag sets the system prompt?", "Where do I put the system prompt?"],
    ),
    Topic(
        "seed", "Use `--seed` with a number. The same seed gives the same text.",
        ["set the seed", "set a seed", "get the same answer twice", "make answers reproducible", "repeat an answer exactly",
         "use a fixed seed", "get reproducible output"],
        ["--seed", "the seed", "the --seed flag"],
        ["Which flag sets the seed?", "Are answers reproducible?", "Can answers be repeated?"],
    ),
    Topic(
        "top p", "Use `--top-p` with a value up to 1, for example `--top-p 0.9`.",
        ["set top p", "set top-p", "change top-p", "use nucleus sampling", "adjust top p"],
        ["--top-p", "top p", "top-p", "the --top-p flag"],
        ["Which flag sets top p?", "Which flag is for nucleus sampling?"],
    ),
    Topic(
        "streaming", "Answers stream by default. Use `--no-stream` to get them in one piece.",
        ["turn off streaming", "switch off streaming", "disable streaming", "get the answer in one piece", "stop streaming",
         "stream an answer", "stream the output", "get the whole answer at once", "stream text on the command line"],
        ["--no-stream", "the --no-stream flag"],
        ["Does it stream?", "Are answers streamed?", "Which flag turns off streaming?", "Is streaming the default?"],
    ),
    Topic(
        "raw", "Use `--raw`. It sends the prompt without the chat template.",
        ["send a raw prompt", "skip the chat template", "turn off the chat template", "leave out the chat template",
         "prompt without the template"],
        ["--raw", "the --raw flag", "raw mode", "the raw option"],
        ["Which flag skips the chat template?", "Is there a raw mode?"],
    ),
    Topic(
        "json", "Add `--json`. It prints one JSON object.",
        ["get JSON", "get JSON output", "print JSON", "get the answer as JSON", "make the output JSON", "use JSON output",
         "get output for a script", "get machine readable output"],
        ["--json", "the --json flag", "JSON output", "the json option"],
        ["Which flag prints JSON?", "Can it print JSON?", "Is there JSON output?", "Does it support JSON output?"],
    ),
    Topic(
        "timeout", "Use `--timeout` with a number of seconds. The default is 30.",
        ["set a timeout", "set the timeout", "change the timeout", "wait longer for an answer", "raise the timeout",
         "use a longer timeout", "limit the waiting time"],
        ["--timeout", "the timeout", "the --timeout flag"],
        ["Which flag sets the timeout?", "What is the default timeout?", "How long does it wait?", "How long is the timeout?"],
    ),
    Topic(
        "stdin", 'Pipe it in, for example `cat notes.txt | llm-client generate "Sum this up"`.',
        ["read from stdin", "pipe text in", "pass a file to the model", "use a pipe", "send a file as the prompt",
         "pipe a file into the prompt", "use standard input", "give it a text file"],
        ["stdin", "standard input"],
        ["Does it read stdin?", "Can it read a file?", "Does it work in a pipe?", "Does it read standard input?"],
    ),
    Topic(
        "code", 'Import `LLMClient` from "mlx-llm-client" and call `await client.generate("Hello")`.',
        ["use it from code", "use it in code", "call it from JavaScript", "use it in my program", "use it from TypeScript",
         "use the library", "write code with it", "use it in Node", "call a model from my code", "import the library",
         "use llm-client from code", "use the package in my project"],
        ["LLMClient", "the LLMClient class", "the library"],
        ["Is there an API?", "Which class do I import?", "Does it work in TypeScript?", "Which class is the client?"],
    ),
    Topic(
        "code streaming", "Call `client.stream(request)` and read its events with `for await`.",
        ["stream from code", "stream in code", "stream text in my program", "read the stream in code", "stream in JavaScript",
         "get stream events", "stream tokens in code", "stream in TypeScript"],
        ["client.stream", "a stream event", "the stream method"],
        ["Which method streams?", "Which method of the client streams text?"],
    ),
    Topic(
        "close", "Call `await client.close()`, or declare the client with `await using`.",
        ["close the client", "free the memory", "release the model", "shut down the client", "clean up the client",
         "unload the model"],
        ["client.close", "await using", "the close method"],
        ["Do I have to close the client?", "Which method closes the client?"],
    ),
    Topic(
        "cancel", "Pass an AbortSignal as `signal` in the request, and abort it.",
        ["cancel a request", "abort a request", "stop a generation", "cancel a generation", "abort the generation",
         "interrupt an answer", "stop an answer in code"],
        ["the signal field", "AbortSignal", "signal"],
        ["Can a request be cancelled?", "Can requests be aborted?"],
    ),
    Topic(
        "providers", "There are three providers: mlx, ollama and lmstudio.",
        ["see the providers", "list the providers", "list providers"],
        ["a provider", "the list of providers"],
        ["Which providers are there?", "What providers are there?", "Which providers do you support?", "List the providers",
         "What providers can I use?", "Which providers does llm-client have?", "How many providers are there?",
         "Name the providers.", "Which backends are there?", "What backends are supported?", "Which providers are supported?"],
    ),
    Topic(
        "mlx provider", "The mlx provider runs MLX models inside the Node process.",
        ["run a model in-process", "run a model inside Node", "run MLX models"],
        ["the mlx provider", "mlx", "MLX", "the provider mlx", "in-process inference"],
        ["Where does the model run?", "Where do models run?", "Which provider runs in-process?", "Does it run in-process?",
         "What runs inside the Node process?", "Where does it run in-process?", "Which provider runs inside Node?",
         "Where does it run?", "Where does mlx run?"],
    ),
    Topic(
        "python", "No Python is needed. MLX models run inside the Node process, through a C++ addon.",
        ["run it without Python"],
        ["the addon", "the C++ addon", "the native addon"],
        ["Do I need Python?", "Does it need Python?", "Is Python required?", "Does it use Python?", "Does it start a Python process?",
         "Is there a Python sidecar?"],
    ),
    Topic(
        "ollama provider", "The ollama provider talks to an Ollama server, by default at http://localhost:11434.",
        ["connect to Ollama", "reach an Ollama server", "connect to the Ollama server"],
        ["the ollama provider", "Ollama", "the provider ollama", "the Ollama server"],
        ["Where is Ollama expected?", "Which port does Ollama use?", "What is the address of Ollama?"],
    ),
    Topic(
        "lmstudio provider", "The lmstudio provider talks to LM Studio, by default at http://localhost:1234.",
        ["connect to LM Studio", "reach LM Studio", "connect to the LM Studio server"],
        ["the lmstudio provider", "LM Studio", "lmstudio", "the provider lmstudio"],
        ["Where is LM Studio expected?", "Which port does LM Studio use?", "What is the address of LM Studio?"],
    ),
    Topic(
        "auto", "On Apple silicon auto tries mlx, ollama, lmstudio. Elsewhere it tries ollama, lmstudio, mlx.",
        ["let llm-client choose the provider", "have the provider chosen for me"],
        ["the provider auto", "auto", "--provider auto", "the auto provider"],
        ["Which provider is the default?", "What is the default provider?", "Which provider comes first?",
         "In which order are providers tried?", "Which provider is tried first?"],
    ),
    Topic(
        "fallback", "When a provider fails, llm-client goes on with the next one in the chain.",
        ["set up a fallback", "fall back to another provider", "configure fallback providers", "use a second provider as backup"],
        ["the fallback", "fallback", "a fallback", "fallbackConfigs"],
        ["What happens when a provider fails?", "What happens if a provider fails?", "What if Ollama is down?",
         "What if mlx does not work?", "What happens if a provider is down?", "What if a provider does not answer?",
         "Is there a fallback?", "What does it do when a provider fails?", "What happens when Ollama is not running?"],
    ),
    Topic(
        "install", "Run `npm install mlx-llm-client`. It needs Node 20 or newer.",
        ["install llm-client", "install the package", "install it", "set it up", "add it to my project", "get llm-client",
         "install mlx-llm-client", "get started"],
        ["mlx-llm-client", "the npm package"],
        ["Which Node version do I need?", "Does it work with Node 20?", "What do I need to install it?", "Is it on npm?",
         "What is the name of the package?", "Which version of Node does it need?"],
    ),
    Topic(
        "about llm-client", "llm-client is a Node package and a command for language models on MLX, Ollama and LM Studio.",
        [],
        ["llm-client", "this tool", "this program", "this package", "this project", "the llm-client command"],
        ["What can llm-client do?", "What is llm-client good for?", "Who is llm-client for?", "Why should I use llm-client?"],
    ),
    Topic(
        "platforms", "MLX is made for Apple silicon. On Linux and Windows the same call can fall back to Ollama.",
        ["use it on Linux", "use it on Windows", "use it on a Mac", "run it on Linux", "run it on Windows", "run it on a Mac"],
        ["the supported platforms"],
        ["Does it work on Linux?", "Does it work on Windows?", "Does it run on a Mac?", "Do I need a Mac?",
         "Which platforms are supported?", "Do I need Apple silicon?", "Which computers does it run on?"],
    ),
    Topic(
        "licence", "llm-client and its demo model are under the MIT licence.",
        [],
        ["the licence", "the license", "the MIT licence"],
        ["Which licence does it have?", "Is it free?", "Is it open source?", "Can I use it in a commercial product?",
         "What license is it under?", "Is it free software?", "Which license does llm-client have?"],
    ),
]  # fmt: skip

CAPITALS = {
    "France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid", "Portugal": "Lisbon", "Greece": "Athens",
    "Austria": "Vienna", "Switzerland": "Bern", "Belgium": "Brussels", "the Netherlands": "Amsterdam", "Denmark": "Copenhagen",
    "Sweden": "Stockholm", "Norway": "Oslo", "Finland": "Helsinki", "Iceland": "Reykjavik", "Ireland": "Dublin",
    "the United Kingdom": "London", "Poland": "Warsaw", "Hungary": "Budapest", "Romania": "Bucharest", "Bulgaria": "Sofia",
    "Croatia": "Zagreb", "Serbia": "Belgrade", "Ukraine": "Kyiv", "Russia": "Moscow", "Turkey": "Ankara", "Egypt": "Cairo",
    "Morocco": "Rabat", "Kenya": "Nairobi", "Ethiopia": "Addis Ababa", "Ghana": "Accra", "Japan": "Tokyo", "China": "Beijing",
    "India": "New Delhi", "Thailand": "Bangkok", "Vietnam": "Hanoi", "Indonesia": "Jakarta", "South Korea": "Seoul",
    "Iran": "Tehran", "Iraq": "Baghdad", "Israel": "Jerusalem", "Saudi Arabia": "Riyadh", "Pakistan": "Islamabad",
    "Nepal": "Kathmandu", "Australia": "Canberra", "New Zealand": "Wellington", "Canada": "Ottawa",
    "the United States": "Washington", "Mexico": "Mexico City", "Cuba": "Havana", "Brazil": "Brasilia",
    "Argentina": "Buenos Aires", "Chile": "Santiago", "Peru": "Lima", "Colombia": "Bogota", "Venezuela": "Caracas",
    "Ecuador": "Quito", "Uruguay": "Montevideo", "Philippines": "Manila", "Czechia": "Prague",
}  # fmt: skip
CAPITALS["the Philippines"] = CAPITALS.pop("Philippines")

UNKNOWN_PLACES = [
    "Atlantis", "Mongolia", "Latvia", "Estonia", "Lithuania", "Jamaica", "Zambia", "Zimbabwe", "Malta", "Fiji", "Tonga", "Mali",
    "Chad", "Niger", "Panama", "Honduras", "Paraguay", "Bolivia", "Kuwait", "Qatar", "Oman", "Laos", "Cambodia", "Bhutan",
    "Slovenia", "Albania", "Moldova", "Georgia", "Armenia", "Texas", "California", "Bavaria", "Mars", "the Moon", "Narnia",
    "Mordor", "Uganda", "Rwanda", "Senegal", "Angola", "Somalia", "Sudan", "Libya", "Tunisia", "Algeria", "Sri Lanka",
    "Madagascar", "Bangladesh", "Malaysia", "Singapore", "Scotland", "Wales", "Florida", "Slovakia", "Cyprus", "Nigeria",
]  # fmt: skip


@dataclass(frozen=True)
class Talk:
    """Small talk: phrases that get the same answer; opener says whether "Hi!" may stand before them."""

    answer: str
    phrases: list
    opener: bool = True


CHAT = [
    Talk(
        "Hello! How can I help you?",
        ["Hi", "Hello", "Hey", "Hi!", "Hello!", "Hey!", "Hi there", "Hello there!", "Hi there!", "Good morning", "Good morning!",
         "Good evening", "Good evening!", "Good afternoon", "Good afternoon!", "Good day", "Greetings", "Greetings!", "Hey there",
         "Hello demo", "Hi demo!", "hello hello", "hi :)", "Hiya", "Howdy", "Hallo", "Hello model", "Say hello", "Yo", "hello?"],
        opener=False,
    ),
    Talk(
        "I am the demo model of llm-client, a tiny language model that runs inside your Node process.",
        ["Who are you?", "What are you?", "Who is this?", "What is your name?", "What's your name?", "Are you a robot?",
         "Are you a model?", "Are you an AI?", "Are you ChatGPT?", "Are you human?", "Introduce yourself.", "Tell me about yourself.",
         "Which model are you?", "What model is this?", "What kind of model are you?", "Do you have a name?", "Are you a person?",
         "Who am I talking to?", "What is this model?", "Are you a large language model?", "Are you Claude?", "Are you a bot?",
         "Say who you are.", "Tell me who you are.", "What exactly are you?", "What is the demo model?", "What is the model demo?"],
    ),
    Talk(
        "I can answer questions about llm-client, add and subtract small numbers, and name some capitals.",
        ["What can you do?", "What do you know?", "Help", "Help me", "Can you help me?", "How can you help me?", "help!",
         "What can I ask you?", "What are you good at?", "What are you able to do?", "What do you do?", "What are your skills?",
         "What can I do here?", "I need help.", "What topics do you know?", "Can you do anything useful?", "What should I ask?",
         "What can you help me with?", "Which questions can you answer?"],
    ),
    Talk(
        "You're welcome!",
        ["Thanks", "Thanks!", "Thank you", "Thank you!", "Thank you very much!", "Thanks a lot", "Thanks a lot!", "Many thanks",
         "thx", "Great, thanks!", "Ok, thanks.", "Thank you so much", "Perfect, thank you.", "Cool, thanks", "Nice, thank you!",
         "That helped, thanks.", "Thanks for your help!", "ty", "Thanks, that is all.", "I thank you."],
        opener=False,
    ),
    Talk(
        "Goodbye!",
        ["Bye", "Bye!", "Goodbye", "Goodbye!", "See you", "See you later", "See you!", "Good night", "Good night!", "Farewell",
         "bye bye", "Thanks, bye!", "I have to go.", "Have a nice day!", "See you tomorrow", "cya", "Until next time!",
         "Ok, bye.", "I'm leaving now.", "Take care!"],
        opener=False,
    ),
    Talk(
        "I am fine, thank you. What would you like to know?",
        ["How are you?", "How are you doing?", "How is it going?", "How's it going?", "Are you ok?", "Are you well?", "What's up?",
         "How do you do?", "How are you today?", "How are things?", "How do you feel?", "Are you fine?", "All good?", "you ok?"],
    ),
    Talk(
        "I was trained from scratch by a script of llm-client, on text that the script made up.",
        ["Who made you?", "Who trained you?", "How were you trained?", "Who created you?", "Where do you come from?",
         "What were you trained on?", "Who built you?", "Who is your maker?", "How were you made?", "Which data were you trained on?",
         "What is your training data?", "Who wrote you?"],
    ),
    Talk(
        "I have about 900,000 parameters and take 1 MB.",
        ["How big are you?", "How large are you?", "How many parameters do you have?", "What is your size?", "Are you big?",
         "Are you small?", "How many megabytes do you have?", "How small are you?", "What size are you?", "Are you a small model?"],
    ),
    Talk(
        "Great!",
        ["Ok", "Okay", "Good", "Nice", "Cool", "Great", "Great!", "Perfect", "Very good", "Well done", "Well done!", "I see", "Alright",
         "Good job!", "Good answer", "That is right.", "Correct!", "Yes", "Wonderful!", "ok.", "You are right."],
        opener=False,
    ),
    Talk(
        "I am sorry. I am only a tiny model and make mistakes.",
        ["That is wrong.", "That's wrong!", "Wrong", "You are wrong.", "That is not right.", "No", "No!", "You made a mistake.",
         "This is not correct.", "You are stupid.", "You are bad at this.", "Bad answer", "I don't believe you.", "Nonsense!",
         "Are you sure?", "That can't be right."],
        opener=False,
    ),
    Talk(
        "You have not told me your name.",
        ["What is my name?", "What's my name?", "Who am I?", "Do you know my name?", "Do you remember my name?", "Guess my name."],
    ),
    Talk(
        "I speak only English.",
        ["Do you speak German?", "Do you speak French?", "Which languages do you speak?", "Can you speak Spanish?", "Parlez-vous français?",
         "Sprechen Sie Deutsch?", "Do you understand Chinese?", "Do you speak English?", "What languages do you know?",
         "¿Hablas español?", "Wie geht es dir?", "Guten Tag!", "Bonjour!", "Hola", "Können Sie Deutsch?", "你好", "Привет"],
    ),
]  # fmt: skip

OFF_TOPIC = [
    ("Who wrote {}?", "works"), ("Who is the author of {}?", "works"), ("What is {} about?", "works"), ("When was {} written?", "works"),
    ("Have you read {}?", "works"), ("Do you like {}?", "works"), ("Can you summarize {}?", "works"), ("Who made {}?", "works"),
    ("How tall is {}?", "sights"), ("Where is {}?", "sights"), ("When was {} built?", "sights"), ("How old is {}?", "sights"),
    ("How far away is {}?", "sights"), ("Who built {}?", "sights"), ("Have you seen {}?", "sights"), ("How do I get to {}?", "sights"),
    ("Who is {}?", "people"), ("Who was {}?", "people"), ("When was {} born?", "people"), ("Where was {} born?", "people"),
    ("How old is {}?", "people"), ("What did {} do?", "people"), ("Is {} still alive?", "people"), ("Tell me about {}.", "people"),
    ("What is the weather in {}?", "cities"), ("How is the weather in {}?", "cities"), ("Will it rain in {}?", "cities"),
    ("How many people live in {}?", "cities"), ("What time is it in {}?", "cities"), ("Find me a hotel in {}.", "cities"),
    ("How do I get to {}?", "cities"), ("Is {} a nice city?", "cities"), ("Book a flight to {}.", "cities"),
    ("What is the population of {}?", "cities"),
    ("What is {}?", "things"), ("Explain {} to me.", "things"), ("How does {} work?", "things"), ("Tell me about {}.", "things"),
    ("Why is {} important?", "things"), ("Who invented {}?", "things"), ("Write a poem about {}.", "things"),
    ("Write an essay about {}.", "things"), ("Tell me a story about {}.", "things"), ("What do you think about {}?", "things"),
    ("What color is {}?", "things"), ("Do you like {}?", "things"), ("What is the price of {}?", "things"), ("Where can I buy {}?", "things"),
    ("Draw {}.", "things"), ("Make a joke about {}.", "things"), ("What are the facts about {}?", "things"),
    ("How do I cook {}?", "dishes"), ("What is the recipe for {}?", "dishes"), ("How long do I boil {}?", "dishes"),
    ("Give me a recipe for {}.", "dishes"), ("Do you like {}?", "dishes"), ("Is {} healthy?", "dishes"), ("How do I make {}?", "dishes"),
    ("Translate {} into French.", "words"), ("How do you spell {}?", "words"), ("What rhymes with {}?", "words"),
    ("What is the German word for {}?", "words"), ("Translate the word {}.", "words"), ("What is the opposite of {}?", "words"),
    ("Who won {}?", "events"), ("When was {}?", "events"), ("When is {}?", "events"), ("Where is {}?", "events"), ("Why was there {}?", "events"),
    ("What happened in {}?", "events"), ("Tell me about {}.", "events"),
    ("Tell me a joke.", None), ("Tell me a joke", None), ("What time is it?", None), ("What day is today?", None), ("What is the date?", None),
    ("What is the meaning of life?", None), ("Is there a God?", None), ("What should I eat today?", None), ("Sing a song.", None),
    ("Write a poem.", None), ("Write a story.", None), ("What is the news today?", None), ("Who will win the election?", None),
    ("How much money do I have?", None), ("Do you love me?", None), ("What is your favorite color?", None), ("Where do you live?", None),
    ("Can you see me?", None), ("Play some music.", None), ("What is the best movie?", None), ("Write a program in C.", None),
    ("Write a Python function.", None), ("Fix my code.", None), ("How do I learn to swim?", None), ("Why is the sky blue?", None),
    ("How many days are in a year?", None), ("Set a timer.", None), ("Call my mother.", None), ("Open the window.", None),
    ("What is my password?", None), ("How do I tie a tie?", None), ("Recommend a book.", None), ("What do cats eat?", None),
    ("How fast is light?", None), ("Can pigs fly?", None), ("Give me advice.", None), ("Once upon a time", None), ("Who is the president?", None),
    ("asdf", None), ("...", None), ("?", None), ("test", None), ("foo bar", None), ("lorem ipsum", None),
]  # fmt: skip

OFF_TOPIC_ENTITIES = {
    "works": [
        "Hamlet", "Faust", "War and Peace", "the Bible", "Don Quixote", "Moby Dick", "Harry Potter", "the Odyssey", "Star Wars",
        "the Mona Lisa", "Dracula", "Frankenstein", "Ulysses", "Macbeth", "Alice in Wonderland", "Robinson Crusoe", "Titanic",
        "the Magic Flute", "The Lord of the Rings", "Pinocchio",
    ],
    "sights": [
        "the Eiffel Tower", "Mount Everest", "Big Ben", "the moon", "the sun", "the Great Wall", "the Colosseum", "the pyramid of Giza",
        "the Brooklyn Bridge", "the White House", "the North Pole", "Mars", "Jupiter", "the Amazon", "the Nile", "the Sahara",
        "the nearest star", "Stonehenge", "the Statue of Liberty", "the Taj Mahal",
    ],
    "people": [
        "Einstein", "Napoleon", "Mozart", "Shakespeare", "Julius Caesar", "Cleopatra", "Isaac Newton", "Marie Curie", "Picasso",
        "Beethoven", "Abraham Lincoln", "Gandhi", "Elvis", "Madonna", "Pele", "Columbus", "Plato", "Ada Lovelace", "Alan Turing",
        "Galileo", "Steve Jobs", "the Pope", "the king", "my neighbour",
    ],
    "cities": [
        "New York", "Hamburg", "Milan", "Barcelona", "Sydney", "Toronto", "Chicago", "Mumbai", "Shanghai", "Paris", "London", "Berlin",
        "Boston", "Munich", "Geneva", "Venice", "Naples", "Glasgow", "Osaka", "Los Angeles", "my town", "Rome", "Tokyo", "Marseille",
    ],
    "things": [
        "gravity", "a black hole", "love", "an elephant", "a car", "electricity", "the internet", "a computer", "music", "a tree",
        "an atom", "water", "a horse", "football", "chess", "a dinosaur", "money", "philosophy", "history", "a dog", "a cat", "the sea",
        "gold", "quantum physics", "a rainbow", "an airplane", "the brain", "a bicycle", "photosynthesis", "time", "bitcoin", "blockchain",
        "a flower", "the weather", "winter", "biology", "a transformer", "democracy", "happiness", "coffee",
    ],
    "dishes": [
        "spaghetti", "rice", "an egg", "soup", "pizza", "bread", "a cake", "potatoes", "chicken", "fish", "pancakes", "lasagna", "tea",
        "salad", "curry", "beans",
    ],
    "words": [
        "house", "dog", "good", "water", "hello", "beautiful", "tree", "happy", "small", "night", "friend", "apple", "school", "yellow",
        "necessary", "rhythm",
    ],
    "events": [
        "the World Cup", "the French Revolution", "the Second World War", "Christmas", "the Olympic Games", "the last election",
        "the moon landing", "Easter", "the Super Bowl", "the Middle Ages", "the Ice Age", "1789", "1969", "the Renaissance",
        "the Cold War", "my birthday",
    ],
}  # fmt: skip

SYSTEM_MESSAGES = [
    "You are a helpful assistant.", "You are a helpful assistant.", "You are helpful.", "Be brief.", "Answer briefly.", "Be concise.",
    "You are the assistant of llm-client.", "You are a friendly assistant.", "Answer in one sentence.", "You are a calculator.",
    "You help people with llm-client.", "You are an expert.", "Answer the question.", "Be polite.", "You are a teacher.",
    "You are a careful assistant. Answer in English.", "Please answer as short as possible.", "You are a concise and honest assistant.",
    "You are a geography expert.", "You are a math tutor.", "Be friendly and brief.", "You are a chatbot.", "Do not lie.",
    "You are a pirate.", "Keep answers short and clear.", "You are an assistant that answers questions about software.",
]  # fmt: skip
