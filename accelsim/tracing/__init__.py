"""Records the sparse masks of a real training run: `Tracer`. Needs PyTorch."""

try:
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    from accelsim.errors import TracingError

    raise TracingError("recording a training run needs PyTorch: pip install 'accelsim[trace]'") from None

from accelsim.tracing.tracer import Tracer

__all__ = ["Tracer"]
