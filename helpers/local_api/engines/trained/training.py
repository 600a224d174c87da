"""Fine-tuning a small language model with LoRA, as a plain loop.

The base stays frozen; beside each of its matrices two thin ones are trained (LoRA: Hu et al., 2021). The loss is
taken on the assistant's tokens only. Settings and what they were measured to give: see ``Settings``.

``train`` learns from examples. ``preferences`` and ``rewards`` have a loop of the same form for the other methods.
"""

import functools
import io
import itertools
import math
import os
import random
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from jinja2.exceptions import TemplateError
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load as read_tensors
from safetensors.torch import save as write_tensors
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer, logging

from ..simulated.reading import text_of
from . import USUAL_RATES, devices

# transformers warns of how peft asks it; in a kernel that would stand in the output of the learner's cell.
warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)
logging.set_verbosity_error()
logging.disable_progress_bar()
# In bfloat16, oneDNN keeps what it compiles for each new length of a batch: 0.9 GB more after 112 steps, no faster.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32")

RANK, ALPHA = 8, 16  # of the LoRA matrices
LEARNING_RATE = USUAL_RATES["supervised"]
BETAS = (0.9, 0.99)  # of AdamW
WARM_UP = 0.1  # share of the steps in which the rate rises
LONGEST_NORM = 1.0  # a gradient longer than this is cut
MAX_TOKENS = 512  # of one example
SHORT = 128  # tokens; up to here plain ("eager") attention is faster in bfloat16
ALL_THREADS = torch.get_num_threads()  # one for each core, unless the environment says otherwise
TOGETHER = 4  # examples in one row: the cost of attention grows with the square of its length
SHARED = -1  # owner of the tokens that all examples of a row begin with
VALID_EVERY, VALID_BATCH = 10, 8  # steps between two looks at a few validation examples
ANSWER = "\0an answer\0"  # stands for one, to see what a chat template writes around it


@dataclass(frozen=True)
class Settings:
    """What one training run was asked for. ``usual_rate`` is the highest learning rate at a multiplier of 1."""

    n_epochs: int = 4
    batch_size: int = 4
    learning_rate_multiplier: float = 1.0
    seed: int = 0
    usual_rate: float = LEARNING_RATE

    @property
    def rate(self) -> float:
        return self.usual_rate * self.learning_rate_multiplier


@dataclass(frozen=True)
class Example:
    """A chat as token numbers; ``trained[i]`` says whether token i is to be learned."""

    tokens: list[int]
    trained: list[bool]


# --- from messages to tokens ---------------------------------------------------------------------------------


class Unwritable(Exception):
    """The model's chat template cannot write the conversation down; the text says why."""


def plain(messages: list[dict]) -> list[dict]:
    """The messages with their texts only: what the model's chat template can write down. Calls become texts."""
    roles = {"developer": "system", "function": "tool"}
    return [{"role": roles.get(m["role"], m["role"]), "content": text_of(m)} for m in messages]


def prompt_text(tokenizer, messages: list[dict], answer_follows: bool = True) -> str:
    """The conversation as the model reads it, up to the place where its answer begins.

    Raises Unwritable if the model's chat template refuses it.
    """
    try:
        return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=answer_follows)
    except TemplateError as error:
        raise Unwritable(f"The chat template of this model refuses the conversation: {error}") from None


def encode(tokenizer, messages: list[dict]) -> Example:
    """One chat as tokens. Learned are the assistant's texts and their end mark, unless ``weight`` is 0."""
    tokens, trained, last = [], [], None
    chat = plain(messages)

    def add(text: str, learn: bool) -> None:
        new = tokenizer.encode(text, add_special_tokens=False)
        tokens.extend(new)
        trained.extend([learn] * len(new))

    for number, message in enumerate(messages):
        if message["role"] != "assistant" or message.get("weight") == 0:
            continue
        if last is not None:
            before = following(tokenizer, chat[:number], last)
        else:
            before = prompt_text(tokenizer, chat[:number]) if number else opening(tokenizer)
        add(before, learn=False)
        add(chat[number]["content"] + tokenizer.eos_token, learn=True)
        last = number
    if last is None:
        rest = prompt_text(tokenizer, chat, answer_follows=False)
    else:
        rest = following(tokenizer, chat, last, answer_follows=False)
    add(rest.rstrip("\n"), learn=False)
    return Example(tokens, trained)


def following(tokenizer, chat: list[dict], last: int, answer_follows: bool = True) -> str:
    """What stands behind the answer ``chat[last]`` and its end mark.

    What stands before it may be written otherwise than before: some templates drop what an earlier answer began with.
    """
    marked = [*chat[:last], chat[last] | {"content": ANSWER}, *chat[last + 1 :]]
    _, _, rest = prompt_text(tokenizer, marked, answer_follows).partition(ANSWER)
    return rest.removeprefix(tokenizer.eos_token)


def opening(tokenizer) -> str:
    """What stands before the text of an answer that comes first: templates write down no empty conversation."""
    whole = prompt_text(tokenizer, [{"role": "assistant", "content": ANSWER}], answer_follows=False)
    return whole.partition(ANSWER)[0]


def batches(examples: list[Example], size: int, order: random.Random) -> list[list[Example]]:
    """All examples in random batches of similar length, so that the parts of a batch take equally long."""
    shuffled = order.sample(examples, len(examples))
    groups = [shuffled[i : i + 16 * size] for i in range(0, len(shuffled), 16 * size)]
    shuffled = [example for group in groups for example in sorted(group, key=lambda e: len(e.tokens))]
    found = [shuffled[i : i + size] for i in range(0, len(shuffled), size)]
    return order.sample(found, len(found))


# --- the model -----------------------------------------------------------------------------------------------


def load_tokenizer(folder: Path):
    """The tokenizer of a folder of weights."""
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def load_model(folder: Path, longest: int = SHORT):
    """The language model on its device, in the precision that this is quickest in."""
    device, dtype = devices.device(), quickest_precision()
    is_eager = device.type == "cpu" and dtype == torch.bfloat16 and longest <= SHORT
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation="eager" if is_eager else "sdpa", local_files_only=True
    )
    # The last token of each of 32 questions is no single piece of memory: torch would copy the whole matrix of
    # scores, 57 MB in the small model, for each of them.
    model.get_output_embeddings().register_forward_pre_hook(lambda _, given: (given[0].contiguous(),))
    return model.to(device)


@functools.cache
def quickest_precision() -> torch.dtype:
    """bfloat16 if this processor multiplies matrices in it at least 1.3 times as fast, else float32.

    On CUDA bfloat16 if the card knows it, on Apple's MPS float32: neither has been measured. LOCAL_API_PRECISION
    decides if it is set: then results do not hang on the processor, or on what else it does.
    Raises ValueError if it is neither of the two.
    """
    if wanted := os.environ.get("LOCAL_API_PRECISION"):
        if wanted not in ("float32", "bfloat16"):
            raise ValueError(
                f"LOCAL_API_PRECISION is {wanted!r}; set it to float32 or bfloat16, or not at all."
            )
        return getattr(torch, wanted)
    if devices.device().type != "cpu":
        knows_it = devices.device().type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if knows_it else torch.float32
    usual = _seconds(torch.float32)
    return torch.bfloat16 if _seconds(torch.bfloat16, 0.3 + usual) * 1.3 < usual else torch.float32


def quickest_threads() -> int:
    """LOCAL_API_THREADS if that is set. Else all cores, or one if they are no help: others may keep them busy.

    Raises ValueError if LOCAL_API_THREADS is no whole number from 1 up.
    """
    if wanted := os.environ.get("LOCAL_API_THREADS"):
        if not wanted.isdecimal() or int(wanted) == 0:
            raise ValueError(
                f"LOCAL_API_THREADS is {wanted!r}; set it to a whole number from 1 up, or not at all."
            )
        return int(wanted)
    needed: dict[int, float] = {}
    for threads in (1, ALL_THREADS) * 3:  # in turn: what disturbs for a moment decides nothing
        torch.set_num_threads(threads)
        needed[threads] = min(needed.get(threads, math.inf), _seconds(torch.float32))
    return ALL_THREADS if needed[ALL_THREADS] < 0.9 * needed[1] else 1


def share_out_threads(batch_size: int) -> int:
    """How many parts of a batch to compute at the same time; torch is told how many threads each part has.

    A graphics card computes one after the other: it shares out its work itself.
    """
    if devices.device().type != "cpu":
        return 1
    threads = quickest_threads()
    parts = min(threads, batch_size)
    torch.set_num_threads(threads // parts)
    return parts


def _seconds(dtype: torch.dtype, patience: float = math.inf) -> float:
    """The best time of three for five products of the size that the model's layers have.

    A processor that knows the precision only from its programs may need minutes: ``patience`` seconds end it.
    """
    left, right = torch.ones(256, 576, dtype=dtype), torch.ones(576, 1536, dtype=dtype)
    times = []
    for _ in range(4):  # the first one warms up
        start = time.perf_counter()
        for _ in range(5):
            left @ right
            if time.perf_counter() - start > patience:
                return patience
        times.append(time.perf_counter() - start)
    return min(times[1:])


def with_lora(base, adapter: bytes | None, seed: int):
    """The base, frozen, with LoRA matrices in float32 beside each linear layer: new ones, or those given."""
    torch.manual_seed(seed)
    given = read_tensors(adapter) if adapter else {}
    rank = rank_of(given)
    config = LoraConfig(r=rank, lora_alpha=alpha(rank), target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(base, config, autocast_adapter_dtype=True)
    if given:
        set_peft_model_state_dict(model, given)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()  # small updates would be rounded away in bfloat16
    return model


def rank_of(given: dict[str, torch.Tensor]) -> int:
    """The rank of the matrices given; of new ones, where none are, RANK, or LOCAL_API_RANK if that is set.

    Raises ValueError if LOCAL_API_RANK is no whole number from 1 up.
    """
    if given:
        return next(len(tensor) for name, tensor in given.items() if "lora_A" in name)
    wanted = os.environ.get("LOCAL_API_RANK") or str(RANK)
    if not wanted.isdecimal() or int(wanted) == 0:
        raise ValueError(f"LOCAL_API_RANK is {wanted!r}; set it to a whole number from 1 up, or not at all.")
    return int(wanted)


def alpha(rank: int) -> int:
    """What the product of the matrices is multiplied with, times their rank: as for RANK, whatever the rank."""
    return rank * ALPHA // RANK


def adapter_bytes(model) -> bytes:
    """The trained matrices as a safetensors file."""
    found = get_peft_model_state_dict(model, save_embedding_layers=False)
    tensors = {name: tensor.detach().float().contiguous() for name, tensor in found.items()}
    return write_tensors(tensors, metadata={"format": "pt"})


# --- the loop ------------------------------------------------------------------------------------------------


def loss_of(model, batch: list[Example]) -> tuple[torch.Tensor, torch.Tensor, int]:
    """(summed loss, tokens that were the likeliest, tokens learned) of a batch."""
    logits, targets, _ = predictions(model, batch)
    loss = cross_entropy(logits, targets, reduction="sum")
    return loss, (logits.argmax(-1) == targets).sum(), len(targets)


def predictions(model, batch: list[Example]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(scores of all tokens, the token that follows, the number of its example) for each token to be learned."""
    tokens, places, owners, nexts, learned = one_row(batch, model.device)
    language_model = model.get_base_model()
    looks = mask(owners, language_model.dtype)
    wanted = learned.nonzero()[:, 0]  # scores only where there is something to learn
    out = language_model(
        input_ids=tokens, position_ids=places, attention_mask=looks, logits_to_keep=wanted, use_cache=False
    )
    return out.logits[0].float(), nexts[learned], owners[learned]


def token_log_probabilities(model, batch: list[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    """(log-probability in nats, the number of its example) for each token to be learned."""
    logits, targets, owners = predictions(model, batch)
    return -cross_entropy(logits, targets, reduction="none"), owners


def log_probabilities(model, batch: list[Example]) -> torch.Tensor:
    """(examples,): the log-probability, in nats, of all that is to be learned in each example."""
    tokens, owners = token_log_probabilities(model, batch)
    return tokens.new_zeros(len(batch)).index_add(0, owners, tokens)


def one_row(batch: list[Example], device: torch.device) -> tuple[torch.Tensor, ...]:
    """The examples one behind the other, so that nothing is padded; what they all begin with stands there once.

    Returns the tokens and the place of each in its example (both with a first dimension of 1), the number of its
    example or SHARED, the token that follows it, and whether that one is to be learned.
    """
    start = common_start(batch)
    tokens, places, owners = batch[0].tokens[:start], list(range(start)), [SHARED] * start
    nexts, learned = batch[0].tokens[1 : start + 1], [False] * start
    for number, example in enumerate(batch):
        rest = example.tokens[start:-1]  # nothing follows the last token
        tokens += rest
        places += range(start, start + len(rest))
        owners += [number] * len(rest)
        nexts += example.tokens[start + 1 :]
        learned += example.trained[start + 1 :]
    return tuple(torch.tensor(one, device=device) for one in ([tokens], [places], owners, nexts, learned))


def common_start(batch: list[Example]) -> int:
    """How many tokens all examples begin with, up to one before the first that is learned in any."""
    most = min([*example.trained, True].index(True) for example in batch) - 1
    return max(0, min(most, same_start([example.tokens[:-1] for example in batch])))


def same_start(rows: list[list[int]]) -> int:
    """How many tokens all rows begin with."""
    columns = zip(*rows, strict=False)
    return len(list(itertools.takewhile(lambda column: len(set(column)) == 1, columns)))


def mask(owners: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """(1, 1, tokens, tokens): 0 where the token of the row looks at that of the column, else minus infinity."""
    looks = ((owners == SHARED) | (owners == owners[:, None])).tril()
    return torch.zeros_like(looks, dtype=dtype).masked_fill(~looks, -math.inf)[None, None]


def train(trainer: "Trainer", examples: list[Example], validation: list[Example]):
    """Yields a dict of metrics after each step, with the field names of OpenAI's events; losses in nats a token.

    It begins at the step that ``trainer`` has come to. Stop it by not asking for the next step.
    """
    for batch in coming(trainer, examples):
        metrics = trainer.learn(batch)
        yield metrics | validate(trainer, validation)


def coming(trainer: "Trainer", examples: list) -> Iterator[list]:
    """The batches from the step on that ``trainer`` has come to; it must take a step with each."""
    settings = trainer.settings
    while trainer.step < trainer.total:
        epoch, place = divmod(trainer.step, trainer.per_epoch)
        order = random.Random(
            f"{settings.seed}-{epoch}"
        )  # the same again when training goes on after a break
        yield batches(examples, settings.batch_size, order)[place]


class Trainer:
    """The optimizer, the learning rate's course, and how far the training has come.

    ``parts`` of a batch are computed at the same time, each on a thread of its own.
    """

    def __init__(self, model, settings: Settings, examples: int, parts: int = 1):
        self.model, self.settings, self.step = model, settings, 0
        self.tokens = 0  # that were learned from, where no file says how many there will be
        self.per_epoch = math.ceil(examples / settings.batch_size)
        self.total = self.per_epoch * settings.n_epochs
        self.weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(self.weights, betas=BETAS, weight_decay=0.0, fused=True)
        self.parts, self.pool = parts, ThreadPoolExecutor(parts)
        self.start = [weight.detach().clone() for weight in self.weights]

    @property
    def epoch_ends(self) -> bool:
        return self.step % self.per_epoch == 0

    @contextmanager
    def at_start(self):
        """Within it, the model is the one that the training started from."""
        here = [weight.data for weight in self.weights]
        for weight, then in zip(self.weights, self.start, strict=True):
            weight.data = then
        try:
            yield
        finally:
            for weight, now in zip(self.weights, here, strict=True):
                weight.data = now

    def parts_of(self, batch: list, together: int = TOGETHER) -> list[list]:
        """The batch cut into parts that take equally long; each has ``together`` items at most."""
        count = max(min(self.parts, len(batch)), math.ceil(len(batch) / together))
        return [batch[i::count] for i in range(count)]

    def learn(self, batch: list[Example]) -> dict:
        """One step: the loss, its gradient, and a small move against it."""
        losses, right, counts, gradients = zip(
            *self.pool.map(self.gradient, self.parts_of(batch)), strict=True
        )
        count = sum(counts)  # 0 if every answer of this batch has weight 0
        self.move(gradients if count else [], count)
        mean = {"train_loss": sum(losses), "train_mean_token_accuracy": sum(right)}
        return self.place() | {k: v / max(count, 1) for k, v in mean.items()}

    def move(self, gradients: list, count: int = 1) -> None:
        """One step against the sum of the parts' gradients, divided by ``count``; it stays if there are none."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        if gradients:
            for weight, *of_parts in zip(self.weights, *gradients, strict=True):
                weight.grad = sum(of_parts) / count
            torch.nn.utils.clip_grad_norm_(self.weights, LONGEST_NORM)
            self.optimizer.step()
        self.step += 1

    def place(self) -> dict:
        """How far the training has come, as OpenAI's events say it."""
        return {"step": self.step, "total_steps": self.total}

    def gradient(self, part: list[Example]) -> tuple:
        """(summed loss, tokens that were the likeliest, tokens learned, the loss's gradient for each matrix)."""
        loss, right, count = loss_of(self.model, part)
        # backward() would add to one place from several threads, in an order that changes.
        return loss.item(), right.item(), count, torch.autograd.grad(loss, self.weights)

    @torch.inference_mode()
    def score(self, part: list[Example]) -> tuple[float, int, int]:
        """(summed loss, tokens that were the likeliest, tokens learned), and nothing is learned."""
        loss, right, count = loss_of(self.model, part)
        return loss.item(), right.item(), count

    def rate(self) -> float:
        """Rises for the first tenth of the steps, then falls along a cosine to 0."""
        warm_up = max(1, round(WARM_UP * self.total))
        if self.step < warm_up:
            return self.settings.rate * (self.step + 1) / warm_up
        done = (self.step - warm_up) / max(1, self.total - warm_up)
        return self.settings.rate * (1 + math.cos(math.pi * done)) / 2

    def state(self) -> bytes:
        """All that is needed to go on later: nothing is random in a step but the order, which the seed gives."""
        out = io.BytesIO()
        adapter, moments = adapter_bytes(self.model), self.optimizer.state_dict()
        place = {"step": self.step, "tokens": self.tokens}
        torch.save(place | {"adapter": adapter, "optimizer": moments}, out)
        return out.getvalue()

    def restore(self, state: bytes) -> None:
        """Continues where ``state`` was taken."""
        # on the processor first: the state may come from another device
        saved = torch.load(io.BytesIO(state), weights_only=True, map_location="cpu")
        set_peft_model_state_dict(self.model, read_tensors(saved["adapter"]))
        self.optimizer.load_state_dict(saved["optimizer"])
        self.step, self.tokens = saved["step"], saved["tokens"]


def validate(trainer: Trainer, validation: list[Example]) -> dict:
    """The loss on a few validation examples, in turn; at the end of an epoch on all of them."""
    chosen = to_validate(trainer, validation)
    if not chosen:
        return {}
    parts = [chosen[i : i + TOGETHER] for i in range(0, len(chosen), TOGETHER)]
    losses, right, counts = zip(*trainer.pool.map(trainer.score, parts), strict=True)
    mean = {"valid_loss": sum(losses), "valid_mean_token_accuracy": sum(right)}
    found = {name: total / max(1, sum(counts)) for name, total in mean.items()}
    return found | {f"full_{name}": value for name, value in found.items() if trainer.epoch_ends}


def to_validate(trainer: Trainer, validation: list) -> list:
    """All of ``validation`` at the end of an epoch; at every tenth step a few, in turn; at other steps nothing."""
    if trainer.epoch_ends:
        return validation
    if not validation or trainer.step % VALID_EVERY:
        return []
    few = [(trainer.step // VALID_EVERY * VALID_BATCH + i) % len(validation) for i in range(VALID_BATCH)]
    return [validation[i] for i in dict.fromkeys(few)]
