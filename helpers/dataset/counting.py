"""How many tokens a row of a training file has: one count for the checker, the price and the jobs of the mock."""

import json

from .. import tokens
from ..tokens import Size

MOST_REMEMBERED = 1_000  # system prompts, or lists of tools, that all differ


class RowCounter:
    """Counts the tokens of rows as ``tokens.size`` does, but what rows have in common only once."""

    def __init__(self, model: str):
        self.model = model
        self.known: dict[str, int] = {}
        self.known_tools: dict[str, Size] = {}

    def row(self, row: dict, kind: str) -> tuple[Size, int]:
        """All tokens of a row whose shape has been checked, and those of the assistant's texts.

        Of a preference row both answers count: preference jobs are billed, as supervised ones are, "by the number of
        tokens in the training dataset" (help.openai.com, article 11323177, on what reinforcement training costs).
        """
        if kind == "completion":
            prompt, completion = tokens.count_many([row["prompt"], row["completion"]], self.model)
            return Size(prompt + completion, prompt + completion), completion
        asked, messages = row, row.get("messages")
        if kind == "preference":
            asked = row["input"]
            outputs = [
                row.get(f"{name}_output") or row.get(f"{name}_completion")
                for name in ("preferred", "non_preferred")
            ]
            messages = [*asked["messages"], *outputs[0], *outputs[1]]
        size, answers = self._messages(messages)
        for key in ("tools", "functions"):
            if asked.get(key):
                size = size.plus(self._tools(asked[key]))
        return size, answers

    def _messages(self, messages: list[dict]) -> tuple[Size, int]:
        total, texts, roles = tokens.TOKENS_TO_PRIME_REPLY, [], []
        others, answers = None, 0
        for message in messages:
            role, content = message["role"], message.get("content")
            if len(message) != 2 or type(content) is not str:
                total -= tokens.TOKENS_TO_PRIME_REPLY
                size = tokens.size([message], self.model)
                others = others.plus(size) if others else size
                answers += self._answer(message) if role == "assistant" else 0
                continue
            total += tokens.TOKENS_PER_MESSAGE + self._known(role)
            if role == "system":
                total += self._known(content)
            else:
                texts.append(content)
                roles.append(role)
        for role, count in zip(roles, tokens.count_many(texts, self.model), strict=True):
            total += count
            answers += count if role == "assistant" else 0
        size = Size(total, total)
        return others.plus(size) if others else size, answers

    def _answer(self, message: dict) -> int:
        content = message.get("content")
        return tokens.count(content, self.model) if isinstance(content, str) else 0

    def _known(self, text: str) -> int:
        count = self.known.get(text)
        if count is None:
            if len(self.known) >= MOST_REMEMBERED:
                self.known.clear()
            count = self.known[text] = tokens.count(text, self.model)
        return count

    def _tools(self, tools: list[dict]) -> Size:
        name = json.dumps(tools)
        size = self.known_tools.get(name)
        if size is None:
            if len(self.known_tools) >= MOST_REMEMBERED:
                self.known_tools.clear()
            size = self.known_tools[name] = tokens.size_of_tools(tools, self.model)
        return size
