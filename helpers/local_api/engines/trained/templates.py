"""Chat templates of other models, made fit for this engine when a model is added.

What is changed is changed in the tokenizer itself. So it also holds in what is exported, and a server writes chats
down as they were written down in training.
"""

from jinja2.exceptions import TemplateError

ASKED, ANSWERED, RULES = "a-question-stands-here", "an-answer-stands-here", "rules-stand-here"

# For templates that know no system role: its text goes in front of the user's first message.
FOLD = (
    "{%- if messages and messages[0]['role'] == 'system' -%}"
    "{%- if messages | length > 1 and messages[1]['role'] == 'user' -%}"
    "{%- set messages = [{'role': 'user', 'content': messages[0]['content'] + '\\n\\n' + messages[1]['content']}]"
    " + messages[2:] -%}"
    "{%- else -%}"
    "{%- set messages = [{'role': 'user', 'content': messages[0]['content']}] + messages[1:] -%}"
    "{%- endif -%}{%- endif -%}"
)
# Models that think aloud unless told not to: examples have no thoughts to learn from.
NO_THINKING = "{%- if enable_thinking is not defined -%}{%- set enable_thinking = false -%}{%- endif -%}"


class Unusable(Exception):
    """This engine cannot work with the tokenizer; the text says why and what to do."""


def make_fit(tokenizer) -> None:
    """Gives it a template that takes a system message, and as its end mark what ends an answer in that template.

    Raises Unusable.
    """
    if not tokenizer.chat_template:
        raise Unusable(
            "It has no chat template, so it completes texts and does not chat. Take the version that was made for "
            "chats; often its name ends in -Instruct, -it or -Chat."
        )
    template = tokenizer.get_chat_template()
    if "enable_thinking" in template:
        template = NO_THINKING + template
    tokenizer.chat_template = template
    if not _takes_rules(tokenizer):
        tokenizer.chat_template = FOLD + template
        if not _takes_rules(tokenizer):
            raise Unusable("Its chat template cannot write down a question with a system message.")
    tokenizer.eos_token = end_mark(tokenizer)


def _takes_rules(tokenizer) -> bool:
    try:
        return RULES in _written(tokenizer, ("system", RULES), ("user", ASKED))
    except TemplateError:
        return False


def end_mark(tokenizer) -> str:
    """The special token that ends an answer in the chat template; if none does, the tokenizer's own end mark.

    Raises Unusable if there is neither.
    """
    try:
        written = _written(tokenizer, ("user", ASKED), ("assistant", ANSWERED))
    except TemplateError as error:
        raise Unusable(f"Its chat template cannot write down an answer: {error}") from None
    follows = written.partition(ANSWERED)[2].lstrip()
    special = [token.content for token in tokenizer.added_tokens_decoder.values()]
    found = [token for token in special if token and follows.startswith(token)]
    if not found and not tokenizer.eos_token:
        raise Unusable("Nothing says where an answer ends: neither its chat template nor its tokenizer.")
    return max(found, key=len, default=tokenizer.eos_token)


def _written(tokenizer, *messages: tuple[str, str]) -> str:
    chat = [{"role": role, "content": content} for role, content in messages]
    return tokenizer.apply_chat_template(chat, tokenize=False)
