import subprocess
import sys


def test_without_torch_one_sentence_says_what_to_install():
    script = """
import sys
sys.modules["torch"] = None
from accelsim.errors import TracingError
try:
    import accelsim.tracing
except TracingError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "recording a training run needs PyTorch: pip install 'accelsim[trace]'\n"
