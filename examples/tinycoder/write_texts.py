"""Texts of tinycoder's kind to calibrate on: JSON lines with a program or a summary each, of trained compositions.

python examples/tinycoder/write_texts.py build/tinycoder-texts.jsonl [--count 1024] [--seed 1]
qharness run --quant aqlm:2 --calib 'files:"build/tinycoder-texts.jsonl",n=1024' ...
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from tinycoder.texts import training_texts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--count", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    texts = islice(training_texts(random.Random(options.seed)), options.count)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with options.output.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": text.prompt + text.completion}) + "\n" for text in texts)


if __name__ == "__main__":
    main()
