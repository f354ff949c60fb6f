# SPDX-License-Identifier: Apache-2.0
import os
import statistics
import subprocess
import sys
import time
import types

import pytest

import facefactor
from facefactor.apps import cli
from facefactor.errors import AssetMissing, MissingExtra, NoFaceFound, OutputUnwritable, PhotoUnreadable

RUN_MAIN = "import sys; from facefactor.apps.cli import main; sys.exit(main())"
RECONSTRUCT = ["reconstruct", "a.jpg", "--out", "out"]


@pytest.fixture
def install_handler(monkeypatch):
    """Put a function in the place of `facefactor.apps.reconstruct.run`."""

    def install(run) -> None:
        module = types.ModuleType("facefactor.apps.reconstruct")
        module.run = run
        monkeypatch.setitem(sys.modules, "facefactor.apps.reconstruct", module)

    return install


def run_facefactor(*arguments: str, code: str = RUN_MAIN, **environment: str) -> subprocess.CompletedProcess:
    """Run the command in a process of its own, as a user does."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        env={**os.environ, **environment},
        check=False,
    )


def raising(error: BaseException):
    def run(_: object) -> int:
        raise error

    return run


def test_help_takes_less_than_a_second():
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        assert run_facefactor("--help").returncode == 0
        seconds.append(time.perf_counter() - start)
    assert statistics.median(seconds) < 1.0


def test_help_imports_neither_torch_nor_numpy():
    code = (
        "import sys; from facefactor.apps.cli import main\n"
        "try: main()\n"
        "except SystemExit: print(sorted({'torch', 'numpy', 'numba', 'onnxruntime'} & set(sys.modules)))"
    )
    assert run_facefactor("--help", code=code).stdout.decode().endswith("[]\n")


def test_help_names_the_commands_and_the_exit_codes():
    text = run_facefactor("--help").stdout.decode()
    for words in ("reconstruct", "model", "evaluate", "exit codes", "130"):
        assert words in text


def test_version_is_the_packages():
    assert run_facefactor("--version").stdout.decode() == f"facefactor {facefactor.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["unknown"],
        ["reconstruct"],
        ["reconstruct", "a.jpg"],
        [*RECONSTRUCT, "--engine", "magic"],
        [*RECONSTRUCT, "--faces", "some"],
        ["model"],
        ["model", "sample", "--count", "0", "--out", "a.png"],
        ["model", "sample", "--count", "few", "--out", "a.png"],
    ],
)
def test_wrong_use_exits_with_two_and_says_why(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_a_count_that_is_none_is_answered_in_words(capsys):
    with pytest.raises(SystemExit):
        cli.main(["model", "sample", "--count", "few", "--out", "a.png"])
    assert "--count: must be a whole number of at least 1, got 'few'" in capsys.readouterr().err


@pytest.mark.parametrize("exit_code", [0, 1])
def test_the_handlers_exit_code_is_the_commands(install_handler, exit_code):
    install_handler(lambda _: exit_code)
    assert cli.main(RECONSTRUCT) == exit_code


def test_the_handler_gets_the_arguments(install_handler):
    seen = []
    install_handler(lambda options: seen.append(options) or 0)
    cli.main(["-v", "reconstruct", "a b.jpg", "ö.png", "--out", "out dir", "--faces", "all", "--json"])
    options = seen[0]
    assert [str(photo) for photo in options.photos] == ["a b.jpg", "ö.png"]
    assert str(options.out) == "out dir"
    assert (options.engine, options.faces, options.json, options.refine, options.verbose) == (
        cli.DEFAULT_ENGINE, "all", True, False, True,
    )  # fmt: skip


@pytest.mark.parametrize("arguments", [["-v", *RECONSTRUCT], [*RECONSTRUCT, "-v"]])
def test_verbose_may_stand_before_or_after_the_command(arguments):
    assert cli.parse_arguments(arguments).verbose
    assert not cli.parse_arguments(RECONSTRUCT).verbose


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (PhotoUnreadable("a.jpg: the file is empty"), 1),
        (NoFaceFound("a.jpg: no face found"), 1),
        (AssetMissing("a.json: cannot be read"), 2),
        (OutputUnwritable("out: cannot be written"), 2),
        (MissingExtra("fitting needs torch"), 2),
    ],
)
def test_an_error_of_ours_is_one_line_and_its_exit_code(install_handler, capsys, error, exit_code):
    install_handler(raising(error))
    assert cli.main(RECONSTRUCT) == exit_code
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"facefactor: {error}\n")


def test_debugging_adds_the_traceback(install_handler, capsys, monkeypatch):
    monkeypatch.setenv("FACEFACTOR_DEBUG", "1")
    install_handler(raising(NoFaceFound("a.jpg: no face found")))
    assert cli.main(RECONSTRUCT) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_optional_module_that_is_not_installed_is_named_with_its_install(install_handler, capsys):
    install_handler(raising(ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn")))
    assert cli.main(RECONSTRUCT) == 2
    line = "facefactor: this command needs torch, which is not installed: pip install 'facefactor[train]'\n"
    assert capsys.readouterr().err == line


def test_a_mistake_of_ours_is_not_hidden(install_handler):
    install_handler(raising(ModuleNotFoundError("No module named 'facefactor.missing'", name="facefactor.missing")))
    with pytest.raises(ModuleNotFoundError):
        cli.main(RECONSTRUCT)


def test_ctrl_c_ends_with_one_line(install_handler, capsys):
    install_handler(raising(KeyboardInterrupt()))
    assert cli.main(RECONSTRUCT) == 130
    assert capsys.readouterr().err == "facefactor: stopped\n"


def with_handler(body: str) -> str:
    """Return a program that runs the command with a handler of this body."""
    return (
        "import sys, types; from facefactor.apps import cli\n"
        "module = types.ModuleType('facefactor.apps.reconstruct')\n"
        f"def run(options):\n    {body}\n    return 0\n"
        "module.run = run; sys.modules[module.__name__] = module\n"
        "sys.exit(cli.main())"
    )


@pytest.mark.parametrize(
    ("arguments", "unbuffered", "exit_code"),
    [(RECONSTRUCT, "", 141), (RECONSTRUCT, "1", 141), (["--help"], "", 141), (["--help"], "1", 0)],
)
def test_a_closed_pipe_ends_quietly(arguments, unbuffered, exit_code):
    code = with_handler("print('x\\n' * 100_000)")
    reader, writer = os.pipe()
    os.close(reader)
    finished = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        stdout=writer,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        check=False,
    )
    os.close(writer)
    assert (finished.returncode, finished.stderr) == (exit_code, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("body", ["print('x')", "print('x', flush=True)", "print('x\\n' * 100_000)"])
def test_an_output_that_is_full_is_one_line(body, unbuffered):
    command = [sys.executable, "-c", with_handler(body), *RECONSTRUCT]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "w") as full:
        finished = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=environment, check=False)
    line = b"facefactor: standard output: cannot be written: No space left on device\n"
    assert (finished.returncode, finished.stderr) == (2, line)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_help_for_an_output_that_is_full_is_one_line():
    environment = {**os.environ, "PYTHONUNBUFFERED": ""}
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-c", RUN_MAIN, "--help"]
        finished = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=environment, check=False)
    assert (finished.returncode, finished.stderr.count(b"\n")) == (2, 1)


def test_an_output_that_is_closed_is_no_mistake():
    command = [sys.executable, "-c", with_handler("print('x')"), *RECONSTRUCT]
    finished = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *command], stderr=subprocess.PIPE, check=False)
    assert (finished.returncode, finished.stderr) == (0, b"")


def test_another_mistake_with_a_file_is_not_hidden(install_handler):
    install_handler(raising(OSError(5, "Input/output error")))
    with pytest.raises(OSError, match="Input/output error"):
        cli.main(RECONSTRUCT)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_any_name_can_be_printed_in_a_c_locale(stream):
    name = "Jürgen 友.jpg"
    code = with_handler(f"print(options.photos[0], chr(0xDCE9), file=sys.{stream})")
    finished = run_facefactor(
        "reconstruct", name, "--out", "out", code=code, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"
    )
    assert finished.returncode == 0, finished.stderr
    assert getattr(finished, stream).endswith(b"\\udce9\n")
