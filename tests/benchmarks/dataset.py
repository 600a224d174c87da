"""How fast dataset.check is, against a plain loop that does what OpenAI's published notebook does.

``python -m tests.benchmarks.dataset [megabytes]`` makes two files in which no text but the system prompt occurs
twice: one of English-like sentences (200 MB unless told otherwise) and one of English, Russian and Chinese words
with the lengths of chats (three tenths of it). Each is checked in three ways, each in a process of its own, and
time, MB/s, memory (resident, summed over the process tree, the highest of samples every 50 ms) and the ratios
are printed.

The plain loop follows OpenAI cookbook, Chat_finetuning_data_prep.ipynb: it loads all rows, counts seven kinds of
format errors, then the tokens of every row and of the assistant's messages with cl100k_base, in one thread. The
notebook's mistakes with "weight" and with percentiles are left out; they would not change the time.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODEL = "gpt-3.5-turbo"  # cl100k_base, the encoding of the notebook
LENGTHS = (5, 30), (20, 120)  # words of a question and of an answer
SYSTEM = (
    "You are the passenger assistant of Baiyun airport. Answer politely and name the desk in the last line."
)


def make(path: Path, megabytes: float) -> None:
    """Writes chats of English-like sentences from words drawn at random; a running number keeps them apart."""
    picker = random.Random(1)
    words = _words(picker)
    size, number = 0, 0
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        while size < megabytes * 1e6:
            turns = [{"role": "system", "content": SYSTEM}]
            for _ in range(picker.choice([1, 1, 1, 2])):
                number += 1
                turns.append(
                    {"role": "user", "content": f"Question {number}: {_text(picker, words, 2)[:-1]}?"}
                )
                turns.append(
                    {"role": "assistant", "content": f"{_text(picker, words, 8)} Desk {number} helps you."}
                )
            line = json.dumps({"messages": turns}) + "\n"
            file.write(line)
            size += len(line)


def make_mixed(path: Path, megabytes: float) -> None:
    """Writes chats in English, Russian and Chinese, each of words made of random letters of its script."""
    picker = random.Random(2)
    letters = ["abcdefghijklmnopqrstuvwxyz", "абвгдежзийклмнопрстуфхцчшщыьэюя"]
    lexicons = [
        (" ", ["".join(picker.choices(some, k=picker.randint(2, 9))) for _ in range(20_000)])
        for some in letters
    ]
    signs = [chr(picker.randrange(0x4E00, 0x4E00 + 3_000)) for _ in range(3_000)]
    lexicons.append(("", ["".join(picker.choices(signs, k=picker.randint(1, 3))) for _ in range(20_000)]))
    size = 0
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        while size < megabytes * 1e6:
            between, words = picker.choice(lexicons)
            turns = [{"role": "system", "content": SYSTEM}]
            for _ in range(picker.choice([1, 1, 1, 2])):
                asked, answered = (between.join(picker.choices(words, k=picker.randint(*n))) for n in LENGTHS)
                turns += [
                    {"role": "user", "content": f"{asked}?"},
                    {"role": "assistant", "content": f"{answered}."},
                ]
            line = json.dumps({"messages": turns}, ensure_ascii=False) + "\n"
            file.write(line)
            size += len(line.encode())


def _words(picker: random.Random) -> list[str]:
    """The words of the airport's rules, and as many made of their syllables."""
    known = sorted(set((ROOT / "data" / "airport" / "rules.md").read_text(encoding="utf-8").lower().split()))
    known = [word for word in known if word.isalpha()]
    return known + [picker.choice(known)[:4] + picker.choice(known)[-4:] for _ in known]


def _text(picker: random.Random, words: list[str], sentences: int) -> str:
    return " ".join(
        " ".join(picker.choices(words, k=picker.randrange(8, 18))).capitalize() + "."
        for _ in range(sentences)
    )


def plain_loop(path: str) -> dict:
    """What the notebook does."""
    from helpers import tokens

    tokens.seed()
    import tiktoken

    with open(path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    errors: dict[str, int] = defaultdict(int)
    for row in rows:
        if not isinstance(row, dict):
            errors["data_type"] += 1
            continue
        messages = row.get("messages", None)
        if not messages:
            errors["missing_messages_list"] += 1
            continue
        for message in messages:
            if "role" not in message or "content" not in message:
                errors["message_missing_key"] += 1
            if any(key not in ("role", "content", "name", "function_call", "weight") for key in message):
                errors["message_unrecognized_key"] += 1
            if message.get("role", None) not in ("system", "user", "assistant", "function"):
                errors["unrecognized_role"] += 1
            content = message.get("content", None)
            if (not content and not message.get("function_call", None)) or not isinstance(content, str):
                errors["missing_content"] += 1
        if not any(message.get("role", None) == "assistant" for message in messages):
            errors["example_missing_assistant_message"] += 1

    encoding = tiktoken.get_encoding("cl100k_base")
    all_tokens, answer_tokens = [], []
    for row in rows:
        count = 3
        for message in row["messages"]:
            count += 3
            for key, value in message.items():
                count += len(encoding.encode(value))
                if key == "name":
                    count += 1
        all_tokens.append(count)
        answers = [message["content"] for message in row["messages"] if message["role"] == "assistant"]
        answer_tokens.append(sum(len(encoding.encode(answer)) for answer in answers))
    return {"errors": sum(errors.values()), "tokens": sum(all_tokens), "answer_tokens": sum(answer_tokens)}


def ours(path: str, content: bool) -> dict:
    """What dataset.check finds."""
    from helpers import dataset

    report = dataset.check(path, model=MODEL, content=content, near_duplicates=False)
    return {"errors": report.errors, "tokens": report.tokens, "answer_tokens": report.answer_tokens}


WAYS = {
    "plain loop": plain_loop,
    "seven checks and counts": lambda path: ours(path, content=False),
    "all streamed checks": lambda path: ours(path, content=True),
}


def measure(way: str, path: Path) -> tuple[float, int, dict]:
    """Seconds, the most memory of the process tree in bytes, and what was found."""
    import psutil

    start, most = time.perf_counter(), 0
    command = [sys.executable, "-m", "tests.benchmarks.dataset", "--way", way, str(path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    tree = psutil.Process(process.pid)
    while process.poll() is None:
        most = max(most, _memory(tree))
        time.sleep(0.05)
    seconds = time.perf_counter() - start
    return seconds, most, json.loads(process.stdout.read())


def _memory(tree) -> int:
    import psutil

    total = 0
    try:
        for process in [tree, *tree.children(recursive=True)]:
            total += process.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total


def main() -> None:
    """Makes the file, measures each way on it and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("megabytes", nargs="?", default="200")
    parser.add_argument("--way", choices=WAYS, help="run only this, on the given file")
    options = parser.parse_args()
    if options.way:
        print(json.dumps(WAYS[options.way](options.megabytes)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        for name, write, share in (("English", make, 1), ("mixed", make_mixed, 0.3)):
            write(path, share * float(options.megabytes))
            print(f"\n{name} file, ", end="")
            compare(path)


def compare(path: Path) -> None:
    """Measures each way on a file and prints the table."""
    size = path.stat().st_size / 1e6
    print(
        f"{size:.0f} MB, {os.cpu_count()} cores\n\n{'':24} {'s':>7} {'MB/s':>6} {'memory MB':>10} {'ratio':>6}"
    )
    plain, found_by_plain = None, None
    for way in WAYS:
        seconds, memory, found = measure(way, path)
        plain, found_by_plain = plain or seconds, found_by_plain or found
        ratio = plain / seconds
        print(f"{way:24} {seconds:7.1f} {size / seconds:6.1f} {memory / 1e6:10.0f} {ratio:6.2f}", flush=True)
        if found != found_by_plain:
            sys.exit(f"The counts differ: {found} instead of {found_by_plain}")


if __name__ == "__main__":
    main()
