"""A tiny neural language model in numpy: what it reads, how it predicts the next word, how it learns.

It is a feed-forward network (Bengio et al. 2003). It sees the last two words of the answer so far, the mean
of the user's words and the mean of the system prompt's words, and gives a probability to every word of its
vocabulary. Words of the question, and of passages that share words with it, can be copied: each word has a
learned extra weight for that case.

All sums are in float64, so that processors that round differently still agree on the decimals shown.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

EMBEDDING, HIDDEN = 24, 48
VOCABULARY_LIMIT = 3000
UNKNOWN, END = 0, 1  # END also stands before the first word of an answer
CLIP = 5.0  # largest norm of a gradient

# Scripts written without spaces are read character by character.
_SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_SPACELESS}]|[^\W{_SPACELESS}]+|\n|[^\w\s]")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
_LIST_MARK = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")


def tokens(text: str) -> list[str]:
    """Words, punctuation marks and line ends of a text, in lower case."""
    return _TOKEN.findall(text.lower())


def text_of(message: dict) -> str:
    """The text of a chat message; of a list of parts the text parts, of a tool call its name and arguments."""
    content = message.get("content")
    if isinstance(content, list):
        content = "\n".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    if not content and message.get("tool_calls"):
        calls = [call.get("function") or {} for call in message["tool_calls"]]
        content = "\n".join(f"{call.get('name')}({call.get('arguments')})" for call in calls)
    return content if isinstance(content, str) else ""


@dataclass
class Prompt:
    """What the network reads before it answers: words of the user, of the instruction, and what may be copied."""

    user: list[str]
    instruction: list[str]
    copied: dict[str, float]  # word -> 1 if it is in the question, plus 0 to 1 by the best passage it is in
    passages: list[str]  # those that share a word with the question


def read_prompt(messages: list[dict]) -> Prompt:
    """Split a conversation: the last user message, the first sentence of the system prompt, and passages.

    Passages are the other lines of the system prompt, and the lines around the question in the user message.
    A passage counts by the share of the question's words that it holds.
    """
    system = "\n".join(text_of(m) for m in messages if m.get("role") in ("system", "developer"))
    user = next((text_of(m) for m in reversed(messages) if m.get("role") == "user"), "")
    instruction, *rest = _SENTENCE_END.split(system.strip(), maxsplit=1)
    lines = [line for line in user.splitlines() if line.strip()]
    questions = [line for line in lines if line.rstrip().endswith(("?", "？", "؟"))]
    question = questions[-1] if questions else user
    lines = [line for line in lines if questions and line != question] + "\n".join(rest).splitlines()
    asked = _stems(question)
    copied = dict.fromkeys(tokens(question), 1.0)
    passages = []
    for line in lines:
        share = len(asked & _stems(line)) / max(len(asked), 1)
        if share:
            passages.append(_LIST_MARK.sub("", line).strip())
            for word in set(tokens(line)):
                copied[word] = max(copied.get(word, 0.0), share + (word in tokens(question)))
    return Prompt(tokens(user), tokens(instruction), copied, passages)


def _stems(text: str) -> set[str]:
    return {word[:5] for word in tokens(text) if len(word) > 3 or re.match(f"[{_SPACELESS}]", word)}


@dataclass
class Turn:
    """One answer to learn or to score, as word numbers: (length, 2) words before, (length,) words to predict."""

    before: np.ndarray
    target: np.ndarray
    user: list[int]
    instruction: list[int]
    copied: list[int]
    copy_weights: np.ndarray


@dataclass
class Network:
    """The weights, the vocabulary they are for, and the answers that the model has been shown."""

    vocabulary: list[str]
    weights: dict[str, np.ndarray]
    answers: list[str] = field(default_factory=list)

    def __post_init__(self):
        self.number = {word: i for i, word in enumerate(self.vocabulary)}

    @classmethod
    def fresh(cls, vocabulary: Iterable[str], seed: int) -> "Network":
        """An untrained network."""
        words = ["<unk>", "<end>", *vocabulary]
        draw = np.random.default_rng(seed).standard_normal
        weights = {
            "embedding": 0.3 * draw((len(words), EMBEDDING)),
            "hidden": draw((4 * EMBEDDING, HIDDEN)) / np.sqrt(EMBEDDING),
            "hidden_bias": np.zeros(HIDDEN),
            "output": 0.1 * draw((len(words), HIDDEN)),
            "output_bias": np.zeros(len(words)),
            "copy": np.ones(len(words)),
        }
        return cls(words, weights)

    def with_words(self, words: Iterable[str], seed: int) -> "Network":
        """A copy that knows more words; a new word starts near the mean of the known ones."""
        new = [word for word in words if word not in self.number][: VOCABULARY_LIMIT - len(self.vocabulary)]
        rng, weights = np.random.default_rng(seed), {}
        for name, values in self.weights.items():
            weights[name] = values.copy()
            if len(values) == len(self.vocabulary) and new:
                spread = values.std(axis=0)
                rows = values.mean(axis=0) + spread * rng.standard_normal((len(new), *values.shape[1:]))
                weights[name] = np.concatenate([values, rows])
        return Network(self.vocabulary + new, weights, list(self.answers))

    def turn(self, prompt: Prompt, answer: str) -> Turn:
        """An answer to a prompt, as numbers."""
        ids = [self.number.get(word, UNKNOWN) for word in tokens(answer)]
        copied = {self.number[w]: weight for w, weight in prompt.copied.items() if w in self.number}
        return Turn(
            before=np.array(list(zip([END, END, *ids], [END, *ids], strict=False))),
            target=np.array([*ids, END]),
            user=[self.number[word] for word in prompt.user if word in self.number],
            instruction=[self.number[word] for word in prompt.instruction if word in self.number],
            copied=list(copied),
            copy_weights=np.array(list(copied.values())),
        )

    def turns(self, example: dict) -> list[Turn]:
        """The answers of a chat example that are to be learned: all assistant messages but those of weight 0."""
        messages = example["messages"]
        return [
            self.turn(read_prompt(messages[:i]), text_of(message))
            for i, message in enumerate(messages)
            if message.get("role") == "assistant" and message.get("weight") != 0
        ]
