"""The legacy completions endpoint, and jobs on the models that only complete."""

import pytest

from .conftest import MODEL, rows

PAIRS = [
    {"prompt": f"Bed {number} is watered ->", "completion": f" in the evening, bed {number}."}
    for number in range(12)
]


def complete(api, prompt="Bed 3 is watered ->", **options):
    return api.client.completions.create(
        **{"model": "babbage-002", "prompt": prompt, "temperature": 0} | options
    )


def test_a_completion_has_its_form(api):
    completion = complete(api)
    (choice,) = completion.choices
    assert completion.object == "text_completion" and completion.id.startswith("cmpl-")
    assert choice.text and choice.index == 0 and choice.logprobs is None
    assert completion.usage.completion_tokens <= 16  # OpenAI's default
    assert (choice.finish_reason == "length") == (completion.usage.completion_tokens == 16)


def test_several_prompts_and_several_answers(api):
    completion = complete(api, ["One.", "Two.", "Three."], n=2, temperature=1, seed=1)
    assert [choice.index for choice in completion.choices] == list(range(6))
    assert complete(api, [9906, 1917]).choices and complete(api, [[9906], [1917]]).choices[1].index == 1


def test_echo_stop_and_logprobs(api):
    text = complete(api, max_tokens=50).choices[0].text
    assert complete(api, max_tokens=50, echo=True).choices[0].text == "Bed 3 is watered ->" + text
    word = text.split()[1]
    assert complete(api, max_tokens=50, stop=word).choices[0].text == text[: text.index(word)]
    only = complete(api, max_tokens=0, echo=True).choices[0]
    assert (only.text, only.finish_reason) == ("Bed 3 is watered ->", "length")


def test_it_streams(api):
    parts = list(complete(api, max_tokens=50, stream=True, stream_options={"include_usage": True}))
    assert (
        "".join(part.choices[0].text for part in parts[:-1]) == complete(api, max_tokens=50).choices[0].text
    )
    assert parts[-2].choices[0].finish_reason == "stop" and parts[0].choices[0].finish_reason is None
    assert parts[-1].choices == [] and parts[-1].usage.total_tokens > 0


@pytest.mark.parametrize(
    ("options", "status", "param"),
    [
        ({"model": MODEL}, 404, "model"),
        ({"model": "text-embedding-3-small"}, 404, "model"),
        ({"model": "ada"}, 404, None),
        ({"max_tokens": -1}, 400, "max_tokens"),
        ({"logprobs": 6}, 400, "logprobs"),
        ({"n": 3, "best_of": 2}, 400, "best_of"),
        ({"prompt": [2**40]}, 400, "prompt"),
        ({"prompt": ["x"] * 129}, 400, "prompt"),
        ({"prompt": {"a": 1}}, 400, "prompt"),
    ],
)
def test_what_is_wrong_is_named(api, options, status, param):
    error = api.refusal(complete, api, **options)
    assert (error.status_code, error.param) == (status, param), error


def test_a_job_on_pairs(api):
    job = api.finished_job(PAIRS, model="babbage-002", suffix="beds")
    assert job.status == "succeeded" and job.fine_tuned_model.startswith("ft:babbage-002:")
    answer = complete(api, model=job.fine_tuned_model, max_tokens=50).choices[0].text
    assert answer in {pair["completion"] for pair in PAIRS}
    names = [c.fine_tuned_model_checkpoint for c in api.client.fine_tuning.jobs.checkpoints.list(job.id)]
    assert complete(api, model=names[-1]).choices
    chat = api.refusal(
        api.client.chat.completions.create,
        model=job.fine_tuned_model,
        messages=[{"role": "user", "content": "x"}],
    )
    assert chat.status_code == 404


def test_tuned_from_a_tuned_one_and_counted_by_its_texts(api):
    first = api.finished_job(PAIRS, model="davinci-002", hyperparameters={"n_epochs": 1})
    again = api.finished_job(PAIRS, model=first.fine_tuned_model, hyperparameters={"n_epochs": 1})
    assert again.status == "succeeded" and again.fine_tuned_model.startswith("ft:davinci-002:")
    assert first.trained_tokens == again.trained_tokens > 0


@pytest.mark.parametrize(
    ("examples", "model", "code"),
    [
        (rows(), "babbage-002", "invalid_training_file"),
        (PAIRS, MODEL, "invalid_training_file"),
        ([{"prompt": 1, "completion": "x"}] * 10, "babbage-002", "invalid_training_file"),
        ([{"prompt": "x", "completion": None}] * 10, "babbage-002", "invalid_training_file"),
        (PAIRS[:9], "babbage-002", "invalid_n_examples"),
    ],
)
def test_files_that_do_not_fit_fail(api, examples, model, code):
    job = api.finished_job(examples, model=model)
    assert (job.status, job.error.code, job.error.param) == ("failed", code, "training_file"), job.error


def test_log_probabilities_in_the_older_form(api):
    logprobs = complete(api, logprobs=2).choices[0].logprobs
    assert logprobs.tokens and len(logprobs.tokens) == len(logprobs.token_logprobs) == len(
        logprobs.top_logprobs
    )
    assert all(value <= 0 for value in logprobs.token_logprobs)
    assert logprobs.text_offset[0] == len("Bed 3 is watered ->")
