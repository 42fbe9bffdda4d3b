"""`python -m accelsim`, and the command `accelsim`."""

from accelsim.signals import end_at_once_on_signals, run_until_signal


def main() -> None:
    """Run the command line; signals are dealt with from here on, before anything large is imported."""
    try:
        run_until_signal(_main)
    finally:
        end_at_once_on_signals()


def _main() -> None:
    from accelsim.cli.main import main

    main()


if __name__ == "__main__":
    main()
