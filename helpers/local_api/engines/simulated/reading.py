"""What the simulated model reads: words of any language, and the parts of a conversation."""

import heapq
import itertools
import re
from dataclasses import dataclass

# Scripts written without spaces (Thai, Lao, Burmese, Khmer, Japanese, Chinese) are read character by character.
_SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_SPACELESS}]|[^\W{_SPACELESS}]+|\n|[^\w\s]")
_FIRST_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
_LIST_MARK = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")
_QUESTION_MARKS = ("?", "？", "؟")
STEM = 5  # letters: a crude way to take "sausage" and "sausages" for one word
# What is longer is not read to its end.
READ_LIMIT = 256  # words of a message
WORDS_WITHIN = 20_000  # characters in which they are looked for
PROMPT_LIMIT = 100_000  # characters of a question or a system prompt
MESSAGES_LIMIT = 200  # messages of an example
PASSAGES_LIMIT = 200  # passages of a prompt, those that fit the question best


def tokens(text: str) -> list[str]:
    """Words, punctuation marks and line ends of a text, in lower case; at most READ_LIMIT of them."""
    return [text[start:end].lower() for start, end in places(text)]


def places(text: str) -> list[tuple[int, int]]:
    """Where these words begin and end in the text."""
    found = _TOKEN.finditer(text[:WORDS_WITHIN])
    return [match.span() for match in itertools.islice(found, READ_LIMIT)]


def text_of(message: dict) -> str:
    """The text of a chat message: of a list of parts the text parts, of tool calls their names and arguments."""
    content = message.get("content")
    if isinstance(content, list):
        content = "\n".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    if not content:
        content = "\n".join(f"{name}({arguments})" for name, arguments in calls_of(message))
    return content if isinstance(content, str) else ""


def calls_of(message: dict) -> list[tuple[str, str]]:
    """The functions that an assistant message calls, with their arguments; the way of 2023 too."""
    calls = [call.get("function") or call.get("custom") or {} for call in message.get("tool_calls") or ()]
    if message.get("function_call"):
        calls.append(message["function_call"])
    return [(str(call.get("name")), str(call.get("arguments", call.get("input")))) for call in calls]


def is_reply(message: dict) -> bool:
    """Whether a message is what a function replied."""
    return message.get("role") in ("tool", "function")


@dataclass
class Prompt:
    """What is read before an answer is given."""

    user: list[str]
    instruction: list[str]
    copied: dict[str, tuple[float, float]]  # word -> 1 if it is in the question; 0 to 1 by its best passage
    passages: list[str]
    found: float  # 0 to 1: how well the best passage fits the question


def read_prompt(messages: list[dict]) -> Prompt:
    """The last user message, the first sentence of the system prompt, and the passages that may be quoted.

    A passage is another line of the system prompt, or a line beside the question in the user message. It counts
    by the share of the question's longer words that it holds; one that holds none is not a passage.
    """
    system = "\n".join(text_of(m) for m in messages if m.get("role") in ("system", "developer"))
    user = next((text_of(m) for m in reversed(messages) if m.get("role") == "user"), "")
    system, user = system[:PROMPT_LIMIT], user[:PROMPT_LIMIT]
    instruction, *rest = _FIRST_SENTENCE_END.split(system.strip(), maxsplit=1)
    lines = user.splitlines()
    questions = [line for line in lines if line.rstrip().endswith(_QUESTION_MARKS)]
    question = questions[-1] if questions else user
    beside = [line for line in lines if line != question] if questions else []

    asked = tokens(question)
    about, among_asked = stems(question), set(asked)
    further = "\n".join(rest).splitlines()
    copied = dict.fromkeys(asked, (1.0, 0.0))
    shares = ((len(about & stems(line)) / max(len(about), 1), line) for line in beside + further)
    fitting = [(share, line) for share, line in shares if share]
    best = heapq.nlargest(PASSAGES_LIMIT, range(len(fitting)), key=lambda place: fitting[place][0])
    fitting = [fitting[place] for place in sorted(best)]
    for share, line in fitting:
        for word in tokens(line):
            copied[word] = (float(word in among_asked), max(copied.get(word, (0, 0))[1], share))
    passages = [_LIST_MARK.sub("", line).strip() for _, line in fitting]
    return Prompt(
        tokens(user), tokens(instruction), copied, passages, max((s for s, _ in fitting), default=0.0)
    )


def stems(text: str) -> set[str]:
    """The beginnings of the longer words of a text: what it is about, very roughly."""
    return {word[:STEM] for word in tokens(text) if len(word) > 3 or re.match(f"[{_SPACELESS}]", word)}
