"""A model that a server holds, by the name that the server gives it: it has no files here."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from qharness.errors import ModelError


@dataclass(frozen=True)
class ServerModel:
    """A model of an OpenAI-compatible server. `api_key_env`: the environment variable that holds the key, if any."""

    name: str
    base_url: str
    api_key_env: str | None = field(default=None, compare=False)

    @property
    def is_local(self) -> bool:
        """Whether it can be checked without a network: never."""
        return False

    def check(self) -> None:
        """Raise ModelError for an address that is none, or that holds a secret, and for a key that is not set."""
        try:
            parts = urlsplit(self.base_url)
            host = parts.hostname
        except ValueError:
            host = None
        if not host or parts.scheme not in ("http", "https"):
            raise ModelError(f"--base-url {self.base_url!r} is no address: give one as http://localhost:8080/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ModelError(
                f"--base-url of {host}: an address is recorded with the run, and must have no password and no query: "
                "put the key into an environment variable, and name that by --api-key-env"
            )
        if self.api_key_env and not os.environ.get(self.api_key_env):
            raise ModelError(f"--api-key-env {self.api_key_env}: there is no such environment variable, or it is empty")

    @property
    def api_key(self) -> str | None:
        """The key, which is written nowhere; None where the server needs none."""
        return os.environ.get(self.api_key_env) if self.api_key_env else None

    @property
    def short_name(self) -> str:
        """The name that files of the model bear; of a name that is a path, as llama.cpp gives, its last part."""
        return PurePosixPath(self.name).name if self.name.startswith("/") else self.name

    @property
    def identity(self) -> str:
        """Name and address. What the server holds under the name may change, and that cannot be seen from here."""
        return f"{self.name} at {self.base_url.rstrip('/')}"

    def named(self, name: str) -> ServerModel:
        """Another model of the same server."""
        return ServerModel(name, self.base_url, self.api_key_env)
