"""Writes files whole or not at all, and keeps temporary files and folders from outliving the program.

What holds for every file that accelsim writes (a trace while it is recorded is the exception, see `trace.writer`):

- A regular file, or a name that is free, holds its old content or all of the new one, whatever stops the program or the
  machine. The content goes to a temporary file in the same folder, which is flushed to disk (fsync) and renamed; then
  the folder is flushed. When the function returns, the content is on disk. (With `to_disk=False` nothing is flushed,
  which takes tens of milliseconds: then a power failure may cost the content, another end of the program still not.)
- A symbolic link stays what it is; the file that it points to is replaced, or made.
- A device, a pipe or a name of an open file (/dev/null, /dev/stdout, /dev/fd/3) is written to, never replaced. It gets
  the content once all of it is there, from a temporary file in the system's temporary folder, so a reader at the other
  end never sees the beginning of something that failed.
- A replaced file's permissions stay, and its owner where the system allows; a new file has what the umask leaves of
  rw-rw-rw-. A file that may not be written to is refused, not replaced. Other hard links keep the old content.
- Folders are not made. What cannot be written raises one sentence.
- Temporary files are removed on any exception, at the program's end, and by `remove_temporary_files`, which a program
  calls that ends otherwise. Only SIGKILL or a power failure leaves one, under the name .accelsim-*.part.
"""

from __future__ import annotations

import atexit
import errno
import io
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from accelsim.errors import AccelsimError

_temporary: set[Path] = set()  # there now, or about to be


def write_whole(
    path: str | os.PathLike[str],
    content: str | bytes,
    raises: type[AccelsimError] = AccelsimError,
    *,
    to_disk: bool = True,
) -> Path:
    """Write a file whole or not at all; text as UTF-8. Returns the path.

    Raises:
        AccelsimError: it cannot be written; of the kind that `raises` names.
    """
    with whole_file(path, raises, to_disk=to_disk) as beside:
        try:
            beside.write_bytes(content.encode() if isinstance(content, str) else content)
        except OSError as error:
            _refuse(path, error, raises)
    return Path(path)


@contextmanager
def whole_file(
    path: str | os.PathLike[str], raises: type[AccelsimError] = AccelsimError, *, to_disk: bool = True
) -> Iterator[Path]:
    """Yield an empty temporary file, which becomes the file when the block ends, and is removed after an exception.

    Sentences of the block that name the temporary file name the file instead. The block's own `OSError` stays one.

    Raises:
        AccelsimError: the file cannot be written; of the kind that `raises` names.
    """
    path = Path(path)
    try:
        special = open_special(path)
        replaced = None if special else _replaced(path)
        target = Path(os.path.realpath(path))
        folder = Path(tempfile.gettempdir()) if special else target.parent
    except (OSError, ValueError) as error:
        _refuse(path, error, raises)
    temporary = folder / f".accelsim-{secrets.token_hex(8)}.part"
    try:
        _temporary.add(temporary)
        try:
            # A private file stays private while it is written.
            mode = 0o666 if replaced is None and special is None else 0o600
            os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
        except OSError as error:
            _refuse(path, error, raises)
        try:
            yield temporary
        except AccelsimError as error:
            if str(temporary) in str(error):
                raise type(error)(str(error).replace(str(temporary), str(path))) from None
            raise
        try:
            if special is None:
                _take_permissions(temporary, replaced)
                _rename(temporary, target, to_disk)
            else:
                _pour(temporary, special)
        except BrokenPipeError as error:
            if _descriptor(path) is not None:
                raise  # our own output's reader has gone
            _refuse(path, error, raises)
        except OSError as error:
            _refuse(path, error, raises)
    finally:
        if special is not None:
            special.close()
        _remove(temporary)


class WholeText:
    """A text file that is written piece by piece; a context manager that leaves the whole file or none.

    Args:
        path: the file, replaced if it exists.
        what: what it is, in the sentence that says that it cannot be written.

    Raises:
        AccelsimError: the file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], what: str) -> None:
        self.path, self._what = Path(path), what

    def __enter__(self) -> Self:
        with self._refusing(), ExitStack() as opening:
            beside = opening.enter_context(whole_file(self.path))
            self._file = opening.enter_context(beside.open("w", encoding="utf-8"))
            self._begin()
            self._closing = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._closing.__exit__(kind, error, traceback)
            return
        with self._refusing(), self._closing:
            self._end()

    def _begin(self) -> None:
        """Write what stands before all pieces."""

    def _end(self) -> None:
        """Write what stands after all pieces."""

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise AccelsimError(f"{self.path}: {self._what} cannot be written: {error.strerror}") from None


def open_special(path: str | os.PathLike[str]) -> io.FileIO | None:
    """Open what cannot be replaced by renaming: a device, a pipe, a name of an open file; None for any other name.

    Raises:
        OSError: it cannot be opened for writing, or is a folder.
        ValueError: no file can have this name.
    """
    number = _descriptor(path)
    if number is not None:
        for stream in (sys.stdout, sys.stderr):  # what was printed before comes before
            if stream is not None:
                stream.flush()
        return io.FileIO(os.dup(number), "wb")
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if stat.S_ISREG(mode):
        return None
    return io.FileIO(os.open(path, os.O_WRONLY | getattr(os, "O_NOCTTY", 0)), "wb")


def make_temporary_folder(prefix: str, where: str | os.PathLike[str] | None = None) -> Path:
    """Make a folder that `remove_temporary_folder` removes, or else the end of the program.

    Args:
        where: a folder; the system's temporary folder by default.
    """
    folder = Path(where or tempfile.gettempdir(), prefix + secrets.token_hex(8))
    _temporary.add(folder)
    folder.mkdir(mode=0o700)
    return folder


def remove_temporary_folder(folder: Path) -> None:
    """Remove a folder that `make_temporary_folder` made, with all that is in it."""
    _remove(folder)


@contextmanager
def temporary_folder(prefix: str, where: str | os.PathLike[str] | None = None) -> Iterator[Path]:
    """Yield a new folder that is removed when the block ends, see `make_temporary_folder`."""
    folder = None
    try:
        folder = make_temporary_folder(prefix, where)
        yield folder
    finally:
        if folder is not None:
            _remove(folder)


def remove_temporary_files() -> None:
    """Remove all temporary files and folders of this process; for a program that ends without leaving its blocks."""
    for path in tuple(_temporary):
        _remove(path)


atexit.register(remove_temporary_files)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_temporary.clear)  # they are the parent's


def _remove(path: Path) -> None:
    if path not in _temporary:
        return  # a forked child leaves its parent's alone
    with suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    _temporary.discard(path)


def _replaced(path: Path) -> os.stat_result | None:
    """Return the status of the file that is to be replaced; None: there is none yet."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return status


def _take_permissions(temporary: Path, replaced: os.stat_result | None) -> None:
    if replaced is not None:
        if hasattr(os, "chown"):
            with suppress(OSError):
                os.chown(temporary, replaced.st_uid, replaced.st_gid)
        with suppress(OSError):  # a file system without permissions
            os.chmod(temporary, stat.S_IMODE(replaced.st_mode))


def _rename(temporary: Path, target: Path, to_disk: bool) -> None:
    if to_disk:
        _flush(temporary, os.O_RDWR)
    os.replace(temporary, target)
    if to_disk and os.name == "posix":
        with suppress(OSError):  # some network file systems have no such thing; the content is flushed
            _flush(target.parent, os.O_RDONLY)


def _flush(path: Path, how: int) -> None:
    number = os.open(path, how)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _pour(temporary: Path, special: io.FileIO) -> None:
    with temporary.open("rb") as content:
        while block := content.read(1 << 20):
            rest = memoryview(block)
            while rest:
                rest = rest[special.write(rest) :]


def _descriptor(path: str | os.PathLike[str]) -> int | None:
    """Return the number of the open file of this process that a name such as /dev/stdout stands for."""
    name = os.path.abspath(path)
    for _ in range(40):  # links that a system follows at most
        folder, last = os.path.split(name)
        if re.fullmatch("[0-9]{1,9}", last) and os.path.realpath(folder) in ("/dev/fd", f"/proc/{os.getpid()}/fd"):
            return int(last)
        if not os.path.islink(name):
            break
        name = os.path.normpath(os.path.join(os.path.realpath(folder), os.readlink(name)))
    return None


def _refuse(path: str | os.PathLike[str], error: OSError | ValueError, raises: type[AccelsimError]) -> NoReturn:
    why = (error.strerror if isinstance(error, OSError) else None) or str(error)
    folder = Path(path).parent
    where = f" (there is no folder {folder})" if isinstance(error, FileNotFoundError) and not folder.exists() else ""
    raise raises(f"{os.fspath(path)}: cannot be written: {why}{where}") from None
