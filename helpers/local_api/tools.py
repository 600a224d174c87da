"""Functions that a model may call: what a request offers, which calls are right, and whether every call is answered.

The rule by which the simulated models call, where they were tuned on no call that fits: with ``tool_choice`` "auto",
a function that the last user message names is called; else, if a word of it (of four letters or more, but for some that
stand everywhere) stands in a function's name or description, the function that shares most words; else, if the message
has SENTENCE such words or more, the function that shares most words with the system prompt; else they answer with text.
Replies to calls are answered with text. "required" calls the function that shares most words, and a named
function is always called. Its arguments satisfy its schema, and their values are plainly simulated. They call one
function at a time.

The trained model writes a call as ``name(arguments)``, several one to a line: so it learned those of its examples. What
it may write is a form: with "auto" a text, or calls once it has begun with the name of a function; else calls alone.

Words and codes of the errors were seen live by third parties, 2024 to 2026.
"""

import json
import re
from dataclasses import dataclass, field

from llguidance import regex_to_lark

from . import structured
from .engines.simulated.reading import is_reply, stems, text_of
from .errors import APIError, bad_request
from .structured import Form, FormError
from .validate import check_name, empty_array

WORD_IN_NAME = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
EVERYWHERE = stems(
    "about also been could does each from give have into just know like make more must need only other over please "
    "should some such tell than that their them then there these they this used want well were what when where which "
    "will with would your"
)
OF_PROMPTS = stems("answer assistant helpful question user users")  # in a system prompt they say nothing
SENTENCE = 3
WORDS, PUNCTUATION = 100, ".,;:!?\"'()[]{}"
NO_PARAMETERS = {"type": "object", "properties": {}, "additionalProperties": False}
ONLY_WITH = {"tool_choice": "tools", "parallel_tool_calls": "tools", "function_call": "functions"}


@dataclass(frozen=True)
class Call:
    """A call of a function: its arguments are JSON; of a custom tool they are any text."""

    name: str
    arguments: str
    custom: bool = False


@dataclass(frozen=True)
class Function:
    """What may be called."""

    name: str
    description: str = ""
    parameters: dict = field(default_factory=lambda: NO_PARAMETERS)
    strict: bool = False
    custom: dict | None = None  # the format of a custom tool's text

    @property
    def form(self) -> Form:
        """What its arguments have to look like. Raises FormError if that cannot be followed."""
        if self.custom is None:
            return structured.of_schema({"type": "object"} | self.parameters, strict=self.strict)
        if self.pattern is None:
            return structured.of_lark(self.custom["grammar"]["definition"])
        return structured.of_regex(self.pattern)

    @property
    def pattern(self) -> str | None:
        """The regular expression of a custom tool's text, if that is what it is."""
        if self.custom is None:
            return None
        grammar = self.custom.get("grammar") or {"syntax": "regex", "definition": "(?s:.*)"}
        return grammar["definition"] if grammar["syntax"] == "regex" else None

    def is_named_in(self, text: str) -> bool:
        """Whether the text says its name; short ones are words like any other."""
        return len(self.name) > 3 and bool(re.search(rf"(?<!\w){re.escape(self.name)}(?!\w)", text))

    def words(self) -> set[str]:
        """The beginnings of the longer words of its name and description."""
        return stems(" ".join([*WORD_IN_NAME.findall(self.name), self.description]))


@dataclass(frozen=True)
class Offer:
    """What a request offers: the functions that may be called, and whether one of them must be."""

    functions: dict[str, Function]
    must: bool = False
    named: bool = False  # one was asked for by name
    parallel: bool = True
    legacy: bool = False  # ``functions`` and ``function_call``, the way of 2023

    def takes(self, calls: list[Call]) -> bool:
        """Whether these calls may be the answer: of functions that are offered, with arguments that fit."""
        return all(self._fits(call) for call in calls) and (len(calls) == 1 or self.parallel)

    def _fits(self, call: Call) -> bool:
        function = self.functions.get(call.name)
        try:
            return function is not None and function.form.takes(call.arguments)
        except FormError:
            return False

    def answers_in_words(self, messages: list[dict]) -> bool:
        """Whether a reply to a call is to be answered, and no further call is asked for."""
        return not self.must and bool(messages) and is_reply(messages[-1])

    def chosen(self, messages: list[dict]) -> Function | None:
        """The function to call by the rule above; None for an answer in words."""
        if not self.functions or self.answers_in_words(messages):
            return None
        text = question(messages)
        asked = stems(text) - EVERYWHERE

        told = stems(_system_prompt(messages)) - EVERYWHERE - OF_PROMPTS if len(asked) >= SENTENCE else set()

        def fits(function: Function) -> tuple[bool, int, int]:
            known = function.words()
            return function.is_named_in(text), len(asked & known), len(told & known)

        best = max(self.functions.values(), key=fits)
        return best if self.must or any(fits(best)) else None

    @property
    def finish_reason(self) -> str:
        """Why an answer ends that calls. A call that was asked for by name ends with "stop" (seen live, 2025)."""
        return "stop" if self.named else "function_call" if self.legacy else "tool_calls"

    def written_form(self, text: Form | None) -> Form | None:
        """The form of calls that are written as a text, and of a ``text`` in their place if no call must be.

        None if it may be any text. 400 for strict parameters that cannot be followed; without "strict" any arguments
        are then taken.
        """
        if not self.functions:
            return text
        written, of_json, rules, parts = [], [], [], {}
        for number, function in enumerate(self.functions.values()):
            form, begin = self._form_of(function), json.dumps(f"{function.name}(")
            if function.pattern is None:
                written.append(f'{begin} @f{number} ")"')
                parts[f"f{number}"] = form
            else:  # one piece, or the text would swallow its bracket
                written.append(f"CUSTOM{number}")
                rules.append(f'CUSTOM{number}: {begin} /{regex_to_lark(function.pattern)}/ ")"')
            of_json += [written[-1]] if function.custom is None else []
        start = f"({' | '.join(written)})"
        if of_json and self.parallel and not self.named:
            start = f"""(({" | ".join(of_json)}) "\\n")* {start}"""
        if text is not None and not self.must:
            start, parts["text"] = f"{start} | @text", text
        elif not self.must:
            start, names = f"{start} | TEXT", "|".join(map(re.escape, self.functions))
            rules.append(rf"TEXT: /(?s:.*)/ & ~/({names})\((?s:.*)/")
        return structured.of_lark("\n".join([f"start: {start}", *rules]), **parts)

    def read(self, text: str) -> list[Call] | None:
        """The calls that such a text, which need not be complete, begins with; None if it is no call.

        An empty list: it may become one.
        """
        calls, rest = [], text
        while function := next((f for f in self.functions.values() if rest.startswith(f"{f.name}(")), None):
            rest = rest[len(function.name) + 1 :]
            if function.custom is not None:
                return [*calls, Call(function.name, rest.removesuffix(")"), custom=True)]
            try:
                _, end = json.JSONDecoder().raw_decode(rest)
            except ValueError:
                return [*calls, Call(function.name, rest)]
            calls.append(Call(function.name, rest[:end]))
            rest = rest[end:].removeprefix(")").removeprefix("\n")
        if not calls and not any(f"{name}(".startswith(rest) for name in self.functions):
            return None
        return calls

    def _form_of(self, function: Function) -> Form:
        try:
            return function.form
        except FormError as error:
            if function.strict or function.custom is not None:
                raise self._bad_schema(function, error) from None
            return structured.of_schema(structured.OBJECT)

    def simulated(self, function: Function, messages: list[dict]) -> Call:
        """A call of this function with simulated values. 400 if its schema cannot be followed."""
        try:
            arguments = function.form.simulated(words(messages))
            return Call(function.name, arguments, function.custom is not None)
        except FormError as error:
            raise self._bad_schema(function, error) from None

    def _bad_schema(self, function: Function, error: FormError) -> APIError:
        message = f"Invalid schema for function '{function.name}': {error}"
        return bad_request(message, "functions" if self.legacy else "tools", "invalid_function_parameters")


def question(messages: list[dict]) -> str:
    """The last user message."""
    return next((text_of(m) for m in reversed(messages) if m.get("role") == "user"), "")


def _system_prompt(messages: list[dict]) -> str:
    return "\n".join(text_of(m) for m in messages if m.get("role") in ("system", "developer"))


def words(messages: list[dict]) -> list[str]:
    """The words of the last user message, among which a value is looked for."""
    found = (word.strip(PUNCTUATION) for word in question(messages).split()[:WORDS])
    return [word for word in found if word]


def offer(body: dict) -> Offer:
    """What the request offers. ``check`` has found it right."""
    if body.get("functions"):
        functions, choice, legacy = body["functions"], body.get("function_call"), True
    else:
        functions, choice, legacy = body.get("tools") or [], body.get("tool_choice"), False
    known = {function.name: function for function in map(_function, functions)}
    choice = choice or "auto"
    if choice == "none":
        known = {}
    named = None
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        allowed = choice["allowed_tools"]
        names = {_name_of(item) for item in allowed["tools"]}
        known = {name: function for name, function in known.items() if name in names}
        choice = allowed["mode"]
    elif isinstance(choice, dict):
        named = _name_of(choice)
        known = {named: known[named]} if named in known else {}
    parallel = not legacy and body.get("parallel_tool_calls") is not False
    return Offer(known, bool(named) or choice == "required", bool(named), parallel, legacy)


def _function(tool: dict) -> Function:
    if tool.get("type") == "custom":
        custom = tool["custom"]
        return Function(custom["name"], custom.get("description", ""), custom=custom.get("format") or {})
    given = tool["function"] if "function" in tool else tool
    parameters = given.get("parameters") or NO_PARAMETERS
    return Function(given["name"], given.get("description", ""), parameters, bool(given.get("strict")))


def _name_of(choice: dict) -> str:
    inner = choice.get("function") or choice.get("custom") or choice
    return inner.get("name", "") if isinstance(inner, dict) else ""


# --- what a request may say --------------------------------------------------------------------------------


def check(body: dict) -> None:
    """Raises what is wrong with the messages' calls, the functions and the choice among them."""
    _check_messages(body["messages"])
    for key in ("functions", "tools"):
        if body.get(key) == []:
            raise empty_array(key)
    offered = [(f"functions[{i}]", function) for i, function in enumerate(body.get("functions") or [])]
    for number, tool in enumerate(body.get("tools") or []):
        offered.append((f"tools[{number}].{tool['type']}", tool[tool["type"]]))
    for path, function in offered:
        _check_function(path, function)
    for key, needed in ONLY_WITH.items():
        if body.get(key) is not None and not body.get(needed):
            message = f"Invalid value for '{key}': '{key}' is only allowed when '{needed}' are specified."
            raise bad_request(message, key)
    _check_choice(body, {function["name"] for _, function in offered})


def _check_choice(body: dict, names: set[str]) -> None:
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        for item in choice["allowed_tools"]["tools"] if choice["type"] == "allowed_tools" else [choice]:
            if _name_of(item) not in names:
                message = f"Tool choice '{_name_of(item)}' not found in 'tools' parameter."
                raise bad_request(message, "tool_choice")
    choice = body.get("function_call")
    if isinstance(choice, dict) and choice["name"] not in names:
        message = (
            f"Invalid value for 'function_call': no function named '{choice['name']}' was specified in the "
        )
        raise bad_request(f"{message}'functions' parameter.", "function_call")


def _check_function(path: str, function: dict) -> None:
    check_name(f"{path}.name", function["name"])
    parameters, strict = function.get("parameters"), bool(function.get("strict"))
    if parameters and (problem := structured.problem({"type": "object"} | parameters, strict=strict)):
        message = f"Invalid schema for function '{function['name']}': {problem}"
        raise bad_request(message, f"{path}.parameters", "invalid_function_parameters")


def _check_messages(messages: list[dict]) -> None:
    """Every call has its reply, every reply its call, and right after it."""
    ids: set[str] = set()
    waiting: dict[str, None] = {}  # ids of calls without a reply, in their order
    for number, message in enumerate(messages):
        if message["role"] == "tool":
            if not ids:
                text = (
                    "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
                )
                raise bad_request(f"Invalid parameter: {text}", f"messages.[{number}].role")
            if message["tool_call_id"] not in ids:
                text = f"'tool_call_id' of '{message['tool_call_id']}' not found in 'tool_calls' of previous message."
                raise bad_request(f"Invalid parameter: {text}", f"messages.[{number}].tool_call_id")
            waiting.pop(message["tool_call_id"], None)
            continue
        _refuse_unanswered(waiting, number)
        calls = message.get("tool_calls")
        if calls == []:
            raise empty_array(f"messages[{number}].tool_calls")
        waiting = {call["id"]: None for call in calls or ()}
        ids = set(waiting)
    _refuse_unanswered(waiting, len(messages))


def _refuse_unanswered(waiting: dict[str, None], number: int) -> None:
    if waiting:
        message = (
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            "'tool_call_id'. The following tool_call_ids did not have response messages: "
        )
        raise bad_request(message + ", ".join(waiting), f"messages.[{number}].role")
