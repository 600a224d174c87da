"""A model of this engine as a judge, within the training process."""

from ...store import Store
from . import base_of, serving, training, weights

LONGEST_JUDGEMENT = 24  # tokens


class Judges:
    """Answers what graders with a model ask, at temperature 0. The model that was asked last stays in memory."""

    def __init__(self, store: Store, owner: str):
        self.store, self.owner = store, owner
        self.name, self.model, self.tokenizer = None, None, None

    def ask(self, name: str, conversations: list[list[dict]]) -> list[str]:
        """An answer to each. Raises LookupError if the model is gone."""
        if name != self.name:
            is_base = base_of(name) == name
            adapter = None if is_base else self.store.data("model", name, self.owner)
            if not weights.folder_is_ready(base_of(name)) or (adapter is None and not is_base):
                raise LookupError(f"The model {name} does not exist any more.")
            base = weights.base(base_of(name))
            self.name, self.model = name, serving.merged(base, adapter)
            self.tokenizer = training.load_tokenizer(base.folder)
        answers = []
        for messages in conversations:
            prompt = self.tokenizer.encode(
                training.prompt_text(self.tokenizer, training.plain(messages)), add_special_tokens=False
            )
            options = {"limit": LONGEST_JUDGEMENT, "temperature": 0, "seed": 0, "stops": [], "top": -1}
            answers.append(serving.Answer(prompt, **options))
        for i in range(0, len(answers), serving.MAX_BATCH):
            serving.decode(self.model, self.tokenizer, answers[i : i + serving.MAX_BATCH])
        return ["".join(piece.text for piece in answer) for answer in answers]
