"""`python -m accelsim`, and the command `accelsim`."""

import signal
from contextlib import suppress


def main() -> None:
    """Run the command line; signals are dealt with from here on, before anything large is imported."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        with suppress(ValueError):  # not in the main thread
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the next import is done, Ctrl-C just ends it
    from accelsim.signals import end_soon_on_signals, run_until_signal

    try:
        run_until_signal(_main)
    finally:
        end_soon_on_signals()


def _main() -> None:
    from accelsim.cli.main import main

    main()


if __name__ == "__main__":
    main()
