"""Fine-tune a chat model on your own file: check, split, price, upload, train, watch, evaluate, ask.

    python starter.py my_file.jsonl --model MODEL --ask "A question"

Needs only the package openai, 1.65.4 or newer; OPENAI_API_KEY and OPENAI_BASE_URL say which service it is. Stop
it whenever you like and run the same command again, in this folder or another: it goes on. For the same key,
service, file and settings it orders no second job, unless you say yes to that.
"""

import argparse
import hashlib
import importlib.metadata
import json
import math
import os
import re
import sys
import time
import zlib
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

try:
    import openai
except ImportError as error:
    sys.exit(f"The package openai cannot be imported ({error}). Run: pip install -U openai")

OLDEST_OPENAI = "1.65.4"  # the first whose jobs can carry metadata
ROLES = "system, developer, user, assistant, tool, function"
READING = ("uploaded", "notRunning", "pending", "queued", "running", "processing")  # a file that is not ready
ORDER_SECONDS, LOCAL_ORDER_SECONDS = 200, 20  # how long the call that orders a job may take
SHOWN, COUNTED = 5, 40  # held-out questions whose answers are shown, and that are asked at all


def clean(text):
    """The text without the key (a short one, "none", is no secret) and without codes that steer a terminal."""
    key = os.getenv("OPENAI_API_KEY", "")
    text = str(text).replace(key, "[key]") if len(key) > 7 else str(text)
    return re.sub(r"[\0-\x08\x0b-\x1f\x7f-\x9f]", " ", text)


def say(text, end="\n"):
    print(clean(text), end=end, flush=True)


def stop(text):
    sys.exit(clean(text))


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
    if re.search("[\ud800-\udfff]", json.dumps(row, ensure_ascii=False, allow_nan=False)):
        raise ValueError("half a character: one of \\ud800 to \\udfff stands alone")
    return row


def read(path):
    """The examples of a JSONL file; or the end of the program, with the lines that have to be mended."""
    rows, wrong = [], []
    for number, line in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        try:
            rows += [check(json.loads(line.decode("utf-8")))] if line.strip() else []
        except (ValueError, RecursionError) as error:
            wrong.append(f"line {number}: {error}")
    if wrong:
        stop("\n".join([f"{path.name}: mend these lines first ({len(wrong)} in all).", *wrong[:20]]))
    return rows


def can_be_asked(row):
    """Whether models can be compared on this row: text only, no tools, and a question before the answer."""
    texts = [m for m in row["messages"] if isinstance(m.get("content"), str) and not m.get("tool_calls")]
    return len(texts) == len(row["messages"]) > 1 and not row.get("tools")


def is_held_out(row):
    """One question in ten, chosen by its text: the same ones each time, never on both sides."""
    return can_be_asked(row) and zlib.crc32(json.dumps(row["messages"][:-1]).encode()) % 10 == 0


def everything(pages):
    """What a list of the service holds. Some services send the same page for ever: then it ends."""
    seen = set()
    for page in pages.iter_pages():
        new = [one for one in page.data or [] if one.id not in seen]
        if not new:
            return
        seen.update(one.id for one in new)
        yield from new


def our_files(client, key):
    name = f"starter-{key}.jsonl"  # tells our file from others when the program starts again
    return [file for file in everything(client.files.list(purpose="fine-tune")) if file.filename == name]


def find_job(client, key):
    files = [file.id for file in our_files(client, key)]
    for job in everything(client.fine_tuning.jobs.list(limit=100)):  # some do not filter, or drop metadata
        if (job.metadata or {}).get("starter") == key or job.training_file in files:
            return job


def upload_once(client, key, content, pace):
    """The file, once the service has read it: some refuse a job before. After five minutes we try anyway."""
    there = [file for file in our_files(client, key) if file.status not in ("error", "failed")]
    upload = {"file": (f"starter-{key}.jsonl", content), "purpose": "fine-tune"}
    file = there[0] if there else client.files.create(**upload)
    until = time.time() + 300
    while file.status in READING and time.time() < until:
        say(f"The service reads the file: {file.status}", end="\r")
        time.sleep(pace)
        file = client.files.retrieve(file.id)
    if file.status in ("error", "failed"):
        stop(f"The service cannot use the file: {file.status}, {file.status_details}")
    return file


def agree(options, host, sent):
    """Goes on after a yes, or where none is needed."""
    warning = f"{host} may take money."
    if sent:
        warning = f"An order was sent at {time.ctime(sent)}, its job is not listed. Another may cost twice."
        if options.yes:
            stop(f"{warning}\nLook at the service's own page. If there is none, --run 2 orders another.")
    elif options.local or options.yes:
        return
    if input(clean(f'{warning} "yes"? ')).strip() != "yes":
        sys.exit("Nothing was sent.")


def order_once(client, options, key, settings, content):
    """The job of this file and these settings: the one that is there, or a new one.

    Each order leaves a note first, which only one run can make. Whoever finds it looks for the job for longer
    than an order can be under way, and asks before there is another.
    """
    notes = Path.home() / ".starter-orders"
    notes.mkdir(exist_ok=True)
    name = hashlib.sha256(f"{client.api_key} {client.base_url} {key}".encode()).hexdigest()[:32]
    seconds = LOCAL_ORDER_SECONDS if options.local else ORDER_SECONDS
    # the client's own retry of a POST could make a second job
    once = client.with_options(max_retries=0, timeout=openai.Timeout(seconds, connect=5))
    while True:
        last = max(notes.glob(f"{name}-*"), default=notes / f"{name}-000")  # 000 is never made
        sent = min(last.stat().st_mtime, time.time()) if last.exists() else 0
        while not (job := find_job(client, key)) and last.exists() and time.time() < sent + 1.5 * seconds:
            say(f"An order was sent at {time.ctime(sent)}. Looking for its job.", end="\r")
            time.sleep(options.pace)
        if job:
            return job
        agree(options, client.base_url.host, sent)
        file = upload_once(once, key, content, options.pace)
        note = notes / f"{name}-{int(last.name[-3:]) + 1:03}"
        try:
            note.touch(exist_ok=False)
        except FileExistsError:
            continue  # another run was quicker: look for its job
        try:
            return once.fine_tuning.jobs.create(training_file=file.id, metadata={"starter": key}, **settings)
        except openai.APIStatusError as error:
            if 400 <= error.status_code < 500 and error.status_code not in (408, 409):
                note.unlink()  # refused: there is no job to look for
            raise


def watch(client, job, pace):
    while True:
        job = client.fine_tuning.jobs.retrieve(job.id)
        try:
            event = client.fine_tuning.jobs.list_events(job.id, limit=1).data[0].message or ""
        except Exception:  # events are only for the eye, and some services have none, or odd ones
            event = ""
        say(f"{job.status}: {' '.join(str(event).split()):80.80}", end="\r")
        if job.status in ("succeeded", "failed", "cancelled") or job.finished_at:
            return job
        time.sleep(pace)


def ask(client, model, messages):
    try:
        answer = client.chat.completions.create(model=model, messages=messages, temperature=0)
        return str(answer.choices[0].message.content)
    except openai.BadRequestError as error:
        return f"no answer, {error}"


def last_line(text):
    return text.strip().rpartition("\n")[2].strip()


def plain(text):
    return " " + " ".join(re.findall(r"\w+", text.lower())) + " "


def nearest(question, texts):
    """The place of the text that holds most of the question's pieces of three letters; rare ones count more."""
    asked, scores = plain(question), [0.0] * len(texts)
    for piece in sorted({asked[start : start + 3] for start in range(len(asked) - 2)}):
        holding = [place for place, text in enumerate(texts) if piece in text]
        for place in holding:
            scores[place] += math.log(1 + len(texts) / len(holding)) / len(texts[place]) ** 0.5
    return scores.index(max(scores))


def rivals(examples, questions):
    """Answers without training: always the one that ends as most do, and that of the nearest example."""
    answers = [messages[-1]["content"] for messages in examples]
    ends = [last_line(answer) for answer in answers]
    commonest = answers[ends.index(Counter(ends).most_common(1)[0][0])]
    texts = [plain(f"{messages[-2]['content']} {messages[-1]['content']}") for messages in examples]
    found = [answers[nearest(messages[-2]["content"], texts)] for messages in questions]
    return {"majority": [commonest for _ in questions], "nearest": found}


def compare(client, base, tuned, examples, questions):
    """Some answers to read; then all are counted, beside rivals that need no training."""
    found = {"base": []} | (rivals(examples, questions) if examples else {}) | {"tuned": []}
    for number, (*question, wanted) in enumerate(questions, start=1):
        say(f"Asking {number} of {len(questions)}", end="\r")
        for name, model in (("base", base), ("tuned", tuned)):
            found[name].append(ask(client, model, question))
        if number <= SHOWN:
            say(f"\n{question[-1]['content']}\n  wanted: {wanted['content']}")
            say(f"  base: {found['base'][-1]}\n  tuned: {found['tuned'][-1]}")
    count(found, [messages[-1]["content"] for messages in questions])


def count(found, wanted):
    """A table: the share of answers that are as wanted. And whether a rival is as good as the tuned model."""
    say(f"\nOf {len(wanted)} questions".ljust(19) + "".join(f"{name:>10}" for name in found))
    for check, part in (("equal", str.strip), ("same last line", last_line)):
        right = {
            name: sum(part(a) == part(b) for a, b in zip(answers, wanted, strict=True))
            for name, answers in found.items()
        }
        say(f"{check:18}" + "".join(f"{number / len(wanted):>10.0%}" for number in right.values()))
        if level := [name for name in right if name != "tuned" and right[name] >= right["tuned"]]:
            say(f"  tuned is not better than: {', '.join(level)}")
    say(
        f"Of so few, a share may be {100 / len(wanted) ** 0.5:.0f} points off. Write checks that fit your task."
    )


def connect(local):
    """The client. On this computer no proxy and no certificate of the environment may come in between."""
    if local:
        return openai.OpenAI(http_client=openai.DefaultHttpxClient(trust_env=False))
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        if os.getenv(name) and not Path(os.environ[name]).exists():
            stop(f"The variable {name} names {os.environ[name]}, which is not there. Mend or unset it.")
    return openai.OpenAI()


def run(options):
    rows = read(options.file)
    held = read(options.held_out) if options.held_out else [row for row in rows if is_held_out(row)]
    rows = rows if options.held_out else [row for row in rows if not is_held_out(row)]
    questions = [row["messages"] for row in held if can_be_asked(row)]
    tokens = sum(len(str(m.get("content")).encode()) // 4 + 4 for row in rows for m in row["messages"])
    say(f"{len(rows)} examples to train on, roughly {tokens:,} tokens; {len(held)} held out")
    if len(questions) < max(len(held), 1):
        say(f"{len(questions)} can be asked afterwards: the others have tools, parts or no question.")
    if len(rows) < 10:
        sys.exit("10 are needed at least.")
    options.local = urlsplit(os.getenv("OPENAI_BASE_URL", "")).hostname in ("127.0.0.1", "localhost", "::1")
    options.pace = 1 if options.local else 5  # seconds between two looks
    client = connect(options.local)
    settings = {"model": options.model, "extra_body": options.extra}
    settings |= {"hyperparameters": {"n_epochs": options.epochs}} if options.epochs else {}
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    what = json.dumps([settings, options.run], ensure_ascii=False, allow_nan=False)
    key = hashlib.sha256(content + what.encode()).hexdigest()[:16]
    times = options.epochs or (3 if len(rows) > 33 else 100 // len(rows))  # OpenAI's data notebook
    cost = f"${tokens * times * options.price / 1e6:.2f}" if options.price else "? (give --price)"
    say(f"Training costs roughly {cost}, for {times} epochs")
    job = watch(client, order_once(client, options, key, settings, content), options.pace)
    tuned = options.tuned or job.fine_tuned_model
    if job.status in ("failed", "cancelled") or not tuned:
        stop(f"{job.status}, {job.error}. Failed: --run 2 tries again. Deployed by hand: --tuned NAME.")
    if questions:
        examples = [row["messages"] for row in rows if can_be_asked(row)]
        compare(client, options.model, tuned, examples, questions[:COUNTED])
    if options.ask:
        system = [message for message in rows[0]["messages"][:1] if message["role"] == "system"]
        messages = [*system, {"role": "user", "content": options.ask}]
        say(f"\n{options.ask}: {ask(client, tuned, messages)}")
    say(f"\nThe tuned model: {tuned}\nThe job: {job.id}")


def text(argument):
    argument.encode()  # bytes of another encoding end here, with a sentence of argparse
    return argument


def json_object(argument):
    return dict(json.loads(argument))


def main(arguments=None):
    plain = argparse.RawDescriptionHelpFormatter
    add = (parser := argparse.ArgumentParser(description=__doc__, formatter_class=plain)).add_argument
    add("file", type=Path, help="chat examples, JSONL")
    add("--model", required=True, type=text, help="the model to train from")
    add("--held-out", type=Path, help="JSONL to evaluate on (default: a tenth of the file, not trained on)")
    add("--epochs", type=int, help="default: the service chooses")
    add("--price", type=float, help="dollars for 1 million trained tokens, for an estimate")
    add("--extra", type=json_object, help="JSON that your service wants in the job")
    add("--tuned", type=text, help="name of the tuned model, if the service wants a deployment first")
    add("--ask", type=text, help="a question to the tuned model")
    add("--run", default="1", type=text, help="another name makes another job of the same file and settings")
    add("--yes", action="store_true", help="the first order needs no yes, though it may cost money")
    try:
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="replace")  # an answer may hold what this terminal cannot show
        options = parser.parse_args(arguments)
        have = importlib.metadata.version("openai")
        if [int(n) for n in re.findall(r"\d+", have)[:3]] < [int(n) for n in OLDEST_OPENAI.split(".")]:
            sys.exit(f"openai {have} is too old: {OLDEST_OPENAI} is needed. Run: pip install -U openai")
        run(options)
    except (KeyboardInterrupt, EOFError):
        sys.exit("\nStopped. A job that was ordered goes on. Run the same command again to go on.")
    except OSError as error:  # a file or a folder
        stop(f"{error}\nMend this, and run it again.")
    except Exception as error:  # most come from a service that answers otherwise than OpenAI does
        advice = "Run it again: it goes on. If this comes back, look at OPENAI_API_KEY and OPENAI_BASE_URL."
        stop(f"{type(error).__name__}: {str(error)[:1000]}\n{advice}")


if __name__ == "__main__":
    main()
