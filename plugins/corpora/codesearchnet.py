"""CodeSearchNet's Python functions, on which Wei et al. 2023 calibrate (section III.A, figure 7)."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from qharness import CheckedOptions, DataError, mirror_dir, option
from qharness.plugins.corpora.shards import KINDS, ShardRow, mirrored, rows, state

REPOSITORY = "code-search-net/code_search_net"
# The Hub's own conversion to parquet, which it makes of every data set: the repository's layout has changed over time.
_REVISION = "refs/convert/parquet"
_TRAINING_FILES = re.compile(r"python/(?:partial-)?train/\d+\.parquet")
_LAYOUT = "put the Python training split, as parquet or as upstream's *.jsonl.gz, to DIR/codesearchnet/python/"

# The names in the Hub's version and in the original release.
_CODE = ("func_code_string", "code")
_SPLIT = ("split_name", "partition")
_LANGUAGE = ("language",)

SOURCE = "CodeSearchNet Python"


@dataclass(frozen=True)
class CodeSearchNet(CheckedOptions):
    """Python functions of CodeSearchNet's training split, one a sequence."""

    name: ClassVar[str] = "codesearchnet"

    n: int = option(5000, "functions", least=1)
    seqlen: int = option(2048, "most tokens of a function", least=1)

    def documents(self, rng: random.Random, data_dir: Path | None) -> Iterator[tuple[str, str]]:
        """Yield functions in random order; a smaller `n` takes the first of them."""
        places = _mirror(data_dir) or _downloaded()
        for place, row in rows(places, rng, (*_CODE, *_SPLIT, *_LANGUAGE)):
            if _value(row, _SPLIT, "train") == "train" and _value(row, _LANGUAGE, "python") == "python":
                yield SOURCE, _code(place, row)

    def origin(self, data_dir: Path | None) -> str:
        """Return the upstream's name, or the state of a mirror's files."""
        places = _mirror(data_dir)
        return state(places) if places else REPOSITORY


def _value(row: ShardRow, names: tuple[str, ...], default: str) -> str:
    return next((str(row[name]).lower() for name in names if row.get(name) is not None), default)


def _code(place: str, row: ShardRow) -> str:
    code = next((row[name] for name in _CODE if isinstance(row.get(name), str)), None)
    if code is None:
        raise DataError(f"{place}: a row has no {' or '.join(_CODE)}, one of which CodeSearchNet has: {_LAYOUT}")
    return str(code)


def _mirror(data_dir: Path | None) -> list[str] | None:
    mirror = mirror_dir(data_dir)
    return mirrored(mirror / "codesearchnet/python", _LAYOUT, KINDS) if mirror else None


def _downloaded() -> list[str]:
    """Return the training split's files in the Hugging Face cache folder; fetch them if they are not there."""
    from huggingface_hub import HfApi, hf_hub_download

    try:
        info = HfApi().dataset_info(REPOSITORY, revision=_REVISION)
        names = sorted(file.rfilename for file in info.siblings or () if _TRAINING_FILES.fullmatch(file.rfilename))
        found = [hf_hub_download(REPOSITORY, name, repo_type="dataset", revision=info.sha) for name in names]
    except Exception as error:  # its client raises what its HTTP library does, which has changed over time
        said = " ".join(str(error).split())[:120]
        raise DataError(f"{REPOSITORY} could not be fetched ({said}): {_LAYOUT} and give --data-dir DIR") from None
    if not found:
        raise DataError(f"{REPOSITORY} at {_REVISION} has no Python training split: {_LAYOUT} and give --data-dir DIR")
    return found
