"""Tasks on the bundled model's problems, which are HumanEval's in shape."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bigcode_eval.base import Task

PROBLEMS = Path(__file__).parents[5] / "tasks/tiny/tiny-python.jsonl"
CALLS: list[int] = []
"""How many problems each call of `process_results` was given."""


class Programs(Task):
    """Executes programs in processes of its own, as that harness does, unless it is forbidden."""

    def __init__(self, prompt: str = "instruct") -> None:
        super().__init__(stop_words=["\nclass", "\ndef", "\n#", "\nif", "\nprint"], requires_execution=True)
        self.prompt = prompt
        self.dataset = [json.loads(line) for line in PROBLEMS.read_text().splitlines()[:4]]

    def get_dataset(self) -> Any:
        return self.dataset

    def get_prompt(self, doc: Any) -> Any:
        return doc["prompt"]

    def get_reference(self, doc: Any) -> Any:
        return doc["tests"]

    def postprocess_generation(self, generation: str, idx: int) -> Any:
        """The prompt is cut off by its length, and stop words count in what follows."""
        prompt = self.get_prompt(self.dataset[idx])
        text = generation[len(prompt) :]
        ends = [text.find(stop) for stop in self.stop_words or [] if stop in text]
        return prompt + (text[: min(ends)] if ends else text)

    def process_results(self, generations: list[list[Any]], references: list[Any]) -> dict[str, Any]:
        if os.environ.get("HF_ALLOW_CODE_EVAL") != "1":
            raise ValueError("code is not allowed to run")
        CALLS.append(len(generations))
        passed = [
            [_passes(text, tests) for text in texts] for texts, tests in zip(generations, references, strict=True)
        ]
        generations.clear()  # what it is given is its own
        found = {"pass@1": np.float64(np.mean([np.mean(each) for each in passed]))}
        if all(len(each) >= 2 for each in passed):
            found["pass@2"] = np.mean([1 - np.prod([1 - p for p in each[:2]]) for each in passed])
        return found


def _passes(text: str, tests: str) -> bool:
    program = [sys.executable, "-I", "-S", "-c", f"{text}\n{tests}"]
    return subprocess.run(program, capture_output=True, timeout=20).returncode == 0


class ByPlace(Programs):
    """Takes its tests from its own data, by the place of a generation in the list, as APPS does."""

    def process_results(self, generations: list[list[Any]], references: list[Any]) -> dict[str, Any]:
        tests = [doc["tests"] for doc in self.dataset[: len(generations)]]
        return super().process_results(generations, tests)


class ByFolder(Programs):
    """Leaves a file of results for each problem in the temporary folder, and averages all that it finds there.

    As MultiPL-E's tasks do, whose programs also leave files there.
    """

    def process_results(self, generations: list[list[Any]], references: list[Any]) -> dict[str, Any]:
        folder = Path(tempfile.gettempdir())
        for number, (texts, tests) in enumerate(zip(generations, references, strict=True)):
            rate = float(np.mean([_passes(text, tests) for text in texts]))
            (folder / f"problem-{number}.results.json").write_text(json.dumps(rate))
        (Path(os.environ["TMPDIR"]) / "left-by-a-program").mkdir()
        return {"pass@1": np.mean([json.loads(path.read_text()) for path in folder.glob("*.results.json")])}


class WithoutData(Programs):
    """Has lost its data set on the way, as a task does that was made where no hub can be reached."""

    DATASET_PATH = "somebody/some-problems"
    DATASET_NAME = "python"

    def __init__(self) -> None:
        super().__init__()
        del self.dataset


class Summaries(Programs):
    """Runs nothing: a score of texts that is no mean over problems."""

    def __init__(self) -> None:
        super().__init__()
        self.requires_execution = False

    def postprocess_generation(self, generation: str, idx: int) -> Any:
        return generation[len(self.get_prompt(self.dataset[idx])) :].strip()

    def process_results(self, generations: list[list[Any]], references: list[Any]) -> dict[str, Any]:
        lengths = [len(texts[0]) for texts in generations]
        return {"length": float(np.sqrt(np.mean(np.square(lengths)))), "note": "no number"}


class Infilling(Programs):
    """Prompts with two parts."""

    def get_prompt(self, doc: Any) -> Any:
        return {"prefix": doc["prompt"], "suffix": "\n"}
