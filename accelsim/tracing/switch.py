"""What is in place only while steps are recorded."""

from __future__ import annotations

from torch.utils._python_dispatch import _get_current_dispatch_mode_stack, _pop_mode, _push_mode

from accelsim.tracing import annotations as notes
from accelsim.tracing.names import ModuleNames
from accelsim.tracing.recorder import Recorder
from accelsim.tracing.uncompiled import Uncompiled


class Switch:
    """Puts the recorder on the stack of dispatch modes and hooks around modules, and takes them away again.

    Args:
        recorder: the mode.
        names: keeps the hooks.
        uncompiled: has compiled models run uncompiled meanwhile.

    Attributes:
        on: whether all that is in place.
    """

    def __init__(self, recorder: Recorder, names: ModuleNames, uncompiled: Uncompiled) -> None:
        self._recorder, self._names, self._uncompiled = recorder, names, uncompiled
        self.on = False

    def turn_on(self) -> None:
        """Put it in place, if it is not."""
        if self.on:
            return
        self.on = True
        self._uncompiled.start()
        self._names.install()
        notes.start_recording()
        _push_mode(self._recorder)  # its __enter__ sets flags of PyTorch's too, for torch.compile

    def turn_off(self) -> None:
        """Take it away, if it is in place; modes that the loop entered later lie above the recorder and stay."""
        if not self.on:
            return
        self.on = False
        self._uncompiled.stop()
        self._names.remove()
        notes.stop_recording()
        above = []
        while (stack := _get_current_dispatch_mode_stack()) and stack[-1] is not self._recorder:
            above.append(_pop_mode())
        if stack:
            _pop_mode()
        for mode in reversed(above):
            _push_mode(mode)
