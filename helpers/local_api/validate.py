"""Request bodies are checked against the parameter types of the installed ``openai`` package.

Pydantic alone is too lenient for a server: it turns ``Iterable`` fields into lazy iterators that let anything
pass, and drops unknown keys. So its core schema is rewritten first: lists for iterators, unknown keys refused,
and a union of objects decided by the key that tells them apart (a message by its ``role``).

Where OpenAI takes more than the types say, so does this: null for an optional parameter is as if it were absent
(two notebooks of OpenAI's cookbook send it and hold the answers), and a message that the API sent can be sent back
with all that it carried.
"""

import functools
import re
from collections.abc import Callable
from typing import Any

from openai.types import EmbeddingCreateParams, batch_create_params, moderation_create_params
from openai.types import completion_create_params as legacy_params
from openai.types.chat import (
    ChatCompletionMessage,
    ChatCompletionMessageFunctionToolCall,
    ChatCompletionStoreMessage,
    ParsedChatCompletionMessage,
    ParsedFunctionToolCall,
    completion_create_params,
    completion_update_params,
)
from openai.types.chat.chat_completion_chunk import ChoiceDeltaToolCall
from openai.types.chat.parsed_function_tool_call import ParsedFunction
from openai.types.fine_tuning import job_create_params
from openai.types.fine_tuning.alpha import grader_run_params, grader_validate_params
from openai.types.fine_tuning.checkpoints import permission_create_params
from openai.types.responses import (
    ResponseCustomToolCallItem,
    ResponseCustomToolCallOutputItem,
    ResponseFunctionToolCallItem,
    ResponseFunctionToolCallOutputItem,
    ResponseReasoningItem,
    input_token_count_params,
    response_create_params,
)
from pydantic import TypeAdapter, ValidationError
from pydantic_core import SchemaValidator
from typing_extensions import TypedDict

from .errors import APIError, bad_request


class StructuredOutputs(TypedDict, total=False):
    """What vLLM takes in a chat beyond OpenAI's types (its page "Structured Outputs")."""

    choice: list[str]
    regex: str
    grammar: str
    json: dict[str, object]


BODIES: dict[str, Any] = {
    "job": job_create_params.JobCreateParams,
    "chat": completion_create_params.CompletionCreateParamsNonStreaming,
    "chat_stream": completion_create_params.CompletionCreateParamsStreaming,
    "chat_update": completion_update_params.CompletionUpdateParams,
    "embeddings": EmbeddingCreateParams,
    "completion": legacy_params.CompletionCreateParamsNonStreaming,
    "completion_stream": legacy_params.CompletionCreateParamsStreaming,
    "response": response_create_params.ResponseCreateParamsNonStreaming,
    "response_stream": response_create_params.ResponseCreateParamsStreaming,
    "response_count": input_token_count_params.InputTokenCountParams,
    "batch": batch_create_params.BatchCreateParams,
    "moderation": moderation_create_params.ModerationCreateParams,
    "grader_run": grader_run_params.GraderRunParams,
    "grader_validate": grader_validate_params.GraderValidateParams,
    "permission": permission_create_params.PermissionCreateParams,
}

# Ranges that the types do not carry, from OpenAI's API description: path -> (smallest, largest, smallest allowed)
JOB_RANGES = {
    "n_epochs": (1, 50),
    "batch_size": (1, 256),
    "learning_rate_multiplier": (0, None),
    "beta": (0, 2),
    "compute_multiplier": (0, 10),
    "eval_interval": (1, None),
    "eval_samples": (1, None),
    "rpo_alpha": (0, None),
}
MORE_THAN_ZERO = {"learning_rate_multiplier", "beta", "compute_multiplier"}
CHAT_RANGES = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "n": (1, 128),
    "max_tokens": (1, None),
    "max_completion_tokens": (1, None),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "top_logprobs": (0, 20),
}
# Fields by which a grader is known
GRADERS = {
    "operation",
    "evaluation_metric",
    "source",
    "passing_labels",
    "sampling_params",
    "calculate_output",
}
# Items that a list may have. OpenAI refuses longer ones in the same words (seen live by third parties, 2026).
MAX_ITEMS = {"tools": 128, "functions": 128, "stop": 4}
MAX_ITEMS_ELSE = 2048
NAME, MAX_NAME = re.compile("[a-zA-Z0-9_-]+"), 64  # of a function or a schema

# What the API itself, or the client's own parse() and stream(), put into a message beyond the types of a request. It is
# taken back, and not read.
SENT = {
    "message": {*ChatCompletionMessage.model_fields, *ParsedChatCompletionMessage.model_fields}
    | set(ChatCompletionStoreMessage.model_fields),
    "tool_call": {*ChatCompletionMessageFunctionToolCall.model_fields, *ParsedFunctionToolCall.model_fields}
    | set(ChoiceDeltaToolCall.model_fields),
    "function": set(ParsedFunction.model_fields),
}
SENT_ITEMS = {
    "custom_tool_call": ResponseCustomToolCallItem,
    "custom_tool_call_output": ResponseCustomToolCallOutputItem,
    "function_call": ResponseFunctionToolCallItem,
    "function_call_output": ResponseFunctionToolCallOutputItem,
    "reasoning": ResponseReasoningItem,
}
# how the API names types in an error
WANTED = {
    "string_type": "a string",
    "int_type": "an integer",
    "float_type": "a decimal",
    "bool_type": "a boolean",
    "list_type": "an array",
    "dict_type": "an object",
    "union_tag_not_found": "an object",
}
FOUND = {
    str: "a string",
    int: "an integer",
    float: "a decimal number",
    bool: "a boolean",
    list: "an array",
    dict: "an object",
    type(None): "null",
}
BRANCH = "⎇"  # begins what stands in the place of an error only to say which reading of a union was tried


def check(name: str, body: Any) -> dict:
    """The body, valid for the request called ``name`` in ``BODIES``; otherwise an APIError naming the place."""
    if not isinstance(body, dict):
        raise bad_request("We could not parse the JSON body of your request. It must be a JSON object.")
    if f"{name}_stream" in BODIES and body.get("stream") is True:
        name = f"{name}_stream"
    try:
        return _validator(name).validate_python(body, strict=True)
    except ValidationError as error:
        raise _deepest(error) from None


def check_ranges(body: dict, ranges: dict[str, tuple], prefix: str = "") -> None:
    """Raises an APIError for the first number outside its range."""
    for key, (least, most) in ranges.items():
        value = body.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if value < least or (value == least and key in MORE_THAN_ZERO):
            raise _outside(
                prefix + key, value, "below minimum", f"{'>' if key in MORE_THAN_ZERO else '>='} {least}"
            )
        if most is not None and value > most:
            raise _outside(prefix + key, value, "above maximum", f"<= {most}")


def _outside(path: str, value: float, what: str, wanted: str) -> APIError:
    """In OpenAI's words and codes (seen live by a third party, 2026-08-30)."""
    kind = "integer" if isinstance(value, int) else "decimal"
    message = f"Invalid '{path}': {kind} {what} value. Expected a value {wanted}, but got {value} instead."
    return bad_request(message, path, f"{kind}_{what.replace(' ', '_').removesuffix('imum')}_value")


def check_name(path: str, name: str) -> None:
    """Raises what is wrong with the name of a function or a schema."""
    if not name:
        problem = "empty string. Expected a string with minimum length 1, but got an empty string instead."
        raise bad_request(f"Invalid '{path}': {problem}", path, "empty_string")
    if len(name) > MAX_NAME:
        problem = f"string too long. Expected a string with maximum length {MAX_NAME}, but got a string with length "
        raise bad_request(f"Invalid '{path}': {problem}{len(name)} instead.", path, "string_above_max_length")
    if not NAME.fullmatch(name):
        problem = (
            "string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
        )
        raise bad_request(f"Invalid '{path}': {problem}", path, "invalid_value")


def empty_array(path: str) -> APIError:
    """400 for a list that needs an item."""
    problem = "empty array. Expected an array with minimum length 1, but got an empty array instead."
    return bad_request(f"Invalid '{path}': {problem}", path, "empty_array")


@functools.cache
def _validator(name: str) -> SchemaValidator:
    schema = TypeAdapter(BODIES[name]).core_schema
    definitions = {item["ref"]: item for item in schema.get("definitions", ())}
    return SchemaValidator(_rewrite(schema, definitions))


def _rewrite(schema: dict, definitions: dict, name: str = "") -> dict:
    """The same schema, strict enough for a server. ``definitions`` resolves references while looking for tags;
    ``name`` is the field that it is the schema of."""
    kind = schema["type"]
    if kind == "json-or-python":
        return _rewrite(schema["json_schema"], definitions, name)
    if kind == "union":
        return _rewrite_union(schema, definitions, name)
    if kind == "typed-dict":
        return _rewrite_object(schema, definitions)
    new = dict(schema)
    for key in ("schema", "items_schema", "keys_schema", "values_schema"):
        if isinstance(schema.get(key), dict):
            new[key] = _rewrite(schema[key], definitions, name)
    if kind in ("list", "generator"):
        # the first wrong item is enough: a million of them would be described one by one
        new |= {"type": "list", "fail_fast": True}
        if new.get("items_schema", {}).get("type") not in ("int", "float"):  # tokens are counted elsewhere
            new["max_length"] = MAX_ITEMS.get(name, MAX_ITEMS_ELSE)
    if kind == "definitions":
        new["definitions"] = [_rewrite(item, definitions) for item in schema["definitions"]]
    return new


def _widen(fields: dict) -> None:
    """Adds to the fields of an object what the API takes and the types lack.

    The penalties of DPO and of reinforcement fine-tuning, ``rpo_alpha`` and ``beta``, are our own: see the trained
    engine; ``structured_outputs`` is vLLM's. The rest stands in the examples of OpenAI's guide "Graders":
    ``pass_threshold``, no ``name`` for a grader, and one for each part of a multi grader.
    """
    if "compute_multiplier" in fields:
        fields["beta"] = fields["compute_multiplier"]
    elif "beta" in fields:
        fields["rpo_alpha"] = fields["beta"]
    if fields.keys() & GRADERS and "name" in fields:
        number = {"type": "typed-dict-field", "schema": {"type": "float"}, "required": False}
        fields |= {"pass_threshold": number, "name": fields["name"] | {"required": False}}
    if {"messages", "response_format"} <= fields.keys():
        beyond = _rewrite(TypeAdapter(StructuredOutputs).core_schema, {})
        fields["structured_outputs"] = {"type": "typed-dict-field", "schema": beyond, "required": False}
    if "calculate_output" in fields:
        part = fields["graders"]["schema"]
        fields["graders"]["schema"] = {"type": "dict", "keys_schema": {"type": "str"}, "values_schema": part}


def _rewrite_object(schema: dict, definitions: dict) -> dict:
    """An object that refuses unknown keys, and leaves out what is null though it need not be there."""
    fields, optional = {}, set()
    for key, field in schema["fields"].items():
        inner = _rewrite(field["schema"], definitions, key)
        needed = field.get("required") and key not in _left_out(schema)
        if not needed:
            optional.add(key)
            inner = {"type": "nullable", "schema": inner}
        fields[key] = {**field, "schema": inner, "required": needed}
    _widen(fields)
    beyond = {key: kind for key, kind in _sent_beside(schema).items() if key not in fields}
    for key, kind in beyond.items():
        fields[key] = {"type": "typed-dict-field", "schema": {"type": kind}, "required": False}

    def without_nulls(value: dict) -> dict:
        return {
            key: item
            for key, item in value.items()
            if key not in beyond and not (item is None and key in optional)
        }

    ref = {"ref": schema["ref"]} if "ref" in schema else {}
    new = {key: value for key, value in schema.items() if key != "ref"}
    new |= {"fields": fields, "extra_behavior": "ignore" if _is_definition(schema) else "forbid"}
    return {
        "type": "function-after",
        "function": {"type": "no-info", "function": without_nulls},
        "schema": new,
        **ref,
    }


def _is_definition(schema: dict) -> bool:
    """Whether it is the definition of a function, or the tool around it. Keys that these do not know are not read.

    So it is at OpenAI, whose cookbook sends ``strict`` beside the function and ``result`` within it, and holds the
    answers (Structured_outputs_multi_agent.ipynb, Function_calling_finding_nearby_places.ipynb).
    """
    fields = set(schema["fields"])
    is_tool = _literals(schema, "type") == ["function"] and "function" in fields and "id" not in fields
    return is_tool or {"name", "description", "parameters"} <= fields and "type" not in fields


def _left_out(schema: dict) -> set[str]:
    """What the types call required in an object of the Responses API, and other people's libraries leave out."""
    kind, fields = _literals(schema, "type"), set(schema["fields"])
    if kind == ["function"] and "name" in fields:  # a function's own name, not one that a chat nests
        return {"parameters", "strict"}
    if _literals(schema, "role") == ["assistant"] and "status" in fields:
        return {"id", "status", "type"}
    return {"annotations"} if kind == ["output_text"] else set()


def _sent_beside(schema: dict) -> dict[str, str]:
    """What the API may have put into such an object when it sent it: key -> "any" value, or "none" but null."""
    fields, role, kind = set(schema["fields"]), _literals(schema, "role"), _literals(schema, "type")
    if len(kind) == 1 and kind[0] in SENT_ITEMS:
        return dict.fromkeys(SENT_ITEMS[kind[0]].model_fields, "any")
    if role == ["assistant"]:
        return dict.fromkeys(SENT["message"], "any")
    if role:  # a stored message; and a tool's name, which OpenAI's cookbook sends (How_to_call_functions_...)
        return dict.fromkeys(SENT["message"], "none") | {"id": "any", "name": "any"}
    if kind == ["function"] and {"id", "function"} <= fields:
        return dict.fromkeys(SENT["tool_call"], "any")
    return dict.fromkeys(SENT["function"], "any") if fields == {"name", "arguments"} else {}


def _rewrite_union(schema: dict, definitions: dict, name: str) -> dict:
    """A union whose objects are told apart by their ``role`` or ``type``, if they can be."""
    choices = [choice[0] if isinstance(choice, tuple) else choice for choice in schema["choices"]]
    new = [_rewrite(choice, definitions, name) for choice in choices]
    known = [definitions.get(choice.get("schema_ref"), choice) for choice in choices]
    for key in ("role", "type"):
        tags = [_literals(item, key) for item in known]
        flat = [tag for group in tags for tag in group]
        objects = [item["type"] == "typed-dict" for item in known]
        if len(flat) > 1 and [bool(group) for group in tags] == objects and len(set(flat)) == len(flat):
            tagged = {BRANCH + tag: choice for group, choice in zip(tags, new, strict=True) for tag in group}
            others = [choice for group, choice in zip(tags, new, strict=True) if not group]
            new = [*others, {"type": "tagged-union", "discriminator": _tag(key), "choices": tagged}]
    if len(new) == 1:
        return new[0]
    return {**schema, "choices": [(choice, f"{BRANCH}{number}") for number, choice in enumerate(new)]}


def _tag(key: str) -> Callable:
    """Tells the objects of a union apart by this key, whose name an error then carries."""

    def tag(value: Any) -> str | None:
        found = value.get(key) if isinstance(value, dict) else None
        return None if found is None else f"{BRANCH}{found}"

    tag.__name__ = key
    return tag


def _literals(schema: dict, key: str) -> list[str]:
    """The fixed values that ``key`` can take in an object's schema, such as role = "user"."""
    field = schema.get("fields", {}).get(key, {}).get("schema", {})
    return list(field.get("expected", ())) if field.get("type") == "literal" else []


def _deepest(error: ValidationError) -> APIError:
    """The first problem at the deepest path: of several readings of a union, the one that got furthest."""
    problems = error.errors(include_url=False)
    problem = max(problems, key=lambda item: (item["type"] == "too_long", len(_steps(item))))
    there = [item for item in problems if _steps(item) == _steps(problem)]
    return bad_request(*_words(problem, _path(_steps(problem)), there))


def _steps(problem: dict) -> list:
    """The problem's place in the body, without the marks of the union's branch that was tried."""
    steps = [step for step in problem["loc"] if step != "[key]" and not str(step).startswith(BRANCH)]
    if problem["type"] in ("union_tag_invalid", "union_tag_not_found") and isinstance(problem["input"], dict):
        steps.append(problem["ctx"]["discriminator"].strip("()"))
    return steps


def _path(steps: list) -> str:
    path = ""
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step)
    return path


def _words(problem: dict, path: str, there: list[dict]) -> tuple[str, str, str]:
    """Message, param and code in the manner of the API. ``there`` are all problems of this place."""
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "missing":
        return f"Missing required parameter: '{path}'.", path, "missing_required_parameter"
    if kind == "extra_forbidden":
        return f"Unknown parameter: '{path}'.", path, "unknown_parameter"
    is_object = isinstance(problem["input"], dict)
    if kind == "union_tag_not_found" and is_object:
        return f"Missing required parameter: '{path}'.", path, "missing_required_parameter"
    if kind == "union_tag_invalid" and is_object:
        value, wanted = (context[key].replace(BRANCH, "") for key in ("tag", "expected_tags"))
        return f"Invalid value: '{value}'. Supported values are: {wanted}.", path, "invalid_value"
    numbers = {"int_type", "float_type"} & {item["type"] for item in there}
    if kind == "literal_error" and isinstance(problem["input"], str) and not numbers:
        message = f"Invalid value: '{problem['input']}'. Supported values are: {context['expected']}."
        return message, path, "invalid_value"
    if kind == "too_long":
        most, found = context["max_length"], len(problem["input"])
        message = (
            f"Invalid '{path}': array too long. Expected an array with maximum length {most}, but got an "
        )
        return message + f"array with length {found} instead.", path, "array_above_max_length"
    return _wrong_type([_wanted(item) for item in there], problem["input"], path)


def _wanted(problem: dict) -> str:
    kind = problem["type"]
    if kind == "literal_error":
        return f"one of {problem['ctx']['expected']}"
    return WANTED.get(kind, kind.removesuffix("_type").replace("_", " "))


def _wrong_type(wanted: list[str], found: Any, path: str) -> tuple[str, str, str]:
    if "a string" in wanted:  # a list of names that are known adds nothing
        wanted = [item for item in wanted if not item.startswith("one of")]
    wanted = list(dict.fromkeys(wanted))
    either = f"one of {' or '.join(wanted)}" if len(wanted) > 1 else wanted[0]
    message = f"Invalid type for '{path}': expected {either}, but got {FOUND[type(found)]} instead."
    return message, path, "invalid_type"


def model_dump(type_: Callable, row: dict, **beyond_types) -> dict:
    """A response in the SDK's own shape, checked against its types. Keys that they do not know are kept.

    ``beyond_types`` are fields whose value the types lack; whoever uses it names the source.
    """
    return type_(**row).to_dict(mode="json") | beyond_types
