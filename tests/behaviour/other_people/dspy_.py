"""dspy: a program with fields, in chat and in JSON; its fine-tuning of a model."""

import json
import sys

import dspy
from dspy.clients.lm import TrainingJob
from dspy.clients.utils_finetune import TrainDataFormat

lm = dspy.LM("openai/gpt-4o-mini", temperature=0.0, cache=False)
dspy.configure(lm=lm, adapter=dspy.JSONAdapter())
assert dspy.Predict("question -> answer: str")(question="What is the weather in Rome?").answer is not None
with open(sys.argv[1], encoding="utf-8") as file:
    rows = [json.loads(line) for line in file]
job = lm.finetune(rows, TrainDataFormat.CHAT)
assert isinstance(job, TrainingJob)
tuned = job.result()
assert "ft:gpt-4o-mini" in tuned.model and tuned("When do I water bed 3?")
