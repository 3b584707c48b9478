"""A model by its name: the place of its checkpoint, its configuration and its identity."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from qharness.bounds import shortened
from qharness.errors import ModelError, first_line
from qharness.models.checkpoint_files import check_config, check_tokenizer, check_weights, lacks_model_type
from qharness.models.conventions import mark
from qharness.models.gguf_files import find_gguf, is_gguf_name
from qharness.models.gguf_header import GgufHeader, read_header
from qharness.models.presets import PRESETS, Preset, hint
from qharness.specs import DEFAULT_MODEL

if TYPE_CHECKING:
    from transformers import PretrainedConfig

BUNDLED = {DEFAULT_MODEL: Path(__file__).parent / "tinycoder"}
_WEIGHTS = ("*.safetensors", "*.bin", "*.json", "*.model", "*.txt")


def find_preset(name: str) -> Preset | None:
    """The preset of that name; a folder of that name goes first. Raises ModelError for an impossible name."""
    try:
        return None if Path(name).is_dir() else PRESETS.get(name)
    except (OSError, ValueError):  # of a name that is too long for any folder, or has a null character
        raise ModelError(f"model {shortened(name)}: no model can have such a name") from None


def locate(name: str) -> Path:
    """The bundled model's folder, or `name` as a path; one that does not exist may be an id of the Hub's.

    A preset gives its id.
    """
    preset = find_preset(name)
    return BUNDLED.get(name) or (Path(preset.id) if preset else Path(name).expanduser())


@dataclass(frozen=True)
class Checkpoint:
    """A model's checkpoint, by the name that the user gives it. It reads each file once, when first needed.

    `trust_remote_code`: run the Python code that it brings.
    """

    name: str
    trust_remote_code: bool = False

    @cached_property
    def source(self) -> Path:
        """Its folder, its GGUF file, or its id on the Hub. Raises ModelError for a folder of several GGUF files."""
        place = locate(self.name)
        return find_gguf(place) or place

    @cached_property
    def gguf_file(self) -> Path | None:
        """Its GGUF file; None of a checkpoint of another kind."""
        return find_gguf(self.source)

    @cached_property
    def gguf_header(self) -> GgufHeader | None:
        """The header of its GGUF file; None of a checkpoint of another kind. Raises ModelError for a damaged file."""
        return read_header(self.gguf_file) if self.gguf_file else None

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader of its figures must know of the form of its weights."""
        if self.gguf_header is None:
            return ()
        sizes = ", ".join(f"{kind} {size / 1e6:.1f}" for kind, size in self.gguf_header.type_bytes.items())
        whole = f"{self.gguf_header.file_bytes / 1e6:.1f} MB, of which {sizes}"
        found = [f"the weights of {self.gguf_header.path.name} ({whole}) are dequantized"]
        if unread := self.gguf_header.position_settings:
            found.append(f"transformers does not take what the file says of long texts: {', '.join(unread)}")
        return tuple(found)

    @property
    def folder(self) -> str:
        """The folder, or the id on the Hub, in which transformers finds it."""
        return (self.gguf_file.parent if self.gguf_file else self.source).as_posix()

    @cached_property
    def config(self) -> PretrainedConfig:
        """Its configuration, shared: copy it before changing it. Raises ModelError, in one line, for no model."""
        from transformers import AutoConfig

        name, folder = self.name, self.source
        if self.gguf_header:
            return self._gguf_config(self.gguf_header)
        if folder.exists() and not (folder / "config.json").is_file():
            raise ModelError(f"model {name!r} is no model: {folder / 'config.json'} is missing")
        if not folder.exists() and self._is_path:
            raise ModelError(f"model {name!r}: there is no such {'file' if is_gguf_name(name) else 'folder'}")
        if folder.exists():
            check_config(folder)
        try:
            config: PretrainedConfig = AutoConfig.from_pretrained(
                folder.as_posix(), trust_remote_code=self.trust_remote_code
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            refuse_own_code(name, error)
            if folder.exists() and lacks_model_type(folder):
                raise ModelError(f"{folder / 'config.json'} has no model_type: download it again") from None
            raise ModelError(f"model {name!r} could not be loaded: {first_line(error)}{hint(name)}") from None
        mark(config, folder.as_posix())
        return config

    def named(self, name: str) -> Checkpoint:
        """Another model's checkpoint, trusted as much."""
        return Checkpoint(name, self.trust_remote_code)

    def _gguf_config(self, header: GgufHeader) -> PretrainedConfig:
        from qharness.models.gguf_loading import gguf_config

        config = gguf_config(header)
        mark(config, self.source.as_posix())
        return config

    def check(self) -> None:
        """Raise ModelError for what `load_model` would refuse without looking at a tensor."""
        _ = self.config
        if self.source.is_dir():
            check_weights(self.source)
            check_tokenizer(self.source)

    @property
    def is_local(self) -> bool:
        """Whether it can be checked without the Hub: it is a folder, or a path that leads nowhere."""
        return self.source.exists() or self._is_path

    @property
    def _is_path(self) -> bool:
        return self.name.startswith(("/", ".", "~")) or self.name.count("/") > 1 or is_gguf_name(self.name)

    @property
    def short_name(self) -> str:
        """The name that files of the model bear: its id, or its folder's or GGUF file's own name."""
        local = self.source.is_dir() or self.gguf_file is not None
        return self.source.resolve().name if local else self.source.as_posix()

    @cached_property
    def identity(self) -> str:
        """An id, or a path with a SHA-256 of the files' names, sizes and times: equal for one model only.

        Its Python files count where they are run.
        """
        folder = self.source
        if not folder.is_dir() and self.gguf_file is None:
            return folder.as_posix()
        patterns = (*_WEIGHTS, "*.py") if self.trust_remote_code else _WEIGHTS
        files = [folder] if self.gguf_file else sorted({path for each in patterns for path in folder.glob(each)})
        stamp = "".join(f"{p.name} {p.stat().st_size} {p.stat().st_mtime_ns}\n" for p in files)
        return f"{folder.resolve()} {hashlib.sha256(stamp.encode()).hexdigest()}"


def refuse_own_code(name: str, error: Exception) -> None:
    """Raise ModelError where transformers asks for leave to run a checkpoint's own code."""
    if "trust_remote_code" in str(error):
        raise ModelError(
            f"model {name!r} needs Python code from its checkpoint: read it, then allow it with --trust-remote-code"
        ) from None
