"""Request bodies are checked against the parameter types of the installed ``openai`` package.

Pydantic alone is too lenient for a server: it turns ``Iterable`` fields into lazy iterators that let anything
pass, and drops unknown keys. So its core schema is rewritten first: lists for iterators, unknown keys refused,
and a union of objects decided by the key that tells them apart (a message by its ``role``).
"""

import functools
from collections.abc import Callable
from typing import Any

from openai.types import EmbeddingCreateParams, batch_create_params, moderation_create_params
from openai.types import completion_create_params as legacy_params
from openai.types.chat import completion_create_params, completion_update_params
from openai.types.fine_tuning import job_create_params
from openai.types.fine_tuning.alpha import grader_run_params, grader_validate_params
from openai.types.fine_tuning.checkpoints import permission_create_params
from openai.types.responses import input_token_count_params, response_create_params
from pydantic import TypeAdapter, ValidationError
from pydantic_core import SchemaValidator

from .errors import bad_request

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
}
MORE_THAN_ZERO = {"learning_rate_multiplier", "beta"}
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
# Items that a list may have. OpenAI refuses longer ones in the same words (seen live by third parties, 2026).
MAX_ITEMS = {"tools": 128, "functions": 128, "stop": 4}
MAX_ITEMS_ELSE = 2048


def check(name: str, body: Any) -> dict:
    """The body, valid for the request called ``name`` in ``BODIES``; otherwise an APIError naming the place."""
    if not isinstance(body, dict):
        raise bad_request("We could not parse the JSON body of your request. It must be a JSON object.")
    if f"{name}_stream" in BODIES and body.get("stream") is True:
        name = f"{name}_stream"
    try:
        return _validator(name).validate_python(body, strict=True)
    except ValidationError as error:
        raise _deepest(error, body) from None


def check_ranges(body: dict, ranges: dict[str, tuple], prefix: str = "") -> None:
    """Raises an APIError for the first number outside its range."""
    for key, (least, most) in ranges.items():
        value = body.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if value < least or (value == least and key in MORE_THAN_ZERO):
            word = "greater than" if key in MORE_THAN_ZERO else "greater than or equal to"
            raise _outside(prefix + key, value, "below minimum", f"{word} {least}")
        if most is not None and value > most:
            raise _outside(prefix + key, value, "above maximum", f"less than or equal to {most}")


def _outside(path: str, value: float, what: str, wanted: str):
    kind = "integer" if isinstance(value, int) else "decimal"
    code = f"{kind}_{what.replace(' ', '_')}_value"
    return bad_request(
        f"Invalid '{path}': {kind} {what} value. Expected a value {wanted}, but got {value} instead.",
        path,
        code,
    )


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
    new = dict(schema)
    for key in ("schema", "items_schema", "keys_schema", "values_schema"):
        if isinstance(schema.get(key), dict):
            new[key] = _rewrite(schema[key], definitions, name)
    if kind in ("list", "generator"):
        # the first wrong item is enough: a million of them would be described one by one
        new |= {"type": "list", "fail_fast": True}
        if new.get("items_schema", {}).get("type") not in ("int", "float"):  # tokens are counted elsewhere
            new["max_length"] = MAX_ITEMS.get(name, MAX_ITEMS_ELSE)
    if kind == "typed-dict":
        new["extra_behavior"] = "forbid"
        new["fields"] = {
            key: {**field, "schema": _rewrite(field["schema"], definitions, key)}
            for key, field in schema["fields"].items()
        }
    if kind == "definitions":
        new["definitions"] = [_rewrite(item, definitions) for item in schema["definitions"]]
    return new


def _rewrite_union(schema: dict, definitions: dict, name: str) -> dict:
    choices = [choice[0] if isinstance(choice, tuple) else choice for choice in schema["choices"]]
    new = [_rewrite(choice, definitions, name) for choice in choices]
    objects = [definitions.get(choice.get("schema_ref"), choice) for choice in choices]
    for key in ("role", "type"):
        tags = [_literals(item, key) for item in objects]
        if all(tags) and len({tag for group in tags for tag in group}) == sum(map(len, tags)):
            tagged = {tag: choice for group, choice in zip(tags, new, strict=True) for tag in group}
            return {"type": "tagged-union", "discriminator": key, "choices": tagged}
    return {**schema, "choices": new}


def _literals(schema: dict, key: str) -> list[str]:
    """The fixed values that ``key`` can take in an object's schema, such as role = "user"."""
    field = schema.get("fields", {}).get(key, {}).get("schema", {})
    return list(field.get("expected", ())) if field.get("type") == "literal" else []


def _deepest(error: ValidationError, body: dict):
    """The first problem at the deepest path: of several readings of a union, the one that got furthest."""
    problems = error.errors(include_url=False)
    problem = max(problems, key=lambda item: (item["type"] == "too_long", len(_steps(item, body))))
    return bad_request(*_words(problem, _path(_steps(problem, body))))


def _steps(problem: dict, body: dict) -> list:
    """The problem's location, without the names that pydantic adds for the branch of a union it tried."""
    steps, value, last = [], body, len(problem["loc"]) - 1
    for position, step in enumerate(problem["loc"]):
        if isinstance(value, list) and isinstance(step, int) or isinstance(value, dict) and step in value:
            steps.append(step)
            value = value[step]
        elif position == last and problem["type"] == "missing":
            steps.append(step)
    return steps


def _path(steps: list) -> str:
    path = ""
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step)
    return path


def _words(problem: dict, path: str) -> tuple[str, str, str]:
    """Message, param and code in the manner of the API."""
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "missing":
        return f"Missing required parameter: '{path}'.", path, "missing_required_parameter"
    if kind == "extra_forbidden":
        return f"Unknown parameter: '{path}'.", path, "unknown_parameter"
    if kind in ("literal_error", "union_tag_invalid"):
        tag = context.get("discriminator", "").strip("'")
        path = f"{path}.{tag}" if tag else path
        value = context.get("tag", problem["input"])
        wanted = context.get("expected") or context.get("expected_tags")
        message = f"Invalid value: '{value}'. Supported values are: {wanted}."
        return message, path, "invalid_value"
    if kind == "union_tag_not_found":
        path = f"{path}.{context['discriminator'].strip(chr(39))}"
        return f"Missing required parameter: '{path}'.", path, "missing_required_parameter"
    if kind == "too_long":
        most, found = context["max_length"], len(problem["input"])
        message = (
            f"Invalid '{path}': array too long. Expected an array with maximum length {most}, but got an "
        )
        return message + f"array with length {found} instead.", path, "array_above_max_length"
    wanted = kind.removesuffix("_type").replace("_", " ")
    found = type(problem["input"]).__name__ if problem["input"] is not None else "null"
    return f"Invalid type for '{path}': expected {wanted}, but got {found} instead.", path, "invalid_type"


def model_dump(type_: Callable, row: dict, **beyond_types) -> dict:
    """A response in the SDK's own shape, checked against its types. Keys that they do not know are kept.

    ``beyond_types`` are fields whose value the types lack; whoever uses it names the source.
    """
    return type_(**row).to_dict(mode="json") | beyond_types
