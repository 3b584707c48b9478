from abc import ABC, abstractmethod
from typing import Any


class Task(ABC):
    """What a benchmark of that harness offers: these methods and attributes, as its own base class has them."""

    def __init__(self, stop_words: list[str] | None = None, requires_execution: bool = True) -> None:
        self.stop_words = stop_words
        self.requires_execution = requires_execution

    @abstractmethod
    def get_dataset(self) -> Any: ...

    @abstractmethod
    def get_prompt(self, doc: Any) -> Any: ...

    @abstractmethod
    def get_reference(self, doc: Any) -> Any: ...

    @abstractmethod
    def postprocess_generation(self, generation: str, idx: int) -> Any: ...

    @abstractmethod
    def process_results(self, generations: list[list[Any]], references: list[Any]) -> dict[str, Any]: ...
