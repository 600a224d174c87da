"""Embeddings: forms of input and output. What the vectors mean is tested with helpers/local_api/vectors.py."""

import base64
import math
import struct

import pytest

from helpers import tokens

SMALL = "text-embedding-3-small"


def embed(api, given, **options):
    return api.client.embeddings.create(**{"model": SMALL, "input": given} | options)


def vectors(answer) -> list[list[float]]:
    return [item.embedding for item in answer.data]


def test_floats_and_base64_are_the_same_numbers(api):
    floats = embed(api, ["roses", "spades"], encoding_format="float")
    assert [item.index for item in floats.data] == [0, 1]
    assert [len(vector) for vector in vectors(floats)] == [1536, 1536]
    assert math.hypot(*vectors(floats)[0]) == pytest.approx(1, abs=1e-5)
    coded = vectors(embed(api, ["roses", "spades"], encoding_format="base64"))
    assert all(isinstance(text, str) for text in coded)
    assert [list(struct.unpack("<1536f", base64.b64decode(text))) for text in coded] == vectors(floats)
    assert vectors(embed(api, ["roses", "spades"])) == vectors(floats)


def test_tokens_are_the_same_as_their_text(api):
    encoded = [tokens._encoding(tokens.encoding_name(SMALL)).encode_ordinary(t) for t in ("roses", "a spade")]
    by_text = embed(api, ["roses", "a spade"])
    assert vectors(embed(api, encoded)) == vectors(by_text)
    assert vectors(embed(api, encoded[1])) == vectors(by_text)[1:] == vectors(embed(api, "a spade"))
    assert by_text.usage.prompt_tokens == by_text.usage.total_tokens == sum(map(len, encoded))


def test_dimensions(api):
    (short,) = vectors(embed(api, "roses", dimensions=64))
    assert len(short) == 64 and math.hypot(*short) == pytest.approx(1, abs=1e-5)
    assert len(vectors(embed(api, "roses", model="text-embedding-3-large"))[0]) == 3072


@pytest.mark.parametrize(
    ("options", "status", "param"),
    [
        ({"input": ""}, 400, "input"),
        ({"input": []}, 400, "input"),
        ({"input": ["a", ""]}, 400, "input"),
        ({"input": ["a"] * 2049}, 400, "input"),
        ({"input": "word " * 9000}, 400, "input"),
        ({"input": [-1]}, 400, "input"),
        ({"input": [10**30]}, 400, "input"),
        ({"input": 7}, 400, "input"),
        ({"input": "a", "dimensions": 0}, 400, "dimensions"),
        ({"input": "a", "dimensions": 1537}, 400, "dimensions"),
        ({"input": "a", "dimensions": 10, "model": "text-embedding-ada-002"}, 400, "dimensions"),
        ({"input": "a", "encoding_format": "hex"}, 400, "encoding_format"),
        ({"input": "a", "model": "gpt-4o"}, 403, None),
        ({"input": "a", "model": "gpt-9"}, 404, None),
    ],
)
def test_a_wrong_request_is_refused_with_its_param(api, options, status, param):
    error = api.refusal(api.client.embeddings.create, **{"model": SMALL} | options)
    assert (error.status_code, error.param) == (status, param)
