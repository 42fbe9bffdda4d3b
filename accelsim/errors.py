"""What accelsim raises when the user's input, not the program, is at fault.

Every message is one sentence that says what is wrong, where, and what would be right; the command line prints it
without a traceback and exits with code 2.
"""

import os


class AccelsimError(ValueError):
    """Bad input; the base of all errors accelsim raises on purpose."""


class HardwareError(AccelsimError):
    """A hardware or energy file that cannot be used; names file, line and key."""


class TraceError(AccelsimError):
    """An operation's record, or a trace file, that cannot be used; names file, record and cause."""


class TracingError(AccelsimError):
    """A training loop that cannot be recorded correctly."""


class TrainingError(AccelsimError):
    """A training configuration, data set or checkpoint that cannot be used."""


class SpaceError(AccelsimError):
    """A space file, or a sweep or search of it, that cannot be run; names file, line and key where there are any."""


class AccelsimWarning(UserWarning):
    """Something was left out of a result; the message names it and its share."""


def not_this(name: str, value: object, expected: str) -> str:
    """Say in a sentence that an argument is of a wrong type: its name, what it is, and what was expected."""
    is_path = isinstance(value, str | os.PathLike)
    given = f"the path {str(value)!r}" if is_path else f"of type {type(value).__name__}"
    return f"{name} is {given}, expected {expected}"
