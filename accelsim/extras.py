"""Packages that only some commands need, and what to install where one is missing."""

from __future__ import annotations

from importlib.util import find_spec

from accelsim.errors import AccelsimError


def is_installed(module: str) -> bool:
    """Return whether a module can be found; it is not imported."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # something refuses to find it, or stands in its place
        return False


def need(module: str, package: str, what: str, extra: str, error: type[AccelsimError] = AccelsimError) -> None:
    """Check that a module can be found.

    Args:
        package: what people call it.
        what: what cannot be done without.
        extra: the extra of accelsim that installs it.

    Raises:
        AccelsimError: it cannot, as the `error` asked for; names the command that installs it.
    """
    if not is_installed(module):
        raise error(f"{what} needs {package}: pip install 'accelsim[{extra}]'")
