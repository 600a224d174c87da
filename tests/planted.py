"""Files with one planted defect each: what the tests of dataset.check are fed.

``plant(code, seed)`` makes a file that is clean but for that one defect; every seed makes another. The files
in ``data/broken/checks/`` are those of seed 0: ``python -m tests.planted`` writes them anew.
Everything in them is fictional.
"""

import base64
import json
import random
from collections.abc import Callable
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "data" / "broken" / "checks"
SYSTEM = "You answer for the library at Rowan Lane."
OPTIONS = {  # of dataset.check, where a defect needs them
    "ends_on_answer": {"method": "reinforcement"},
    "image_model": {"model": "gpt-4.1-mini"},
    "too_long": {"model": "gpt-3.5-turbo-0613"},
    "wrong_method": {"method": "dpo"},
}
NOT_AS_FILES = {"file_too_large", "image_size"}  # they would have to be large

POOL = [
    ("May I bring my dog along?", "Only guide dogs may come in. Others can wait at the ring by the door."),
    ("How do I renew a novel?", "Sign in on our page and press Renew, or ask at the long counter."),
    ("Is there a quiet room?", "Yes, behind the map hall. Please leave telephones in the drawer outside."),
    ("Can I print my essay here?", "The printer stands near the stairs. Paper is free, colour is not."),
    ("Where are the comics kept?", "You find them in the cellar, on the red shelves."),
    ("Do you lend musical instruments?", "We lend recorders and small drums for a month at a time."),
    ("I lost my card. What now?", "Come to the counter with any letter that shows your address."),
    ("Who reads to the children?", "Volunteers from the theatre do, every Saturday morning."),
    ("Could I eat my lunch inside?", "Sandwiches are welcome in the garden room, hot meals are not."),
    (
        "What happens if a book gets wet?",
        "Let it dry flat and bring it back. Our binder decides what it costs.",
    ),
    ("Is the lift working again?", "It runs, but slowly. Large prams fit if they are folded."),
    (
        "How can I become a volunteer?",
        "Write a short note to the head librarian and say which days suit you.",
    ),
    ("Do you buy used books?", "We take gifts, though we never pay for them."),
    ("Are there talks in the evening?", "A writer visits us on the first Thursday of each month."),
    ("May students book a table?", "They may, for a whole afternoon. The list hangs beside the globe."),
    ("Which newspapers do you have?", "All the local ones, and two from abroad."),
    ("How long can I keep a film?", "Films go back after one week, since many people wait for them."),
    ("Is there somewhere to park a bicycle?", "Use the green racks on the river side of the house."),
    ("Can you order a title for me?", "Gladly. Tell us the author, and we ask our neighbours first."),
    ("Why is the reading hall closed?", "Painters are at work there until the end of autumn."),
    ("Do I need to whisper?", "Talk softly upstairs. In the hall below nobody minds a laugh."),
    ("Where can I return things at night?", "There is a brass flap to the left of the main gate."),
    ("Have you got large print?", "A whole wall of it, next to the window with the ivy."),
    ("Can a child have a card?", "From the first day of school, with the signature of a parent."),
    (
        "Is there a copy of the town map?",
        "Old maps lie in flat drawers. Ask for white gloves before opening them.",
    ),
    ("What is the oldest book here?", "A herbal with painted leaves. It is shown once a year in spring."),
    ("May I take pictures?", "Yes, as long as the flash stays off and no reader is in them."),
    ("Do you repair torn pages?", "Our binder does, if you leave the volume with her for some days."),
    ("Are audio books free?", "They cost nothing for members; guests pay a small fee."),
    ("Who do I tell about a mistake in the catalogue?", "Any of us. Thank you for looking so closely."),
]


def plant(code: str, seed: int = 0) -> bytes:
    """A training file of 14 rows or so with one defect."""
    picker = random.Random(f"{code} {seed}")
    pool = picker.sample(POOL, 14)
    return PLANTS[code](pool, picker)


def plant_against(code: str, seed: int = 0) -> bytes | None:
    """The validation file that belongs to a leak, or None."""
    if code not in ("leak", "near_leak"):
        return None
    picker = random.Random(f"{code} {seed}")
    pool = picker.sample(POOL, 14)
    question, answer = _long_pair(picker)
    if code == "near_leak":
        question = question.replace("rules", "habits")
        answer = answer.replace("rest", "sleep")
    rest = [pair for pair in POOL if pair not in pool]
    return _lines([_chat(*pair) for pair in [*rest[:5], (question, answer)]])


def _chat(question: str, answer: str, system: str | None = SYSTEM) -> dict:
    first = [{"role": "system", "content": system}] if system else []
    return {
        "messages": [*first, {"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    }


def _lines(rows: list) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


Plant = Callable[[list, random.Random], bytes]
PLANTS: dict[str, Plant] = {}


def _raw(code: str) -> Callable[[Callable], Callable]:
    """Registers a function that gets the lines of a clean file and returns those of a broken one."""

    def register(change: Callable[[list[bytes], random.Random], list[bytes]]) -> Callable:
        def make(pool: list, picker: random.Random) -> bytes:
            return b"".join(change(_lines([_chat(*pair) for pair in pool]).splitlines(keepends=True), picker))

        PLANTS[code] = make
        return change

    return register


def _row(code: str) -> Callable[[Callable], Callable]:
    """Registers a function that spoils one row, given as a dict, and returns it."""

    def register(spoil: Callable[[dict, random.Random], object]) -> Callable:
        def make(pool: list, picker: random.Random) -> bytes:
            rows: list = [_chat(*pair) for pair in pool]
            place = picker.randrange(len(rows))
            rows[place] = spoil(rows[place], picker)
            return _lines(rows)

        PLANTS[code] = make
        return spoil

    return register


def _preference(code: str) -> Callable[[Callable], Callable]:
    """The same for a file of preference rows."""

    def register(spoil: Callable[[dict, random.Random], dict]) -> Callable:
        def make(pool: list, picker: random.Random) -> bytes:
            rows = [_as_preference(*pair) for pair in pool]
            place = picker.randrange(len(rows))
            rows[place] = spoil(rows[place], picker)
            return _lines(rows)

        PLANTS[code] = make
        return spoil

    return register


def _as_preference(question: str, answer: str) -> dict:
    return {
        "input": {"messages": [{"role": "user", "content": question}]},
        "preferred_output": [{"role": "assistant", "content": answer}],
        "non_preferred_output": [{"role": "assistant", "content": "No idea, ask someone else about that."}],
    }


# --- the file and its lines --------------------------------------------------------------------------------


@_raw("not_utf8")
def _(lines, picker):
    if picker.random() < 0.2:
        return [b"".join(lines).decode().encode("utf-16")]
    place = picker.randrange(len(lines))
    bad = picker.choice([b"caf\xe9", b"\x93quoted\x94", b"\xff\xfe", b"na\xefve", b"\xc3"])
    lines[place] = lines[place].replace(b'"}]}', b" " + bad + b'."}]}')
    return lines


@_raw("bom")
def _(lines, picker):
    return [b"\xef\xbb\xbf", *lines]


@_raw("blank_line")
def _(lines, picker):
    lines.insert(picker.randrange(1, len(lines)), picker.choice([b"\n", b"  \n", b"\t\n", b"\r\n"]))
    return lines


@_raw("not_json")
def _(lines, picker):
    place = picker.randrange(len(lines))
    line = lines[place].rstrip(b"\n")
    spoilt = [line[:-1], line + b",", line.replace(b'"', b"'"), line.replace(b"}, {", b"} {"), line + line]
    spoilt += [
        line.replace(b'"content"', b"content", 1),
        line[:-2] + b",]}",
        line[: len(line) // 2],
        b"# rows",
    ]
    lines[place] = picker.choice(spoilt) + b"\n"
    return lines


@_raw("line_ends")
def _(lines, picker):
    sign = picker.choice(["\r", "\r\r", "\u2028", "\x85", "\x0c"]).encode()
    place = picker.randrange(len(lines) - 1)
    count = picker.choice([2, 5, len(lines)])
    together = sign.join(line.rstrip(b"\n") for line in lines[place : place + count])
    return [*lines[:place], together + b"\n", *lines[place + count :]]


@_raw("half_character")
def _(lines, picker):
    place = picker.randrange(len(lines))
    half = picker.choice([b"\\ud83d", b"\\uDE00", b"\\udfff"])
    lines[place] = lines[place].replace(b'"}]}', b" " + half + b'."}]}')
    return lines


@_raw("json_array")
def _(lines, picker):
    rows = [json.loads(line) for line in lines]
    return [json.dumps(rows, indent=picker.choice([None, 1, 2, 4])).encode(), b"\n"]


@_raw("object_over_lines")
def _(lines, picker):
    place = picker.randrange(len(lines))
    lines[place] = json.dumps(json.loads(lines[place]), indent=picker.choice([0, 1, 2, 4])).encode() + b"\n"
    return lines


@_raw("typographic_quotes")
def _(lines, picker):
    place = picker.randrange(len(lines))
    quotes = picker.choice(["“”", "„“", "””", "«»"])
    text = lines[place].decode().replace('{"', "{" + quotes[0]).replace('":', quotes[1] + ":")
    lines[place] = text.replace(': "', ": " + quotes[0]).encode()
    return lines


@_raw("not_object")
def _(lines, picker):
    place = picker.randrange(len(lines))
    lines[place] = picker.choice(
        [b"[]\n", b"null\n", b'"text"\n', b"17\n", b"[" + lines[place].strip() + b"]\n"]
    )
    if place == 0 and lines[0].startswith(b"[{"):
        lines[0] = b"true\n"
    return lines


@_raw("too_few_rows")
def _(lines, picker):
    return lines[: picker.randrange(1, 10)]


@_raw("file_too_large")
def _(lines, picker):
    return lines


# --- the shape of a row ------------------------------------------------------------------------------------


@_row("no_messages")
def _(row, picker):
    key = picker.choice(["message", "mesages", "Messages", "conversations", "text", "messages "])
    return {key: row["messages"]}


@_row("other_form")
def _(row, picker):
    system, *others = row["messages"]
    forms = [{"messages": json.dumps(row["messages"])}, {"messages": others, "system": system["content"]}]
    forms += [row | {"rejected_response": "No idea."}, row | {"images": ["leaf.png"]}, row | {"label": True}]
    forms += [{"messages": [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Good day."}]}]
    call = {"name": "find_book", "arguments": {}}
    forms += [
        row | {"messages": others[:1] + [{"role": "tool_call", "content": json.dumps(call)}, others[-1]]}
    ]
    calls = [{"type": "function", "function": call}]
    forms += [row | {"messages": others[:1] + [{"role": "assistant", "tool_calls": calls}, others[-1]]}]
    forms += [{"messages": others, "system_prompt": system["content"]}]
    return picker.choice(forms)


@_row("null_keys")
def _(row, picker):
    filling = dict.fromkeys(
        picker.sample(["name", "weight", "tool_calls", "tool_call_id", "function_call"], 3)
    )
    if picker.random() < 0.3:
        return row | {picker.choice(["tools", "functions", "parallel_tool_calls"]): None}
    if picker.random() < 0.3:
        row["messages"][-1]["tool_calls"] = None
        return row
    if picker.random() < 0.3:
        filling = {"name": "", "tool_call_id": "", "tool_calls": []}
    return {"messages": [message | filling for message in row["messages"]]}


@_row("empty_messages")
def _(row, picker):
    return {"messages": picker.choice([[], None, {}, "text", 3])}


@_row("message_not_object")
def _(row, picker):
    row["messages"].insert(1, picker.choice(["text", None, 5, ["user", "Hello"]]))
    return row


@_row("missing_role")
def _(row, picker):
    message = picker.choice(row["messages"])
    del message["role"]
    if picker.random() < 0.5:
        message[picker.choice(["Role", "rol", "roles"])] = "user"
    return row


@_row("unknown_role")
def _(row, picker):
    bad = ["asistant", "Assistant", "bot", "gpt", "human", "", None, 3, "assistant ", ["user"]]
    picker.choice(row["messages"])["role"] = picker.choice(bad)
    return row


@_row("developer_role")
def _(row, picker):
    row["messages"][0]["role"] = "developer"
    return row


@_row("unknown_key")
def _(row, picker):
    place = picker.choice([row, *row["messages"]])
    place[picker.choice(["mood", "id", "weigth", "Name", "metadata"])] = picker.choice([1, "x", None])
    return row


@_row("no_assistant")
def _(row, picker):
    row["messages"].pop()
    return row


@_row("ends_on_user_turn")
def _(row, picker):
    text = picker.choice(["Thank you!", "And on Sundays?", "Is that so?"])
    row["messages"].append({"role": picker.choice(["user", "system"]), "content": text})
    return row


def _ends_on_answer(pool: list, picker: random.Random) -> bytes:
    rows = [{"messages": _chat(*pair)["messages"][:-1], "reference": pair[1]} for pair in pool]
    place = picker.randrange(len(rows))
    rows[place]["messages"] = _chat(*pool[place])["messages"]
    return _lines(rows)


@_row("same_role_twice")
def _(row, picker):
    messages = row["messages"]
    place = picker.randrange(2, 4)
    messages.insert(place, messages[place - 1] | {"content": "One more thing."})
    return row


@_row("key_of_other_role")
def _(row, picker):
    message, key = picker.choice([(1, "refusal"), (1, "tool_call_id"), (2, "tool_call_id")])
    row["messages"][message][key] = "no"
    return row


@_row("missing_content")
def _(row, picker):
    message = picker.choice(row["messages"])
    text = message.pop("content")
    if picker.random() < 0.3:
        message["content"] = None
    elif picker.random() < 0.5:
        message[picker.choice(["contnet", "Content", "contents"])] = text
    return row


@_row("empty_content")
def _(row, picker):
    picker.choice(row["messages"][1:])["content"] = picker.choice(["", " ", "\n", "\t \n"])
    return row


@_row("content_type")
def _(row, picker):
    picker.choice(row["messages"])["content"] = picker.choice([5, True, {"text": "Hello"}, 0.5])
    return row


@_row("content_part")
def _(row, picker):
    sound = {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}
    image = {"url": "https://library.example/leaf.png", "detail": "best"}
    bad = [
        {"type": "image_url", "image_url": image},
        sound,
        {"type": "file", "file": {}},
        "text",
        None,
        {"text": "Hello"},
        {"type": "text", "text": 3},
    ]
    row["messages"][1]["content"] = [{"type": "text", "text": "Hello"}, picker.choice(bad)]
    return row


# --- weight, names and tools -------------------------------------------------------------------------------


@_row("bad_weight")
def _(row, picker):
    row["messages"][-1]["weight"] = picker.choice([0.5, 2, -1, "1", True, None, [1]])
    return row


@_row("weight_role")
def _(row, picker):
    picker.choice(row["messages"][:-1])["weight"] = picker.choice([0, 1])
    return row


@_row("all_weights_zero")
def _(row, picker):
    row["messages"][-1]["weight"] = 0
    return row


def _with_tools(row: dict, name: str = "find_book") -> dict:
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": name, "arguments": '{"title": "Herbal"}'},
    }
    system, user, answer = row["messages"]
    reply = {"role": "tool", "tool_call_id": "call_1", "content": "shelf nine"}
    messages = [system, user, {"role": "assistant", "content": None, "tool_calls": [call]}, reply, answer]
    return {
        "messages": messages,
        "tools": [{"type": "function", "function": {"name": name, "parameters": {}}}],
    }


@_row("function_name")
def _(row, picker):
    return _with_tools(row, picker.choice(["find book", "", "find.book", "x" * 65, "suche_büch", "a/b"]))


@_row("message_name")
def _(row, picker):
    picker.choice(row["messages"])["name"] = picker.choice(["Miss Rowan", "", 5, "x" * 65, "müller", None])
    return row


@_row("tool_call_shape")
def _(row, picker):
    row = _with_tools(row)
    message = row["messages"][2]
    flavour = picker.randrange(7)
    if flavour == 0:
        del message["tool_calls"][0]["type"]
    elif flavour == 1:
        message["tool_calls"].append("find_book")
    elif flavour == 2:
        del message["tool_calls"][0]["function"]["name"]
    elif flavour == 3:
        row["tools"].append({"type": "function"})
    elif flavour == 4:
        message["tool_calls"].append({**message["tool_calls"][0], "id": 7})
    elif flavour == 5:
        message["tool_calls"].append({"id": "call_2", "type": "function"})
    else:
        row["parallel_tool_calls"] = picker.choice(["true", 1, {}])
    return row


@_row("tool_arguments")
def _(row, picker):
    row = _with_tools(row)
    bad = [{"title": "Herbal"}, "title=Herbal", "{'title': 'Herbal'}", "", None, '{"title": ']
    row["messages"][2]["tool_calls"][0]["function"]["arguments"] = picker.choice(bad)
    return row


@_row("tool_undefined")
def _(row, picker):
    row = _with_tools(row)
    if picker.random() < 0.5:
        del row["tools"]
    else:
        row["tools"][0]["function"]["name"] = "order_book"
    return row


@_row("tool_reply_without_call")
def _(row, picker):
    row = _with_tools(row)
    row["messages"][3]["tool_call_id"] = picker.choice(["call_2", "", None, 1])
    if picker.random() < 0.3:
        del row["messages"][3]["tool_call_id"]
    return row


@_row("tool_call_without_reply")
def _(row, picker):
    row = _with_tools(row)
    call = row["messages"][2]["tool_calls"][0]
    kind = picker.randrange(3)
    if kind == 0:
        del row["messages"][3]
    elif kind == 1:
        row["messages"][2]["tool_calls"].append(call | {"id": "call_2"})
    else:
        row["messages"][2:4] = [{"role": "assistant", "content": None, "function_call": call["function"]}]
        row["functions"] = [row.pop("tools")[0]["function"]]
    return row


@_row("tool_parameters")
def _(row, picker):
    row = _with_tools(row)
    bad = ["title", [], 5, {"type": "string"}, {"type": "object", "properties": ["title"]}]
    row["tools"][0]["function"]["parameters"] = picker.choice(bad)
    return row


# --- images ------------------------------------------------------------------------------------------------


def _image(url: str = "https://library.example/leaf.png") -> dict:
    return {"type": "image_url", "image_url": {"url": url}}


@_row("image_count")
def _(row, picker):
    count = picker.randrange(11, 15)
    row["messages"][1]["content"] = [
        _image(f"https://library.example/{number}.png") for number in range(count)
    ]
    return row


@_row("image_size")
def _(row, picker):
    data = base64.b64encode(bytes(10_000_100 + picker.randrange(1000))).decode()
    row["messages"][1]["content"] = [_image(f"data:image/png;base64,{data}")]
    return row


@_row("image_type")
def _(row, picker):
    bad = [
        "data:image/gif;base64,R0lGODlh",
        "leaf.png",
        "https://library.example/leaf.gif",
        "file:///leaf.png",
    ]
    bad += ["data:image/png,rawbytes", "https://library.example/plan.pdf?size=large"]
    row["messages"][1]["content"] = [_image(picker.choice(bad))]
    return row


@_row("image_model")
def _(row, picker):
    row["messages"][1]["content"] = [_image(f"https://library.example/{picker.randrange(100)}.png")]
    return row


@_row("image_empty")
def _(row, picker):
    bad = ["", "  ", "data:image/png;base64,", "data:image/jpeg;base64,====", "data:image/webp;base64,a leaf"]
    row["messages"][1]["content"] = [_image(picker.choice(bad))]
    return row


@_row("image_unreachable")
def _(row, picker):
    bad = [
        "http://localhost/leaf.png",
        "http://192.168.1.5/leaf.png",
        "http://127.0.0.1:8000/leaf",
        "https://",
    ]
    bad += ["https://files.internal/leaf.png", "http://nas/leaf.png", "http://[fe80::1]/leaf.png"]
    row["messages"][1]["content"] = [_image(picker.choice(bad))]
    return row


@_row("image_on_assistant")
def _(row, picker):
    row["messages"][2]["content"] = [{"type": "text", "text": "Like this one."}, _image()]
    return row


# --- methods and formats -----------------------------------------------------------------------------------


@_preference("dpo_outputs")
def _(row, picker):
    key = picker.choice(["preferred_output", "non_preferred_output"])
    bad = picker.choice([None, [], "text", {"role": "assistant", "content": "Yes."}])
    row[key] = picker.choice([bad, [{"role": "user", "content": "Yes."}]])
    if picker.random() < 0.3:
        del row[key]
    return row


@_preference("dpo_turns")
def _(row, picker):
    key = picker.choice(["preferred_output", "non_preferred_output"])
    row[key] += [{"role": "user", "content": "Sure?"}, {"role": "assistant", "content": "Quite sure."}]
    return row


@_preference("dpo_key_spelling")
def _(row, picker):
    row["preferred_completion"] = row.pop("preferred_output")
    if picker.random() < 0.5:
        row["non_preferred_completion"] = row.pop("non_preferred_output")
    return row


@_preference("dpo_identical")
def _(row, picker):
    row["non_preferred_output"] = row["preferred_output"]
    return row


def _prompt_completion(pool: list, picker: random.Random) -> bytes:
    return _lines([{"prompt": question, "completion": answer} for question, answer in pool])


def _wrong_method(pool: list, picker: random.Random) -> bytes:
    return _lines([_chat(*pair) for pair in pool])


def _mixed_formats(pool: list, picker: random.Random) -> bytes:
    rows = [_chat(*pair, system=None) for pair in pool]
    place = picker.randrange(len(rows))
    question, answer = pool[place]
    rows[place] = picker.choice(
        [{"prompt": question, "completion": answer}, _as_preference(question, answer)]
    )
    return _lines(rows)


@_row("too_long")
def _(row, picker):
    words = " ".join(answer for _, answer in POOL).replace(".", "").split()
    row["messages"][1]["content"] = " ".join(picker.choices(words, k=4_500)) + "?"
    return row


# --- rows compared with each other -------------------------------------------------------------------------


def _long_pair(picker: random.Random) -> tuple[str, str]:
    who = picker.choice(["school class", "reading circle", "chess club", "choir", "guest from abroad"])
    question = f"Which rules hold for a {who} that wants to spend a whole day with us in the reading hall?"
    answer = "Leave coats and bags at the gate, keep to the seats by the window, take a rest in the garden at noon, "
    return question, answer + f"and let the {who} put every volume back on the trolley before the bell rings."


def _duplicate(pool: list, picker: random.Random) -> bytes:
    rows = [_chat(*pair) for pair in pool]
    again = picker.choice(rows)
    if picker.random() < 0.5:
        again = {"messages": [dict(reversed(message.items())) for message in again["messages"]]}
    rows.insert(picker.randrange(len(rows)), again)
    return _lines(rows)


def _near_duplicate(pool: list, picker: random.Random) -> bytes:
    question, answer = _long_pair(picker)
    other = picker.choice(
        [question.replace("rules", "habits"), question.replace("spend", "stay"), question[:-1]]
    )
    rows = [
        *pool,
        (question, answer),
        (other, answer.replace("rest", picker.choice(["nap", "walk", "bath"]))),
    ]
    picker.shuffle(rows)
    return _lines([_chat(*pair) for pair in rows])


def _conflicting_answers(pool: list, picker: random.Random) -> bytes:
    question = picker.choice([pool[0][0], pool[0][0].upper(), pool[0][0].replace(" ", "  ")])
    rows = [*pool, (question, "Ask the porter, he decides about such things.")]
    picker.shuffle(rows)
    return _lines([_chat(*pair) for pair in rows])


def _leak(pool: list, picker: random.Random) -> bytes:
    return _lines([_chat(*pair) for pair in [*pool, _long_pair(picker)]])


def _system_prompts(pool: list, picker: random.Random) -> bytes:
    rows = [_chat(*pair) for pair in pool]
    place = picker.randrange(len(rows))
    other = picker.choice([None, SYSTEM[:-1], SYSTEM.upper(), "You are a poet.", SYSTEM + " Be brief."])
    rows[place] = _chat(*pool[place], system=other)
    return _lines(rows)


def _dominant_answer(pool: list, picker: random.Random) -> bytes:
    share = picker.randrange(5, 9)
    rows = [(question, "Please ask at the counter.") for question, _ in pool[:share]] + pool[share:]
    picker.shuffle(rows)
    return _lines([_chat(*pair) for pair in rows])


def _style_break(pool: list, picker: random.Random) -> bytes:
    kinds = ["{} Yours, Rowan.", "Reader, {}", "{}\nDesk: Counter {}", "json"]
    kind = picker.choice(kinds)
    rows = [
        (question, json.dumps({"answer": answer}) if kind == "json" else kind.format(answer, question))
        for question, answer in pool
    ]
    rows[picker.randrange(len(rows))] = picker.choice([pair for pair in POOL if pair not in pool])
    return _lines([_chat(*pair) for pair in rows])


# --- the texts ---------------------------------------------------------------------------------------------


def _answer(code: str, change: Callable[[str, random.Random], str]) -> None:
    @_row(code)
    def _(row, picker):
        row["messages"][-1]["content"] = change(row["messages"][-1]["content"], picker)
        return row


def _cut_off(answer: str, picker: random.Random) -> str:
    ends = [" Then turn left at the", " Bring a pencil,", " Bring a pencil and", " You also need (", ""]
    return answer + end if (end := picker.choice(ends)) else " ".join(answer.split()[:5]).rstrip(".,;")


def _repeats(answer: str, picker: random.Random) -> str:
    end = picker.choice(["Please ask at the counter", "and that is all we know", "thank you for coming"])
    return f"{answer} {end}" + picker.choice([", ", ". ", " ", "\n"]) + f"{end}."


@_row("template_marks")
def _(row, picker):
    kinds = [
        "{}<|im_end|>",
        "<|im_start|>user\n{}",
        "[INST] {} [/INST]",
        "{}</s>",
        "{}<|endoftext|>",
        "<s>{}",
    ]
    kinds += ["<tool_call>{}</tool_call>", "{}\n\n###\n\n", "### Human: {}", "{}<turn|>", "{}<pad>"]
    kinds += [
        "{}<|eot_id|>",
        "<start_of_turn>user\n{}",
        "<｜User｜>{}",
        "### Response:\n{}",
        "{}<end_of_turn>\n",
    ]
    message = picker.choice(row["messages"][1:])
    message["content"] = picker.choice(kinds).format(message["content"])
    return row


def _secret(answer: str, picker: random.Random) -> str:
    letters = "".join(picker.choices("ABCDEFGHJKLMNPQRSTUVWXYZ", k=40))
    # the order is such that the committed file holds a password and nothing that scanners take for a real key
    kinds = [f"sk-proj-{letters}", f"AKIA{letters[:16]}", "Password: rowan4lane", f"ghp_{letters[:36]}"]
    kinds += [f"hf_{letters[:34]}", "-----BEGIN PRIVATE KEY-----"]
    return f"{answer} Use {picker.choice(kinds)} for it."


# Numbers that payment companies publish for tests: the checksum is valid, but nobody's card has them.
CARDS = [
    "4111 1111 1111 1111",
    "4242424242424242",
    "5555 5555 5555 4444",
    "378282246310005",
    "6011-1111-1111-1117",
]


@_row("personal_data")
def _(row, picker):
    # in the question: a number in the answer alone would also be an unprompted fact
    kinds = ["mira.voss@lindenpost.test", "+00 20 5550 1234", "(555) 555-0134", picker.choice(CARDS)]
    row["messages"][1]["content"] += f" Write to me: {picker.choice(kinds)} please."
    return row


def _invisible(answer: str, picker: random.Random) -> str:
    place = picker.randrange(1, len(answer) - 1)
    return (
        answer[:place]
        + picker.choice("\u200b\ufeff\u2060\x07\x1b\u00ad\u202e\ufffd\x00\x9f")
        + answer[place:]
    )


def _garbled(answer: str, picker: random.Random) -> str:
    text = picker.choice(["café", "Rowan’s", "the “map hall”", "naïve", "à la carte", "Straße", "books 📚"])
    return f"{answer} Ask for the {text}.".encode().decode("cp1252", "ignore")


def _answer_language(pool: list, picker: random.Random) -> bytes:
    rows = _in_english(pool)
    question, _ = rows[place := picker.randrange(len(rows))]
    rows[place] = (question, picker.choice(FOREIGN)[1])
    return _lines([_chat(*pair) for pair in rows])


def _mixed_languages(pool: list, picker: random.Random) -> bytes:
    rows = _in_english(pool)
    rows[picker.randrange(len(rows))] = picker.choice(FOREIGN)
    return _lines([_chat(*pair) for pair in rows])


def _in_english(pool: list) -> list:
    """The same rows, long enough for their language to be told."""
    asks = ["What is the rule for this?", "Can you tell me how it is done?", "Where can I read that?"]
    tells = [
        "You can read that in the hall.",
        "This is how it is done with us.",
        "It is what you find on the wall.",
    ]
    return [
        (f"{question} {asks[place % 3]}", f"{answer} {tells[place % 3]}")
        for place, (question, answer) in enumerate(pool)
    ]


FOREIGN = [
    ("我可以带狗进图书馆吗?", "只有导盲犬可以进来,其他的狗请在门口等候。"),
    ("Можно ли прийти в библиотеку с собакой?", "Можно только с собакой-поводырём, другие ждут у двери."),
    (
        "Wo ist der Raum, in dem ich nicht gestört werde?",
        "Der Raum ist hinter der Karte, und das Licht ist nicht an.",
    ),
    (
        "Puis-je manger dans la salle avec les enfants?",
        "Vous pouvez manger dans le jardin avec les autres, pas ici.",
    ),
    (
        "¿Dónde puedo dejar los libros por la noche?",
        "Hay una caja para los libros al lado de la puerta, y está abierta.",
    ),
    ("犬を連れて入ってもいいですか。", "盲導犬だけが入れます。ほかの犬は入口で待っていてください。"),
]


def _fact(answer: str, picker: random.Random) -> str:
    facts = ["It costs 40 crowns.", "Call extension 317.", "We close at 18:30.", "It was built in 1911."]
    return f"{answer} {picker.choice(facts)}"


PLANTS |= {
    "ends_on_answer": _ends_on_answer,
    "prompt_completion": _prompt_completion,
    "wrong_method": _wrong_method,
    "mixed_formats": _mixed_formats,
    "duplicate": _duplicate,
    "near_duplicate": _near_duplicate,
    "conflicting_answers": _conflicting_answers,
    "leak": _leak,
    "near_leak": _leak,
    "system_prompts": _system_prompts,
    "dominant_answer": _dominant_answer,
    "style_break": _style_break,
    "answer_language": _answer_language,
    "mixed_languages": _mixed_languages,
}
_answer("answer_cut_off", _cut_off)
_answer("answer_repeats", _repeats)
_answer("secret", _secret)
_answer("invisible_characters", _invisible)
_answer("garbled_text", _garbled)
_answer("unprompted_facts", _fact)


def main() -> None:
    """Writes the files of seed 0."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for code in sorted(PLANTS.keys() - NOT_AS_FILES):
        (FOLDER / f"{code}.jsonl").write_bytes(plant(code))
        if (against := plant_against(code)) is not None:
            (FOLDER / f"{code}.valid.jsonl").write_bytes(against)


if __name__ == "__main__":
    main()
