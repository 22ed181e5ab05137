"""A process of the tests that ends before its tests do is replaced, the run has an end, and groups stay together."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SECONDS = 120.0
"""After which a run counts as one that waits for ever."""

ENDING = "def test_ends():\n    os._exit(1)\n"


def some(count: int, name: str = "passes") -> str:
    return "".join(f"def test_{name}_{number}():\n    pass\n" for number in range(count))


def run(folder: Path, module: str, processes: int, *, crashes: int = 1) -> str:
    """Give what pytest says at the end of a run of one module, of which so many processes end before their tests do."""
    (folder / "test_it.py").write_text("import os, pytest\n" + module)
    plugins = ["-p", "xdist", "-p", "tests.support.scheduling", "-p", "no:cacheprovider"]
    # What Cove's own runs ask for is not asked for here.
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COVE_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "-n", str(processes), "--dist", "loadgroup", "test_it.py"],
        cwd=folder,
        env={**variables, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == (pytest.ExitCode.TESTS_FAILED if crashes else pytest.ExitCode.OK), done.stdout
    assert done.stdout.count("replacing crashed worker") == crashes, done.stdout
    return done.stdout.rstrip().splitlines()[-1].strip("= ")


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(("before", "after"), [(0, 1), (1, 0), (1, 1), (6, 9)])
def test_every_other_test_is_run_once(tmp_path: Path, before: int, after: int, processes: int) -> None:
    module = some(before, "before") + ENDING + some(after, "after")
    assert run(tmp_path, module, processes).startswith(f"1 failed, {before + after} passed in ")


def test_the_rest_of_a_group_goes_to_another_process(tmp_path: Path) -> None:
    group = "@pytest.mark.xdist_group('one')\n"
    grouped = group + some(1, "first") + group + ENDING + group + some(1, "second") + group + some(1, "third")
    assert run(tmp_path, grouped + some(5), 2).startswith("1 failed, 8 passed in ")


def test_a_group_is_run_by_one_process(tmp_path: Path) -> None:
    group = "@pytest.mark.xdist_group('one')\n@pytest.mark.parametrize('number', range(9))\n"
    told = "def test_grouped(number):\n    open('processes', 'a').write(f'{os.getpid()}\\n')\n"
    assert run(tmp_path, some(9) + group + told + some(9, "more"), 3, crashes=0).startswith("27 passed in ")
    processes = (tmp_path / "processes").read_text().split()
    assert len(processes) == 9
    assert len(set(processes)) == 1


def test_a_process_that_knows_other_tests_gets_none_of_these(tmp_path: Path) -> None:
    ends = "def test_ends():\n    open('ended', 'w').close()\n    os._exit(1)\n"
    module = "if os.path.exists('ended'):\n    def test_more():\n        pass\n" + ends + some(9)
    assert run(tmp_path, module, 2).startswith("1 failed, 9 passed in ")
