"""Builds the kernels: the same sources for each instruction set, one extension module each (accelsim/kernel)."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

sys.path.insert(0, str(Path(__file__).parent / "build_backend"))
from accelsim_build import system_compiler, zig_compiler

KERNEL = Path("accelsim") / "kernel"
SOURCES = sorted(str(path) for path in KERNEL.glob("*.cpp"))
FLAGS = ["-O3", "-std=c++17", "-Wall", "-Wextra", "-fPIC", "-fvisibility=hidden"]
ZIG_FLAGS = ["-fno-sanitize=all", "-Wno-macro-redefined"]  # zig's C library and Python's header define the same macros
# Flags of gcc and clang, and the name of zig's processor.
AVX2 = ["-mavx2", "-mbmi", "-mbmi2", "-mpopcnt"]
AVX512 = [*AVX2, "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512bitalg", "-mavx512vpopcntdq"]
TARGETS = {"base": ([], "baseline")}
if platform.machine().lower() in {"x86_64", "amd64"}:
    TARGETS |= {"avx2": (AVX2, "x86_64_v3"), "avx512": (AVX512, "x86_64_v4+avx512bitalg+avx512vpopcntdq")}


class BuildKernels(build_ext):
    """Compiles with the system's compiler, else with zig's, one file beside another on all cores."""

    def build_extension(self, ext: Extension) -> None:
        """Build the module of one instruction set."""
        target = ext.name.rpartition("._")[2]
        flags, zig_processor = TARGETS[target]
        compiler, extra = system_compiler(), os.environ.get("ACCELSIM_CXXFLAGS", "").split()
        if compiler:
            linker = command = [*compiler, *flags, *extra]
        else:  # linked for any processor, so that zig builds its C++ library once
            command = [*zig_compiler(), f"-mcpu={zig_processor}", *ZIG_FLAGS, *extra]
            linker = [*zig_compiler(), "-s", *extra]
        objects = Path(self.build_temp) / target
        objects.mkdir(parents=True, exist_ok=True)
        include = sysconfig.get_paths()["include"]

        def compile_source(source: str) -> str:
            made = objects / (Path(source).stem + ".o")
            subprocess.run(
                [*command, *FLAGS, f"-DACCELSIM_TARGET={target}", f"-I{include}", "-c", source, "-o", made], check=True
            )
            return str(made)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            made = list(pool.map(compile_source, ext.sources))
        module = Path(self.get_ext_fullpath(ext.name))
        module.parent.mkdir(parents=True, exist_ok=True)
        dynamic = ["-bundle", "-undefined", "dynamic_lookup"] if sys.platform == "darwin" else ["-shared"]
        subprocess.run([*linker, *dynamic, *made, "-o", str(module)], check=True)
        # Beside the sources too: Python run in a checkout takes the package from there, not from where it is installed.
        beside = KERNEL / module.name
        if module.resolve() != beside.resolve():
            shutil.copyfile(module, beside)


setup(
    ext_modules=[
        Extension(
            f"accelsim.kernel._{target}",
            SOURCES,
            depends=[str(path) for path in KERNEL.glob("*.h")],
            py_limited_api=True,
        )
        for target in TARGETS
    ],
    cmdclass={"build_ext": BuildKernels},
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
