"""Fine-tune a chat model on your own file: check, split, price, upload, train, watch, compare, save, ask.

    python starter.py my_file.jsonl --model MODEL --ask "A question"

Needs only the package openai, 1.65.4 or newer; OPENAI_API_KEY and OPENAI_BASE_URL say which service it is. Stop
it whenever you like and run the same command again, in this folder or another: it goes on. For the same key,
service, file and settings it orders no second job, unless you say yes to that. Questions, all answers and what
was counted are saved in my/, in the folder where it runs.
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
ROLES = ("system", "developer", "user", "assistant", "tool", "function")
OPTIONS = ("tools", "functions", "parallel_tool_calls")
OF_OTHER_TOOLS = (
    "system system_prompt rejected rejected_response rejected_messages images videos audios".split()
)
PICTURE = re.compile(
    r"data:image/(jpe?g|png|webp);base64,[a-z0-9+/]{2}[a-z0-9+/=]{2}|https?://", re.IGNORECASE
)
NO_PICTURE = re.compile(r"http.*\.(gif|bmp|tiff?|svg|heic|pdf|avif)([?#]|$)", re.IGNORECASE)
NULL = re.compile(r'(?<!"default)(?<!"const)(?<!"example)": null')
READING = ("uploaded", "notRunning", "pending", "queued", "running", "processing")  # a file that is not ready
AGAIN = "Run it again: it goes on. If this comes back, look at OPENAI_API_KEY and OPENAI_BASE_URL."
REFUSED = """The service refuses this. Correct the name of the model, a setting, or OPENAI_API_KEY.
If the tuned model has to be deployed first: deploy it, then add --tuned NAME."""
ORDER_SECONDS, LOCAL_ORDER_SECONDS = 200, 20  # how long the call that orders a job may take
SHOWN, COUNTED = 5, 40  # test questions whose answers are shown, and that are asked at all
LEAST, MOST = 10, 0.8  # rows that a job needs; a habit is what such a share of the rows has in common


def clean(text):
    """The text without the key (a short one, "none", is no secret) and without codes that steer a terminal."""
    key = os.getenv("OPENAI_API_KEY", "")
    text = str(text).replace(key, "[key]") if len(key) > 7 else str(text)
    return re.sub(r"[\0-\x08\x0b-\x1f\x7f-\x9f]", " ", text)


def say(text):
    if sys.stdout.isatty():
        print(" " * 79, end="\r")  # over a line of progress
    print(clean(text), flush=True)


def progress(text, kind=None):
    """A line that the next one replaces. A log keeps all lines, so it gets one only when the kind changes."""
    if sys.stdout.isatty():
        print(clean(f"{text:79.79}"), end="\r", flush=True)
    elif kind not in (None, progress.last):
        say(text)
    progress.last = kind or progress.last


progress.last = None


def stop(text):
    sys.exit(clean(text))


def need(fact, words):
    if not fact:
        raise ValueError(words)


def check_function(function, where, called):
    """Raises ValueError for a call or a definition of a function that is not right."""
    name = function.get("name") if isinstance(function, dict) else None
    right = isinstance(name, str) and re.fullmatch("[a-zA-Z0-9_-]{1,64}", name)
    need(right, f"{where}: no right function name")
    arguments, schema = function.get("arguments"), function.get("parameters", {})
    need(not called or isinstance(arguments, str), f"{where}: arguments are a text with JSON in it")
    json.loads(arguments if called else "0")
    right = isinstance(schema, dict) and isinstance(schema.get("properties", {}), dict)
    right = right and schema.get("type", "object") == "object"
    need(right, f"{where}: parameters are no schema of an object")


def check_part(part, role, where):
    """Raises ValueError for a part that is neither text nor a picture that can be used."""
    kind = part.get("type") if isinstance(part, dict) else None
    held = part.get("image_url" if kind == "image_url" else kind) if isinstance(kind, str) else None
    if kind == "image_url" and role == "user":
        url = held.get("url") if isinstance(held, dict) else None
        fine = isinstance(url, str) and PICTURE.match(url) and not NO_PICTURE.match(url)
        fine = fine and held.get("detail", "auto") in ("auto", "low", "high")
        need(fine and len(url) < 13_333_350, f"{where}: a JPEG, PNG or WEBP by http or base64, at most 10 MB")
    else:
        kinds = ("text", "refusal") if role == "assistant" else ("text",)
        need(kind in kinds and isinstance(held, str), f"{where}: {kind!r:.40} is no part of this role")
    need(None not in part.values(), f"{where}: a key is null. Delete it")


def check_message(message, where):
    """Raises ValueError where the job would fail. True if the message is empty."""
    right = isinstance(message, dict) and message.get("role") in ROLES
    need(right, f"{where}: role must be one of {', '.join(ROLES)}")
    role, content = message["role"], message.get("content")
    calls, old, refusal = (message.get(key) for key in ("tool_calls", "function_call", "refusal"))
    instead = bool(calls or old or refusal)
    need(isinstance(content, str | list) or (content is None and instead), f"{where}: content is missing")
    need(isinstance(refusal, str | None), f"{where}: refusal is no text")
    for part in content if isinstance(content, list) else []:
        check_part(part, role, where)
    weight = message.get("weight", 0)
    right = role == "assistant" and type(weight) in (int, float) and weight in (0, 1)
    need(right or "weight" not in message, f"{where}: only the assistant has a weight, 0 or 1")
    right = "tool_calls" not in message or (isinstance(calls, list) and calls)
    need(right, f"{where}: tool_calls is no list")
    for call in calls or []:
        right = isinstance(call, dict) and call.get("type") == "function" and isinstance(call.get("id"), str)
        need(right and None not in call.values(), f'{where}: a call needs id and "type": "function"')
        check_function(call.get("function"), where, True)
    if old is not None or role == "function":
        check_function(message if old is None else old, where, old is not None)
    parts = content if isinstance(content, list) else [{"text": content or ""}]
    texts = [part["text"] for part in parts if "text" in part]
    others = len(texts) < len(parts)
    return not (instead or others or role in ("tool", "function") or "".join(texts).strip())


def check(row):
    """What may train something unwanted, in words. Raises ValueError where the job would fail."""
    fine = isinstance(row, dict) and isinstance(row.get("messages"), list) and row["messages"]
    need(fine, 'needs "messages", a list that is not empty')
    other = [key for key in OF_OTHER_TOOLS if row.get(key)] + ["label"] * isinstance(row.get("label"), bool)
    need(not other, f"{other} beside the messages: rows of another tool. Put what it holds into the messages")
    doubts, nulls = [], [key for key in OPTIONS if key in row and row[key] is None]
    for number, message in enumerate(row["messages"], start=1):
        if check_message(message, f"message {number}"):
            doubts.append(f"message {number} ({message['role']}) is empty")
        nulls += [
            key for key in ("name", "tool_call_id", "annotations") if message.get(key, key) in (None, "")
        ]
    need(len(nulls) < 2 and not {*OPTIONS, "annotations"} & {*nulls}, f"{nulls} null: delete these keys")
    for key in ("tools", "functions"):
        need(isinstance(row.get(key, []), list), f"{key} is no list")
        for tool in row.get(key, []):
            wrapped = key == "tools" and isinstance(tool, dict)
            check_function(tool.get("function") if wrapped else tool, key, False)
    right = type(row.get("parallel_tool_calls")) in (bool, type(None))
    need(right, "parallel_tool_calls is not true or false")
    need(not NULL.search(json.dumps(row.get("tools"))), "tools: a key is null. Delete it")
    lists = [m["content"] for m in row["messages"] if isinstance(m.get("content"), list)]
    need(sum("image_url" in part for parts in lists for part in parts) <= 10, "more than 10 pictures")
    roles = [m["role"] for m in row["messages"]]
    need("assistant" in roles, "no message of the assistant: nothing to learn")
    if re.search("[\ud800-\udfff]", json.dumps(row, ensure_ascii=False, allow_nan=False)):
        raise ValueError("half a character: one of \\ud800 to \\udfff stands alone")
    return doubts + ["the last message is not the assistant's"] * (roles[-1] != "assistant")


def system_prompt(row):
    first = row["messages"][0]
    return str(first.get("content")) if first["role"] in ("system", "developer") else ""


def read(path):
    """The examples of a JSONL file; or the end of the program, with the lines that have to be corrected."""
    rows, wrong, doubts = {}, [], []
    for number, line in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        try:
            if line.strip():
                row = json.loads(line.decode("utf-8"))
                doubts += [f"line {number}: {doubt}" for doubt in check(row)]
                rows[number] = row
        except (ValueError, RecursionError) as error:
            wrong.append(f"line {number}: {error}")
    if wrong:
        stop("\n".join([f"{path.name}: correct these lines first ({len(wrong)} in all).", *wrong[:20]]))
    ((most, times),) = Counter(map(system_prompt, rows.values())).most_common(1) or [("", 0)]
    if times >= MOST * len(rows):
        other = [number for number, row in rows.items() if system_prompt(row) != most]
        doubts += [f"line {number}: not the system prompt of the others" for number in other]
    if doubts:
        say(f"{path.name}: these lines may train what you do not want ({len(doubts)} in all).")
        say("\n".join(doubts[:SHOWN]))
    return list(rows.values())


def rough_size(rows):
    """Tokens, four bytes each, less what JSON wraps more than a chat; and in words, which pictures are not in them."""
    text = json.dumps(rows, ensure_ascii=False)
    seen, bare = text.count('"image_url": {'), re.sub(r'"image_url": {[^{}]*}|"\w+": null,? ?', "", text)
    return len(bare.encode()) // 4 - 4 * text.count('"role": '), f", {seen} pictures not counted" * (seen > 0)


def can_be_asked(row):
    """Whether models can be compared on this row: text only, no tools, a question, and then an answer."""
    texts = [m for m in row["messages"] if isinstance(m.get("content"), str) and not m.get("tool_calls")]
    answer = texts[-1] if texts else {}
    whole = len(texts) == len(row["messages"]) > 1 and not row.get("tools")
    return whole and answer["role"] == "assistant" and answer["content"].strip() != ""


def split(options):
    """The rows to train on, to validate with and to test on.

    A tenth of the questions validates, two tenths test. Their texts decide, so they are the same each time, and
    the same question is never on two sides.
    """
    rows = read(options.file)
    train, valid, test = [], [], []
    held = ({} if options.validation else {0: valid}) | ({} if options.test else {1: test, 2: test})
    for row in rows:
        tenth = zlib.crc32(json.dumps(row["messages"][:-1]).encode()) % 10 if can_be_asked(row) else None
        held.get(tenth, train).append(row)
    if len(train) < LEAST <= len(rows):
        say("These are too few examples to hold any back.")
        train, valid, test = rows, [], []
    if options.validation not in (None, "none"):
        valid = read(Path(options.validation))
    return train, valid, read(options.test) if options.test else test


def everything(pages):
    """What a list of the service holds. Some services send the same page for ever: then it ends."""
    seen = set()
    for page in pages.iter_pages():
        new = [one for one in page.data or [] if one.id not in seen]
        if not new:
            return
        seen.update(one.id for one in new)
        yield from new


def our_files(client, key, part):
    name = f"starter-{key}{part}.jsonl"  # tells our file from others when the program starts again
    return [file for file in everything(client.files.list(purpose="fine-tune")) if file.filename == name]


def find_job(client, key):
    files = [file.id for file in our_files(client, key, "")]
    for job in everything(client.fine_tuning.jobs.list(limit=100)):  # some do not filter, or drop metadata
        if (job.metadata or {}).get("starter") == key or job.training_file in files:
            return job


def upload_once(client, key, part, content, pace):
    """The file, once the service has read it: some refuse a job before. After five minutes we try anyway."""
    there = [file for file in our_files(client, key, part) if file.status not in ("error", "failed")]
    upload = {"file": (f"starter-{key}{part}.jsonl", content), "purpose": "fine-tune"}
    file = there[0] if there else client.files.create(**upload)
    until = time.time() + 300
    while file.status in READING and time.time() < until:
        progress(f"The service reads the file: {file.status}", file.status)
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
    say(warning)
    if input('Send an order? "yes": ').strip() != "yes":
        sys.exit("Nothing was sent.")


def order_once(client, options, key, settings, contents):
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
            progress(f"An order was sent at {time.ctime(sent)}. Looking for its job.", "looking")
            time.sleep(options.pace)
        if job:
            return job
        agree(options, client.base_url.host, sent)
        files = {
            f"{kind}_file": upload_once(once, key, part, content, options.pace).id
            for (kind, part), content in contents.items()
        }
        note = notes / f"{name}-{int(last.name[-3:]) + 1:03}"
        try:
            note.touch(exist_ok=False)
        except FileExistsError:
            continue  # another run was quicker: look for its job
        try:
            return once.fine_tuning.jobs.create(metadata={"starter": key}, **files, **settings)
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
        progress(f"{job.status}: {' '.join(str(event).split())}", str(job.status))
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
    """The places of the three texts that hold most of the question's pieces of three letters, the best first.

    Rare pieces count more.
    """
    asked, scores = plain(question), [0.0] * len(texts)
    for piece in sorted({asked[start : start + 3] for start in range(len(asked) - 2)}):
        holding = [place for place, text in enumerate(texts) if piece in text]
        for place in holding:
            scores[place] += math.log(1 + len(texts) / len(holding)) / len(texts[place]) ** 0.5
    return sorted(range(len(texts)), key=lambda place: -scores[place])[:3]


def rivals(examples, questions):
    """Answers without training: always the one that ends as most do, and that of the nearest example.

    And for each question the turns of its nearest examples, for the base model to read before it.
    """
    answers = [messages[-1]["content"] for messages in examples]
    ends = [last_line(answer) for answer in answers]
    commonest = answers[ends.index(Counter(ends).most_common(1)[0][0])]
    texts = [plain(f"{messages[-2]['content']} {messages[-1]['content']}") for messages in examples]
    near = [nearest(messages[-2]["content"], texts) for messages in questions]
    shots = [[m for place in reversed(places) for m in examples[place][-2:]] for places in near]
    return {"majority": [commonest] * len(near), "nearest": [answers[places[0]] for places in near]}, shots


def compare(client, base, tuned, examples, questions):
    """What each way answers, name -> answers; some of them are shown."""
    copied, shots = rivals(examples, questions) if examples else ({}, [])
    found = {"base": []} | ({"few_shot_nearest": []} if shots else {}) | copied | {"tuned": []}
    say(f"Asking {len(questions)} questions")
    for number, (*asked, wanted) in enumerate(questions):
        progress(f"Asking {number + 1} of {len(questions)}")
        found["base"].append(ask(client, base, asked))
        if shots:
            found["few_shot_nearest"].append(ask(client, base, [*asked[:-1], *shots[number], asked[-1]]))
        found["tuned"].append(ask(client, tuned, asked))
        if number < SHOWN:
            say(f"\n{asked[-1]['content']}\n  wanted: {wanted['content']}")
            say("\n".join(f"  {name}: {answers[number]}" for name, answers in found.items()))
    return found


def as_object(text):
    """The JSON object that a text is, or None."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def equal(answer, wanted):
    return answer.strip() == wanted.strip() or as_object(answer) == as_object(wanted) is not None


def json_keys(answer, wanted):
    one, other = as_object(answer), as_object(wanted)
    return None not in (one, other) and one.keys() == other.keys()


CHECKS = {
    "equal": equal,
    "contains": lambda answer, wanted: wanted.strip().lower() in answer.lower(),
    "json_keys": json_keys,
    "last_line": lambda answer, wanted: last_line(answer) == last_line(wanted),
}


def checks_for(named, wanted):
    """The check that was asked for; or what fits most of the wanted answers."""
    if named and (pattern := named.removeprefix("regex:")) != named:
        return {named: lambda answer, wanted: re.findall(pattern, answer) == re.findall(pattern, wanted)}
    few = len(wanted) / 2
    if named:
        names = [named]
    elif sum(as_object(text) is not None for text in wanted) > few:
        names = ["json_keys", "equal"]
    else:
        names = ["equal" if sum("\n" not in text.strip() for text in wanted) > few else "last_line"]
    return {name: CHECKS[name] for name in names}


def count(found, wanted, checks):
    """Counts the answers that pass, and says where the tuned model is ahead. check -> name -> passed or not."""
    say(f"\nOf {len(wanted)} questions".ljust(19) + "".join(f"  {name:>8}" for name in found))
    passed = {}
    for check, passes in checks.items():
        passed[check] = right = {name: [*map(passes, answers, wanted)] for name, answers in found.items()}
        shares = (f"  {sum(one) / len(wanted):>{max(8, len(name))}.0%}" for name, one in right.items())
        say(f"{check:17.17} " + "".join(shares))
        for name in list(found)[:-1]:
            pairs = list(zip(right["tuned"], right[name], strict=True))
            ahead, behind = pairs.count((True, False)), pairs.count((False, True))
            # the exact test of McNemar: how often chance alone parts them so unevenly
            both = ahead + behind
            p = min(1, sum(math.comb(both, k) for k in range(min(ahead, behind) + 1)) / 2 ** (both - 1))
            verdict = ("tuned is better" if ahead > behind else "worse") if p < 0.05 else "no difference seen"
            say(f"  tuned against {name}: {verdict} (ahead on {ahead}, behind on {behind}, p {p:.2g})")
    least = f"6 answers more, here {600 / len(wanted):.0f} points" if len(wanted) > 5 else "6 questions"
    say(f"Tuning counts where it is better than every other. Whatever the task, that takes at least {least}.")
    return passed


def save(folder, key, record):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"starter-{key}.json"
    path.write_text(clean(json.dumps(record, ensure_ascii=False, indent=1)), "utf-8", "replace")
    say(f"Saved: {path}")


def connect(local):
    """The client. On this computer no proxy and no certificate of the environment may come in between."""
    if local:
        return openai.OpenAI(http_client=openai.DefaultHttpxClient(trust_env=False))
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        if os.getenv(name) and not Path(os.environ[name]).exists():
            stop(f"The variable {name} names {os.environ[name]}, which is not there. Correct or unset it.")
    return openai.OpenAI()


def run(options):
    rows, valid, test = split(options)
    questions = [row["messages"] for row in test if can_be_asked(row)]
    tokens, left_out = rough_size(rows)
    say(f"{len(rows)} examples to train on, roughly {tokens:,} tokens{left_out}")
    say(f"{len(valid)} held back to validate, {len(test)} to test")
    if len(questions) < len(test):
        say(f"{len(questions)} can be asked afterwards: the others have tools, parts or no question.")
    if len(rows) < LEAST:
        sys.exit(f"{LEAST} are needed at least.")
    options.local = urlsplit(os.getenv("OPENAI_BASE_URL", "")).hostname in ("127.0.0.1", "localhost", "::1")
    options.pace = 1 if options.local else 5  # seconds between two looks
    client = connect(options.local)
    settings = {"model": options.model, "extra_body": options.extra}
    settings |= {"hyperparameters": {"n_epochs": options.epochs}} if options.epochs else {}
    parts = {("training", ""): rows} | ({("validation", "-valid"): valid} if valid else {})
    contents = {part: "".join(json.dumps(row) + "\n" for row in of).encode() for part, of in parts.items()}
    what = json.dumps([settings, options.run], ensure_ascii=False, allow_nan=False)
    key = hashlib.sha256(b"|".join(contents.values()) + what.encode()).hexdigest()[:16]
    times = options.epochs or (3 if len(rows) > 33 else 100 // len(rows))  # OpenAI's data notebook
    cost = f"${tokens * times * options.price / 1e6:.2f}" if options.price else "? (give --price)"
    say(f"Training costs roughly {cost}, for {times} epochs{left_out}")
    job = watch(client, order_once(client, options, key, settings, contents), options.pace)
    tuned = options.tuned or job.fine_tuned_model
    if job.status in ("failed", "cancelled") or not tuned:
        stop(f"{job.status}, {job.error}. Failed: --run 2 tries again. Deployed by hand: --tuned NAME.")
    record = {"file": options.file.name, "model": options.model, "tuned": tuned, "job": job.id, "rows": []}
    if questions := questions[:COUNTED]:
        examples = [row["messages"] for row in rows if can_be_asked(row)]
        found = compare(client, options.model, tuned, examples, questions)
        wanted = [messages[-1]["content"] for messages in questions]
        passed = count(found, wanted, checks_for(options.check, wanted))
        for number, (*asked, _) in enumerate(questions):
            row = {"question": asked, "wanted": wanted[number]}
            row["answers"] = {name: answers[number] for name, answers in found.items()}
            row["passed"] = {
                check: {name: of[number] for name, of in by.items()} for check, by in passed.items()
            }
            record["rows"].append(row)
    save(options.save, key, record)
    if options.ask:
        ((most, _),) = Counter(map(system_prompt, rows)).most_common(1)
        first = [{"role": "system", "content": most}] if most else []
        say(f"\n{options.ask}: {ask(client, tuned, [*first, {'role': 'user', 'content': options.ask}])}")
    say(f"\nThe tuned model: {tuned}\nThe job: {job.id}")


def text(argument):
    argument.encode()  # bytes of another encoding end here, with a sentence of argparse
    return argument


def check_name(argument):
    try:
        re.compile(argument)
    except re.error as error:
        raise argparse.ArgumentTypeError(error) from None
    if argument not in CHECKS and not argument.startswith("regex:"):
        raise ValueError
    return argument


def json_object(argument):
    return dict(json.loads(argument))


def main(arguments=None):
    plain = argparse.RawDescriptionHelpFormatter
    add = (parser := argparse.ArgumentParser(description=__doc__, formatter_class=plain)).add_argument
    add("file", type=Path, help="chat examples, JSONL")
    add("--model", required=True, type=text, help="the model to train from")
    add("--validation", type=text, help='JSONL, or "none" (default: a tenth of the file)')
    add("--test", "--held-out", type=Path, help="JSONL to compare on (default: two tenths of the file)")
    add("--check", type=check_name, help=f"{', '.join(CHECKS)}, regex:PATTERN (default: what fits)")
    add("--save", type=Path, default="my", help="the folder for the results (default: my)")
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
        stop(f"{error}\nCorrect this, and run it again.")
    except openai.APIStatusError as error:
        again = error.status_code >= 500 or error.status_code in (408, 409, 429)
        stop(f"{error}\n{AGAIN if again else REFUSED}")
    except Exception as error:  # most come from a service that answers otherwise than OpenAI does
        stop(f"{type(error).__name__}: {str(error)[:1000]}\n{AGAIN}")


if __name__ == "__main__":
    main()
