"""The compiled kernels (C++): one module for each instruction set, of which the fastest that runs here is loaded.

`compiled` is that module; `_base.pyi` has its functions. The environment variable `ACCELSIM_INSTRUCTION_SET` ("avx512",
"avx2" or "base") asks for another one. All of them count the same.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, cast

from accelsim.errors import AccelsimError

try:
    from accelsim.kernel import _base
except ImportError as error:
    raise AccelsimError(
        f"accelsim's kernels cannot be loaded ({error}): in a checkout, `pip install -e .` builds them"
    ) from error

if TYPE_CHECKING:
    from types import ModuleType

INSTRUCTION_SETS = _base.instruction_sets()
"""What this processor can run, the fastest first."""


def load(name: str) -> ModuleType:
    """Load the kernels for one instruction set.

    Raises:
        AccelsimError: the processor does not have it.
    """
    if name not in INSTRUCTION_SETS:
        raise AccelsimError(
            f"ACCELSIM_INSTRUCTION_SET is {name!r}, which this processor does not have: expected one of"
            f" {', '.join(INSTRUCTION_SETS)}"
        )
    return importlib.import_module(f"accelsim.kernel._{name}")


if TYPE_CHECKING:
    compiled = _base
else:
    compiled = cast("ModuleType", load(os.environ.get("ACCELSIM_INSTRUCTION_SET", INSTRUCTION_SETS[0])))
