"""A file is written whole or not at all, through what it names, and leaves nothing beside it."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from accelsim import files
from accelsim.errors import AccelsimError, SpaceError
from accelsim.files import make_temporary_folder, remove_temporary_files, temporary_folder, whole_file, write_whole

REPOSITORY = Path(__file__).parents[1]
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="devices and /proc as Linux has them")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def fail_halfway(path: Path, error: type[BaseException]) -> None:
    with whole_file(path) as beside:
        beside.write_text("half")
        raise error


def test_replaces_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    assert write_whole(path, "eins\n") == path
    write_whole(path, b"zwei\n")
    assert path.read_bytes() == b"zwei\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_after_an_exception_the_old_content_is_there(tmp_path: Path, error: type[BaseException]) -> None:
    path = write_whole(tmp_path / "a", "before")
    with pytest.raises(error):
        fail_halfway(path, error)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_raised_at_any_line_it_is_the_old_content_or_the_new(tmp_path: Path) -> None:
    path, lines, left = tmp_path / "a", 0, set[str]()

    def raise_at(target: int) -> Callable[..., Any]:
        count = 0

        def trace(frame: FrameType, event: str, _: object) -> Any:
            nonlocal count
            if frame.f_code.co_filename != files.__file__:
                return None
            if event == "line":
                count += 1
                if count == target:
                    raise KeyboardInterrupt
            return trace

        return trace

    while True:
        lines += 1
        path.write_text("before")
        sys.settrace(raise_at(lines))
        try:
            write_whole(path, "after")
        except KeyboardInterrupt:
            pass
        else:
            break
        finally:
            sys.settrace(None)
        remove_temporary_files()  # as the program's end does: an exception may fall on the line that removes
        left.add(path.read_text())
        assert list(tmp_path.iterdir()) == [path]
    assert lines > 30
    assert left == {"before", "after"}


def test_permissions_stay_and_a_new_file_obeys_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        new = write_whole(tmp_path / "new", "a")
    finally:
        os.umask(before)
    assert mode_of(new) == 0o640
    new.chmod(0o604)
    with whole_file(new) as beside:
        assert mode_of(beside) == 0o600  # while it is written, it is nobody else's
        beside.write_text("b")
    assert (mode_of(new), new.read_text()) == (0o604, "b")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_the_owner_stays(tmp_path: Path) -> None:
    path = write_whole(tmp_path / "a", "before")
    os.chown(path, 12345, 23456)
    write_whole(path, "after")
    assert (path.stat().st_uid, path.stat().st_gid, path.read_text()) == (12345, 23456, "after")


def test_a_file_that_may_not_be_written_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_whole(tmp_path / "a", "before")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write to every file
    with pytest.raises(AccelsimError, match=r"a: cannot be written: Permission denied"):
        write_whole(path, "after")
    assert path.read_text() == "before"


def test_symbolic_links_stay(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target = write_whole(tmp_path / "there" / "target", "before")
    (tmp_path / "link").symlink_to("there/target")
    (tmp_path / "second").symlink_to(tmp_path / "link")
    (tmp_path / "dangling").symlink_to("there/new")
    (tmp_path / "loop").symlink_to("loop")
    write_whole(tmp_path / "second", "after")
    write_whole(tmp_path / "dangling", "made")
    assert all((tmp_path / name).is_symlink() for name in ("link", "second", "dangling"))
    assert (target.read_text(), (tmp_path / "there" / "new").read_text()) == ("after", "made")
    with pytest.raises(AccelsimError, match="loop: cannot be written: Too many levels of symbolic links"):
        write_whole(tmp_path / "loop", "x")
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == ["new", "target"]


@pytest.mark.parametrize(
    "name", ["-rf", "a\nb", "größe", "a b;c", "'\"", "x" * 255, b"\xff\xfe".decode(errors="surrogateescape")]
)
def test_names_with_odd_characters(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_whole(path, "before")
    write_whole(path, "after")
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [(name, "after")]


def test_what_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, why in (
        (tmp_path, "Is a directory"),
        (tmp_path / "missing" / "a", "No such file or directory"),
        (tmp_path / "file" / "a", "Not a directory"),
        (tmp_path / ("x" * 300), "File name too long"),
        (f"{tmp_path}/a\0b", "embedded null byte"),
    ):
        with pytest.raises(SpaceError, match=f"cannot be written: {why}"):
            write_whole(path, "", SpaceError)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = write_whole(tmp_path / "a", "before")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AccelsimError, match="a: cannot be written: No space left on device"):
        write_whole(path, "after")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_sentence_names_the_file_not_the_temporary_one(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=rf"^{tmp_path}/a: is nothing$"), whole_file(tmp_path / "a") as beside:
        raise SpaceError(f"{beside}: is nothing")


def read_fifo(path: Path) -> tuple[threading.Thread, list[bytes]]:
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(path.read_bytes()), daemon=True)
    reader.start()
    return reader, found


@linux
def test_a_pipe_gets_all_or_nothing_and_stays_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    content = bytes(range(256)) * 4000  # more than a pipe holds
    reader, found = read_fifo(path)
    write_whole(path, content)
    reader.join(10)
    assert found == [content]
    reader, found = read_fifo(path)
    with pytest.raises(RuntimeError):
        fail_halfway(path, RuntimeError)
    reader.join(10)
    assert found == [b""]
    assert stat.S_ISFIFO(path.lstat().st_mode)
    assert list(tmp_path.iterdir()) == [path]


@linux
@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_a_device_stays_a_device(tmp_path: Path) -> None:
    """On nodes of its own: a mistake here must not cost the machine its /dev/null."""
    null, full = tmp_path / "null", tmp_path / "full"
    try:
        os.mknod(null, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(full, stat.S_IFCHR | 0o666, os.makedev(1, 7))
        null.write_bytes(b"")
    except OSError:
        pytest.skip("no devices can be made or opened here")
    (tmp_path / "link").symlink_to(null)
    for path in (null, tmp_path / "link"):
        write_whole(path, "gone")
        assert stat.S_ISCHR(null.lstat().st_mode)
    with pytest.raises(AccelsimError, match="full: cannot be written: No space left on device"):
        write_whole(full, "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "link", "null"]


def run(program: str, **options: Any) -> subprocess.CompletedProcess[str]:
    code = f"from accelsim.files import *\n{program}"
    return subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False, text=True, **options)


@linux
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_standard_output_in_a_file_goes_on_where_it_is(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    with out.open("w") as file:
        file.write("1 before\n")
        file.flush()
        done = run(f"print('2 printed'); write_whole({name!r}, '3 written\\n'); print('4 behind')", stdout=file)
    assert done.returncode == 0
    assert out.read_text() == "1 before\n2 printed\n3 written\n4 behind\n"
    assert list(tmp_path.iterdir()) == [out]


@linux
def test_standard_output_in_a_pipe() -> None:
    assert run("write_whole('/dev/stdout', 'x' * 200000)", capture_output=True).stdout == "x" * 200000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_what_is_temporary_goes_with_the_program(tmp_path: Path) -> None:
    program = f"""
block = whole_file({str(tmp_path / "a")!r})
block.__enter__().write_text("half")
folder = make_temporary_folder("build-", {str(tmp_path)!r})
(folder / "inside").write_text("")
import os, pathlib
if os.fork() == 0:
    raise SystemExit  # a child's end is not its parent's
os.wait()
print(len(list(pathlib.Path({str(tmp_path)!r}).iterdir())))
"""
    done = run(program, capture_output=True)
    assert (done.stdout, done.stderr) == ("2\n", "")
    assert not list(tmp_path.iterdir())


def test_temporary_folders(tmp_path: Path) -> None:
    with temporary_folder("build-", tmp_path) as folder:
        assert mode_of(folder) == 0o700
        (folder / "inside").mkdir()
    assert not folder.exists()
    make_temporary_folder("other-", tmp_path)
    remove_temporary_files()
    assert not list(tmp_path.iterdir())
