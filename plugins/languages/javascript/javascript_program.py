"""The program's process of JavaScript: it becomes Node.js, which finds the channel on descriptor 3."""

import os

from qharness.plugins.languages.javascript_settings import SETTINGS


def serve(channel):
    """Become Node.js. Never returns."""
    command = SETTINGS["program"]
    os.execve(command[0], command, {name: os.environ[name] for name in ("HOME", "LANG", "PATH", "PWD")})
