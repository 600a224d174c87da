"""Fine-tune a chat model on your own file: check, split, price, upload, train, watch, evaluate, ask.

    python starter.py my_file.jsonl --model MODEL --ask "A question"

Needs only the package openai; OPENAI_API_KEY and OPENAI_BASE_URL say which service it is. Stop it whenever you
like and run the same command again: it goes on, and makes no second job for the same file and settings.
"""

import argparse
import hashlib
import json
import os
import sys
import time
import zlib
from pathlib import Path

import openai

ROLES = "system, developer, user, assistant, tool, function"


def check(row):
    if not isinstance(row, dict) or not isinstance(row.get("messages"), list) or not row["messages"]:
        raise ValueError('needs "messages", a list that is not empty')
    for number, message in enumerate(row["messages"], start=1):
        if not isinstance(message, dict) or message.get("role") not in ROLES.split(", "):
            raise ValueError(f"message {number}: role must be one of {ROLES}")
        if not any(message.get(key) for key in ("content", "tool_calls", "function_call")):
            raise ValueError(f"message {number}: content is missing or empty")
    if message["role"] != "assistant":
        raise ValueError("the last message must be the assistant's answer")
    return row


def read(path):
    """The examples of a JSONL file; or the end of the program, with the lines that have to be mended."""
    rows, wrong = [], []
    for number, line in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        try:
            rows += [check(json.loads(line.decode("utf-8")))] if line.strip() else []
        except ValueError as error:
            wrong.append(f"line {number}: {error}")
    if wrong:
        sys.exit("\n".join([f"{path.name}: mend these lines first ({len(wrong)} in all).", *wrong[:20]]))
    return rows


def find_job(client, key, file_id):
    for job in client.fine_tuning.jobs.list(limit=100):  # some services do not filter, or drop metadata
        if (job.metadata or {}).get("starter") == key or (file_id and job.training_file == file_id):
            return job


def create_once(client, key, file_id, patience, settings):
    """Orders the job. A note is left before, so that an order whose answer got lost is looked for first."""
    note = Path(f"starter-{key}.sent")
    try:
        note.touch(exist_ok=False)
    except FileExistsError:
        print("An order was sent before. Looking for its job.", flush=True)
        until = min(note.stat().st_mtime, time.time()) + patience
        while not (job := find_job(client, key, file_id)) and time.time() < until:
            time.sleep(1)
        if job:
            return job
        note.touch()
    try:
        return client.fine_tuning.jobs.create(training_file=file_id, metadata={"starter": key}, **settings)
    except openai.APIStatusError as error:
        if error.status_code < 500 and error.status_code not in (408, 409):
            note.unlink()  # refused: there is no job to look for
        raise


def watch(client, job, pace):
    while True:
        job = client.fine_tuning.jobs.retrieve(job.id)
        events = client.fine_tuning.jobs.list_events(job.id, limit=1).data
        print(f"{job.status}: {events[0].message if events else '':80.80}", end="\r", flush=True)
        if job.status in ("succeeded", "failed", "cancelled") or job.finished_at:
            return job
        time.sleep(pace)


def ask(client, name, model, messages):
    answer = client.chat.completions.create(model=model, messages=messages, temperature=0)
    print(f"  {name}: {answer.choices[0].message.content}", flush=True)


def run(options):
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = os.environ.get("NO_PROXY", "") + ",127.0.0.1,localhost"
    rows, held = read(options.file), read(options.held_out) if options.held_out else None
    if held is None:  # one question in ten, chosen by its text: the same ones each time, never on both sides
        chance = [zlib.crc32(json.dumps(row["messages"][:-1]).encode()) % 10 for row in rows]
        held = [row for row, number in zip(rows, chance, strict=True) if number == 0]
        rows = [row for row, number in zip(rows, chance, strict=True) if number > 0]
    tokens = sum(len(str(m.get("content")).encode()) // 4 + 4 for row in rows for m in row["messages"])
    print(f"{len(rows)} examples to train on, roughly {tokens:,} tokens; {len(held)} held out")
    if len(rows) < 10:
        sys.exit("10 are needed at least.")
    client = openai.OpenAI()
    local = client.base_url.host in ("127.0.0.1", "localhost", "::1")
    settings = {"model": options.model, "extra_body": options.extra}
    settings |= {"hyperparameters": {"n_epochs": options.epochs}} if options.epochs else {}
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    key = hashlib.sha256(content + json.dumps([settings, options.run]).encode()).hexdigest()[:16]
    name = f"{options.file.stem}-{key}.jsonl"  # tells our file from others when the program starts again
    file = next((one for one in client.files.list(purpose="fine-tune") if one.filename == name), None)
    job = find_job(client, key, file and file.id)
    if job is None:
        times = options.epochs or (3 if len(rows) > 33 else 100 // len(rows))  # OpenAI's data notebook
        cost = f"${tokens * times * options.price / 1e6:.2f}" if options.price else "? (give --price)"
        print(f"Training costs roughly {cost}, for {times} epochs", flush=True)
        if not (local or options.yes) and input(f'{client.base_url.host} may take money. "yes"? ') != "yes":
            sys.exit("Nothing was sent.")
        once = client.with_options(max_retries=0)  # the client's own retry of a POST could make a second job
        file = file or once.files.create(file=(name, content), purpose="fine-tune")
        job = create_once(once, key, file.id, 5 if local else 60, settings)
    job = watch(client, job, 1 if local else 5)
    tuned = options.tuned or job.fine_tuned_model
    if job.status != "succeeded" or not tuned:
        sys.exit(f"{job.status}, {job.error}. Failed: --run 2 tries again. Deployed by hand: --tuned NAME.")
    for *question, wanted in (row["messages"] for row in held[:5]):
        print(f"\n{question[-1]['content']}\n  wanted: {wanted.get('content')}")
        ask(client, "base", options.model, question)
        ask(client, "tuned", tuned, question)
    if options.ask:
        system = [message for message in rows[0]["messages"][:1] if message["role"] == "system"]
        ask(client, f"\n{options.ask}", tuned, [*system, {"role": "user", "content": options.ask}])


if __name__ == "__main__":
    add = (parser := argparse.ArgumentParser(description=__doc__.partition("\n")[0])).add_argument
    add("file", type=Path, help="chat examples, JSONL")
    add("--model", required=True, help="the model to train from")
    add("--held-out", type=Path, help="JSONL to evaluate on (default: a tenth of the file, not trained on)")
    add("--epochs", type=int, help="default: the service chooses")
    add("--price", type=float, help="dollars for 1 million trained tokens, for an estimate")
    add("--extra", type=json.loads, help="JSON that your service wants in the job")
    add("--tuned", help="name of the tuned model, if the service wants a deployment first")
    add("--ask", help="a question to the tuned model")
    add("--run", default="1", help="another name makes another job of the same file and settings")
    add("--yes", action="store_true", help="go on without asking, though it may cost money")
    try:
        run(parser.parse_args())
    except (KeyboardInterrupt, EOFError):
        sys.exit("\nStopped. A job that was ordered goes on. Run the same command again to go on.")
    except (openai.OpenAIError, OSError) as error:
        sys.exit(str(error).replace(os.getenv("OPENAI_API_KEY") or "\0", "[key]") + "\nRun it again.")
