"""The error of a program that does not become an executable. It runs in the sandbox."""


class CompileError(Exception):
    """There is no executable: a status, and the reason."""

    def __init__(self, status, detail):
        super().__init__(status, detail)
        self.status, self.detail = status, detail
