"""CodeSearchNet's functions; Wei et al. 2023 calibrate on those in Python (section III.A, figure 7)."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from qharness import CheckedOptions, DataError, mirror_dir, option
from qharness.plugins.corpora.shards import KINDS, ShardRow, mirrored, rows, state

REPOSITORY = "code-search-net/code_search_net"
# The Hub's own conversion to parquet, which it makes of every data set: the repository's layout has changed over time.
_REVISION = "refs/convert/parquet"
_TRAINING_FILES = r"{language}/(?:partial-)?train/\d+\.parquet"
_LAYOUT = "put the {title} training split, as parquet or as upstream's *.jsonl.gz, to DIR/codesearchnet/{language}/"

# The names in the Hub's version and in the original release.
_CODE = ("func_code_string", "code")
_SPLIT = ("split_name", "partition")
_LANGUAGE = ("language",)


@dataclass(frozen=True)
class CodeSearchNet(CheckedOptions):
    """Functions of CodeSearchNet's training split, one a sequence; Python's where no other language is named."""

    name: ClassVar[str] = "codesearchnet"

    n: int = option(5000, "functions", least=1)
    seqlen: int = option(2048, "most tokens of a function", least=1)
    language: Literal["go", "java", "javascript", "php", "python", "ruby"] = option("python", "which functions")

    def documents(self, rng: random.Random, data_dir: Path | None) -> Iterator[tuple[str, str]]:
        """Yield functions in random order; a smaller `n` takes the first of them."""
        places = _mirror(data_dir, self.language) or _downloaded(self.language)
        source = f"CodeSearchNet {self.language.capitalize()}"
        for place, row in rows(places, rng, (*_CODE, *_SPLIT, *_LANGUAGE)):
            if _value(row, _SPLIT, "train") == "train" and _value(row, _LANGUAGE, self.language) == self.language:
                yield source, _code(place, row, self.language)

    def origin(self, data_dir: Path | None) -> str:
        """Return the upstream's name, or the state of a mirror's files."""
        places = _mirror(data_dir, self.language)
        return state(places) if places else REPOSITORY


def _value(row: ShardRow, names: tuple[str, ...], default: str) -> str:
    return next((str(row[name]).lower() for name in names if row.get(name) is not None), default)


def _code(place: str, row: ShardRow, language: str) -> str:
    code = next((row[name] for name in _CODE if isinstance(row.get(name), str)), None)
    if code is None:
        raise DataError(
            f"{place}: a row has no {' or '.join(_CODE)}, one of which CodeSearchNet has: {_layout(language)}"
        )
    return str(code)


def _layout(language: str) -> str:
    return _LAYOUT.format(language=language, title=language.capitalize())


def _mirror(data_dir: Path | None, language: str) -> list[str] | None:
    mirror = mirror_dir(data_dir)
    return mirrored(mirror / "codesearchnet" / language, _layout(language), KINDS) if mirror else None


def _downloaded(language: str) -> list[str]:
    """Return the training split's files in the Hugging Face cache folder; fetch them if they are not there."""
    from huggingface_hub import HfApi, hf_hub_download

    training = re.compile(_TRAINING_FILES.format(language=language))
    try:
        info = HfApi().dataset_info(REPOSITORY, revision=_REVISION)
        names = sorted(file.rfilename for file in info.siblings or () if training.fullmatch(file.rfilename))
        found = [hf_hub_download(REPOSITORY, name, repo_type="dataset", revision=info.sha) for name in names]
    except Exception as error:  # its client raises what its HTTP library does, which has changed over time
        said = " ".join(str(error).split())[:120]
        raise DataError(
            f"{REPOSITORY} could not be fetched ({said}): {_layout(language)} and give --data-dir DIR"
        ) from None
    if not found:
        missing = f"{REPOSITORY} at {_REVISION} has no {language.capitalize()} training split"
        raise DataError(f"{missing}: {_layout(language)} and give --data-dir DIR")
    return found
