"""Records the sparse masks of a real training run: `Tracer`. Needs PyTorch."""

from accelsim.errors import TracingError
from accelsim.extras import need

need("torch", "PyTorch", "recording a training run", "trace", TracingError)

from accelsim.tracing.tracer import Tracer  # noqa: E402

__all__ = ["Tracer"]
