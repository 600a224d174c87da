"""Every defect that the checker knows: its code, how bad it is, what it means, how to mend it, and why it counts.

``error``: the job will fail, and a source says so. ``warning``: it will train something you do not want; the
last column says what. ``hint``: worth a look. What no source states as a rule is never an error.
"""

from typing import NamedTuple

SEVERITIES = ("error", "warning", "hint")  # the worst first

SFT = "OpenAI supervised fine-tuning guide, developers.openai.com/api/docs/guides/supervised-fine-tuning"
BEST = "OpenAI fine-tuning best practices, developers.openai.com/api/docs/guides/fine-tuning-best-practices"
OLD = "OpenAI fine-tuning guide of early 2025, platform.openai.com/docs/guides/fine-tuning"
SPEC = "OpenAI API description, github.com/openai/openai-openapi, commit f85dbe2"
SCHEMA = "OpenAI API description, branch manual_spec of 2025-04-29, schema FineTuneChatRequestInput"
COOKBOOK = "OpenAI cookbook, Chat_finetuning_data_prep.ipynb"
JSONL = f"one JSON object a line: {SFT}"
SEEN = (
    'error of a real job: "Unexpected file format, expected either prompt/completion pairs or chat messages."'
)


class Code(NamedTuple):
    """One kind of defect."""

    code: str
    severity: str
    what: str
    mend: str
    source: str  # where the rule is stated; for a warning or hint also: what happens otherwise


_TABLE = [
    # --- the file and its lines ----------------------------------------------------------------------------
    Code("not_utf8", "error", "is not UTF-8 text", "Save the file as UTF-8, or run dataset.fix.", JSONL),
    Code(
        "bom",
        "warning",
        "the file starts with a byte order mark",
        "Save it as UTF-8 without BOM, or run dataset.fix.",
        "consequence: many readers take the invisible mark for a part of the first row and refuse it",
    ),
    Code(
        "blank_line",
        "warning",
        "a blank line",
        "Delete it, or run dataset.fix.",
        "consequence: a reader that takes every line for a row stops here",
    ),
    Code(
        "not_json",
        "error",
        "is not JSON",
        "Correct the line at that column, or write it with json.dumps.",
        JSONL,
    ),
    Code(
        "json_array",
        "error",
        "the whole file is one JSON array",
        "Load it with json.load and save it with dataset.write.",
        JSONL,
    ),
    Code(
        "object_over_lines",
        "error",
        "one object is spread over several lines",
        "Put it on one line: json.dumps without indent.",
        JSONL,
    ),
    Code(
        "typographic_quotes",
        "error",
        "has typographic quotes where JSON needs straight ones",
        'Replace them by ", and switch off smart quotes in the editor.',
        JSONL,
    ),
    Code("not_object", "error", "is JSON, but not an object", 'Write {"messages": [...]}.', JSONL),
    Code(
        "too_few_rows",
        "error",
        "the file has fewer than 10 rows",
        "Add examples; gains are seen from 50 on.",
        SFT,
    ),
    Code(
        "file_too_large",
        "error",
        "the file is larger than the Files API takes (512 MB)",
        "Use fewer rows, or the Uploads API (up to 8 GB).",
        f"/files and /uploads in {SPEC}",
    ),
    # --- the shape of a row --------------------------------------------------------------------------------
    Code(
        "no_messages",
        "error",
        "has no 'messages'",
        "Give the row a list 'messages'; dataset.from_table and its like convert other forms.",
        SEEN,
    ),
    Code(
        "empty_messages",
        "error",
        "'messages' is not a list with at least one message",
        "Fill it, or delete the row.",
        SCHEMA,
    ),
    Code(
        "message_not_object",
        "error",
        "a message is not an object",
        'Write {"role": ..., "content": ...}.',
        SCHEMA,
    ),
    Code(
        "missing_role",
        "error",
        "a message has no role",
        "Add the role: system, user or assistant.",
        "error of a real job: \"message 2 Discriminator 'role' is missing in value\"",
    ),
    Code(
        "unknown_role",
        "error",
        "a role that OpenAI does not know",
        "Use system, user, assistant or tool.",
        SCHEMA,
    ),
    Code(
        "developer_role",
        "warning",
        "the role 'developer' is not in the description of training rows",
        "Write 'system'.",
        f"consequence: nobody states that it is accepted; it is missing in: {SCHEMA}",
    ),
    Code(
        "unknown_key",
        "warning",
        "a key that is not in the chat format",
        "Correct its spelling or delete it.",
        f"{COOKBOOK} counts it as a format error. Consequence: what it holds is not trained, or the row is refused",
    ),
    Code(
        "no_assistant",
        "error",
        "no message of the assistant: nothing to learn",
        "Add the answer, or delete the row.",
        COOKBOOK,
    ),
    Code(
        "ends_on_user_turn",
        "warning",
        "the last message is not the assistant's",
        "Add the answer, or delete what follows the last one.",
        "consequence: the last turn teaches nothing; OpenAI states no such rule",
    ),
    Code(
        "missing_content",
        "error",
        "a message has no content",
        "Add the text; only a message with tool calls may go without.",
        f"ChatCompletionRequestAssistantMessage in {SPEC}; {COOKBOOK}",
    ),
    Code(
        "empty_content",
        "warning",
        "a message is empty",
        "Write the text, or delete the message.",
        "consequence: an empty answer teaches the model to say nothing",
    ),
    Code(
        "content_type",
        "error",
        "content is neither text nor a list of parts",
        "Make it a text.",
        f"ChatCompletionRequestUserMessage in {SPEC}",
    ),
    Code(
        "content_part",
        "error",
        "a part of the content is neither text nor an image",
        'Write {"type": "text", "text": ...}; audio and files cannot be trained.',
        f"ChatCompletionRequestMessageContentPart in {SPEC}; text and images only: {OLD}",
    ),
    # --- weight, names and tools ---------------------------------------------------------------------------
    Code("bad_weight", "error", "a weight that is not 0 or 1", "Write 0 (skip) or 1 (learn).", BEST),
    Code(
        "weight_role",
        "error",
        "a weight on a message that is not the assistant's",
        "Delete it: only answers are learned.",
        BEST,
    ),
    Code(
        "all_weights_zero",
        "warning",
        "every answer has weight 0",
        "Give at least one answer weight 1, or delete the row.",
        f"consequence: the row is paid for and teaches nothing; weight 0 skips a message: {BEST}",
    ),
    Code(
        "function_name",
        "error",
        "a function name that is not 1 to 64 of a-z, A-Z, 0-9, _ and -",
        "Rename the function.",
        f"FunctionObject in {SPEC}",
    ),
    Code(
        "message_name",
        "warning",
        "a message name that is not 1 to 64 of a-z, A-Z, 0-9, _ and -",
        "Use letters, digits, _ and - only.",
        "consequence: the API description sets no rule for it, but the one for function names is the safe choice",
    ),
    Code(
        "tool_call_shape",
        "error",
        "a tool call or tool definition that lacks a part",
        'A call needs id, "type": "function" and function {name, arguments}; a tool needs function {name}.',
        f"ChatCompletionMessageToolCall and FunctionObject in {SPEC}",
    ),
    Code(
        "tool_arguments",
        "error",
        "arguments of a tool call that are not a text with JSON in it",
        "Write them with json.dumps.",
        f"arguments are a JSON string: {OLD}",
    ),
    Code(
        "tool_undefined",
        "warning",
        "a call of a tool that the row's 'tools' do not define",
        "Add the definition to 'tools' of this row.",
        "consequence: the model learns to call tools that it was not offered",
    ),
    Code(
        "tool_reply_without_call",
        "warning",
        "a tool reply that answers no earlier call",
        "Give it the tool_call_id of the call before it.",
        "consequence: the model learns to trust results that it never asked for",
    ),
    # --- images --------------------------------------------------------------------------------------------
    Code("image_count", "error", "more than 10 images in one row", "Leave some out.", OLD),
    Code("image_size", "error", "an image of more than 10 MB", "Make it smaller.", OLD),
    Code(
        "image_type",
        "error",
        "an image that is not JPEG, PNG or WEBP by http(s) or base64 data URL",
        "Convert it.",
        OLD,
    ),
    Code(
        "image_on_assistant",
        "error",
        "an image in a message that is not the user's",
        "Images belong into user messages.",
        OLD,
    ),
    # --- methods and formats -------------------------------------------------------------------------------
    Code(
        "dpo_outputs",
        "error",
        "a preference row without both outputs",
        "Give it preferred_output and non_preferred_output, each a list of one assistant message.",
        OLD,
    ),
    Code(
        "dpo_turns",
        "error",
        "a preferred or non-preferred output of more than one turn",
        "Leave one assistant message in each; what comes before belongs into 'input'.",
        OLD,
    ),
    Code(
        "dpo_key_spelling",
        "warning",
        "the outputs are called ..._completion",
        "Call them preferred_output and non_preferred_output.",
        f"consequence: the row may be refused; the documented names are ..._output: {OLD}",
    ),
    Code(
        "dpo_identical",
        "warning",
        "both outputs are the same",
        "Make them differ in what you prefer, or delete the row.",
        "consequence: there is no preference to learn",
    ),
    Code(
        "prompt_completion",
        "error",
        "prompt/completion rows, which chat models do not take",
        "Convert them with dataset.from_prompt_completion.",
        "OpenAI fine-tuning guide of 2024-05-13: only babbage-002 and davinci-002 take them",
    ),
    Code(
        "wrong_method",
        "error",
        "rows in the format of another method or model",
        "Choose the method that fits the rows, or convert them.",
        f"each method has a format of its own: {OLD}",
    ),
    Code(
        "mixed_formats",
        "error",
        "rows of several formats in one file",
        "Put each format into a file of its own.",
        f"a job takes the one format of its method: {OLD}",
    ),
    Code(
        "too_long",
        "warning",
        "longer than the training context: the end is cut off",
        "Shorten it or divide it into several rows.",
        f"consequence: the answer, which comes last, is the part that is lost: {BEST}; limits in data/models.csv",
    ),
    # --- rows compared with each other ---------------------------------------------------------------------
    Code(
        "duplicate",
        "warning",
        "the same row is there twice",
        "Delete one, or run dataset.fix.",
        "consequence: it counts and costs twice; OpenAI states no rule",
    ),
    Code(
        "near_duplicate",
        "warning",
        "two rows are nearly the same",
        "Keep the better one.",
        "consequence: they add cost and weight, but no variety",
    ),
    Code(
        "conflicting_answers",
        "warning",
        "the same question has different answers",
        "Decide which is right; keep one.",
        "consequence: the model learns to answer now this, now that",
    ),
    Code(
        "leak",
        "warning",
        "a training question that is also in the validation file",
        "Delete it from one of the files, or make both with dataset.split.",
        f"the same data must not be in both: validation_file in {SPEC}. Consequence: the loss looks too good",
    ),
    Code(
        "near_leak",
        "warning",
        "a training row that is nearly in the validation file",
        "Delete it from one of the files, or make both with dataset.split.",
        "consequence: the validation loss looks better than the model is",
    ),
    Code(
        "system_prompts",
        "warning",
        "most rows share one system prompt, this one does not",
        "Use the same words everywhere, the ones you will use later.",
        "consequence: the model is trained for a prompt that you will not use",
    ),
    Code(
        "dominant_answer",
        "warning",
        "one answer dominates the file",
        "Add other examples, or drop some of these.",
        "consequence: giving that answer to everything is the easiest thing to learn",
    ),
    Code(
        "style_break",
        "warning",
        "most answers keep a form that this one breaks",
        "Rewrite it in the form of the others.",
        "consequence: the form is learned less reliably",
    ),
    # --- the texts -----------------------------------------------------------------------------------------
    Code(
        "answer_cut_off",
        "warning",
        "an answer seems to be cut off (heuristic)",
        "Complete it.",
        "consequence: the model learns to stop in the middle",
    ),
    Code(
        "answer_repeats",
        "warning",
        "an answer repeats its own end",
        "Delete the repetition.",
        "consequence: the model learns not to stop",
    ),
    Code(
        "secret",
        "warning",
        "looks like a key or a password",
        "Remove it, and revoke the key: it has left your hands.",
        "consequence: a model can repeat what it was trained on",
    ),
    Code(
        "personal_data",
        "warning",
        "holds a card number, an e-mail address or a telephone number",
        "Replace it by an invented one, unless it is meant to be public.",
        "consequence: a model can repeat what it was trained on",
    ),
    Code(
        "invisible_characters",
        "warning",
        "invisible, control or broken characters",
        "Delete them, or look for the encoding mistake that made them.",
        "consequence: the model learns to write them",
    ),
    Code(
        "answer_language",
        "warning",
        "the answer is in another language than its question, unlike most rows",
        "Translate it.",
        "consequence: the model switches language unasked",
    ),
    Code(
        "mixed_languages",
        "hint",
        "a few rows are in another language than the rest",
        "If that is meant, add more of them; otherwise translate or delete them.",
        "consequence: too few rows to learn that language, enough to slip into it",
    ),
    Code(
        "unprompted_facts",
        "hint",
        "the answer holds a number that its prompt does not (heuristic)",
        "If users rely on it, put the fact into the prompt; fine-tuning teaches form better than facts.",
        "consequence: this teaches the model to state such facts, also invented ones",
    ),
]

CODES = {code.code: code for code in _TABLE}
