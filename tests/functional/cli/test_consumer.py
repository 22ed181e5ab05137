"""The consumer's commands against a real service: answers on standard output, and exit codes that mean something."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.functional.cli.conftest import House
from tests.support.programs import COVE, cove, environment, running

NO_TX = "0x" + "9" * 64
HOSTILE_LOG = "print('a\\x1b]0;title\\x07b\\u202ec\\r', end='')"
WAITS = "import time\nprint('waiting', flush=True)\ntime.sleep(1000)"


@pytest.fixture(scope="module")
def job(house: House) -> str:
    """Give a job that ended well and wrote two files and a hostile log."""
    outputs = (
        "import os\nos.chdir(os.environ['OUTPUTS'])\nopen('a.txt', 'w').write('one')\nopen('.b', 'w').write('two')"
    )
    return house.finished(f"{HOSTILE_LOG}\n{outputs}")


def _answer(ended: subprocess.CompletedProcess[str], code: int = 0) -> dict[str, object]:
    """Give the one JSON document of a command."""
    assert ended.returncode == code, ended.stderr
    found: dict[str, object] = json.loads(ended.stdout)
    return found


def test_environments_are_listed(house: House) -> None:
    people = house.consumer("environments", key="")
    assert people.returncode == 0, people.stderr
    assert "default" in people.stdout
    (offered,) = json.loads(house.consumer("environments", "--json", key="").stdout)["8996"]
    assert (offered["id"], offered["priceMin"], offered["network"]) == ("default", 0.1, "none")


def test_raw_code_is_submitted_and_followed(house: House) -> None:
    started = house.submit("print('hello')")
    assert started.returncode == 0, started.stderr
    job_id = started.stdout.strip()
    watched = house.consumer("status", job_id, "--watch")
    assert watched.returncode == 0, watched.stderr
    assert "70 Job completed" in watched.stdout
    assert watched.stderr.splitlines()[-1] == "Job completed"
    assert house.consumer("logs", job_id).stdout == "hello\n"
    listed = house.consumer("status")
    assert job_id in listed.stdout


def test_a_published_algorithm_is_submitted_with_two_orders(house: House) -> None:
    orders = ("--order", house.pay(house.dataset), "--algorithm-order", house.pay(house.algorithm))
    ended = house.consumer(
        "submit", "--dataset", f"{house.dataset.did}:0", "--algorithm", house.algorithm.did, *orders, "--wait", "--json"
    )
    found = _answer(ended)
    assert (found["outcome"], found["algoDID"]) == ("succeeded", house.algorithm.did)
    out = house.folder / "published"
    assert house.consumer("results", str(found["jobId"]), "--out", out).returncode == 0
    assert (out / "answer.txt").read_text() == "42"


def test_a_failed_job_exits_with_1_and_is_still_readable(house: House) -> None:
    ended = house.submit("print('why it failed')\nraise SystemExit(3)", "--wait", "--json")
    found = _answer(ended, 1)
    assert (found["reason"], found["exitCode"]) == ("exit_code_3", 3)
    assert f"cove logs {found['jobId']}" in ended.stderr
    watched = house.consumer("status", str(found["jobId"]), "--watch")
    assert watched.returncode == 1
    assert "Job failed: exit code 3" in watched.stdout
    assert house.consumer("status", str(found["jobId"])).returncode == 0
    assert house.consumer("logs", str(found["jobId"])).stdout == "why it failed\n"


def test_a_job_can_say_how_long_it_waits(house: House) -> None:
    started = _answer(house.submit("print('in time')", "--max-wait", "300", "--json"))
    assert float(str(started["queueWaitUntil"])) - float(str(started["dateCreated"])) == pytest.approx(300, abs=1)
    job_id = str(started["jobId"])
    assert house.consumer("status", job_id, "--watch").returncode == 0
    again = _answer(house.consumer("restart", job_id, "--max-wait", "60", "--json"))
    assert again["attempt"] == 2
    assert float(str(again["queueWaitUntil"])) < float(str(started["queueWaitUntil"]))
    assert house.consumer("delete", job_id).returncode == 0
    none = house.submit("print('never')", "--max-wait", "0")
    assert (none.returncode, none.stdout) == (2, "")
    assert "--max-wait" in none.stderr


def test_stop_restart_and_delete(house: House) -> None:
    job_id = str(_answer(house.submit(WAITS, "--json"))["jobId"])
    early = house.consumer("results", job_id, "--out", "early", "--json")
    assert _answer(early, 5)["code"] == "not_found"
    assert not (house.folder / "early").exists()
    assert _answer(house.consumer("stop", job_id, "--json"))["jobId"] == job_id
    stopped = _answer(house.consumer("status", job_id, "--watch", "--json"), 1)
    assert stopped["outcome"] == "stopped"
    assert _answer(house.consumer("restart", job_id, "--json"))["attempt"] == 2
    assert house.consumer("stop", job_id).returncode == 0
    assert house.consumer("status", job_id, "--watch").returncode == 1
    assert _answer(house.consumer("delete", job_id, "--json"))["jobId"] == job_id
    for command in ("status", "delete", "logs"):
        assert house.consumer(command, job_id).returncode == 5, command


def test_ctrl_c_ends_the_watching_and_not_the_job(house: House) -> None:
    job_id = house.submit(WAITS).stdout.strip()
    variables = {"COVE_URL": house.url, "COVE_ACCOUNT_KEY_FILE": "consumer.key"}
    with running("status", job_id, "--watch", cwd=house.folder, **variables) as watching:
        watching.line("Running algorithm", watching.err)
        watching.signal(signal.SIGINT)
        assert watching.end() == 130
        assert f"cove stop {job_id} ends it" in watching.words
    assert _answer(house.consumer("status", job_id, "--json"))["dateFinished"] is None
    assert house.consumer("delete", job_id).returncode == 0


def test_logs_are_harmless_on_a_terminal_and_whole_in_json(house: House, job: str) -> None:
    ended = house.consumer("logs", job)
    assert (ended.returncode, ended.stdout) == (0, "a\\x1b]0;title\\x07b\\u202ec\\x0d\n")
    logs = _answer(house.consumer("logs", job, "--json"))["logs"]
    assert logs == [{"filename": "algorithm.log", "type": "algorithmLog", "text": "a\x1b]0;title\x07b\u202ec\r"}]


def test_a_log_is_followed(house: House) -> None:
    job_id = house.submit("import time\nprint('begun \\x1b', flush=True)\ntime.sleep(1000)\n").stdout.strip()
    variables = {"COVE_URL": house.url, "COVE_ACCOUNT_KEY_FILE": "consumer.key"}
    with running("logs", job_id, "--follow", cwd=house.folder, **variables) as following:
        following.line(r"^begun \\x1b$")
        assert house.consumer("stop", job_id).returncode == 0
        assert following.end() == 0
    assert _answer(house.consumer("logs", job_id, "--follow", "--json"), 2)["code"] == "usage"


def test_results_are_fetched_once_and_never_replace_a_file_unasked(house: House, job: str) -> None:
    listed = house.consumer("results", job, "--json")
    names = {entry["filename"]: entry for entry in json.loads(listed.stdout)}
    assert {"a.txt", ".b", "algorithm.log", "outputs.tar"} <= set(names)
    files = _answer(house.consumer("results", job, "--out", "mine", "--json"))["files"]
    mine = house.folder / "mine"
    assert isinstance(files, list)
    assert {entry["path"] for entry in files} == {f"mine/{path.name}" for path in mine.iterdir()}
    assert (mine / "_b").read_text() == "two"
    (mine / "a.txt").write_text("changed by hand")
    refused = house.consumer("results", job, "--out", "mine", "--json")
    assert _answer(refused, 2)["code"] == "usage"
    assert refused.stderr.startswith("Error: mine/")
    assert (mine / "a.txt").read_text() == "changed by hand"
    assert house.consumer("results", job, "--out", "mine", "--overwrite").returncode == 0
    assert (mine / "a.txt").read_text() == "one"
    index = str(names["outputs.tar"]["index"])
    assert house.consumer("results", job, "--out", "mine", "--index", index).stderr == "1 file in mine.\n"
    blocked = house.consumer("results", job, "--out", "consumer.key")
    assert (blocked.returncode, blocked.stderr) == (1, "Error: This machine refuses consumer.key: File exists.\n")


def test_a_stranger_sees_no_log_no_result_and_can_do_nothing(house: House, job: str) -> None:
    for command in ("stop", "delete"):
        ended = house.consumer(command, job, key="stranger")
        assert (ended.returncode, ended.stderr) == (5, "Error: There is no such job.\n"), command
    assert house.consumer("results", job, "--out", "stolen", key="stranger").returncode == 5
    assert not list((house.folder / "stolen").rglob("*"))
    assert json.loads(house.consumer("status", "--json", key="stranger").stdout) == []


def test_an_empty_id_stops_nothing(house: House, job: str) -> None:
    ended = house.consumer("stop", "")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "id is empty" in ended.stderr


def test_a_key_that_is_none_is_wrong_usage(house: House) -> None:
    (house.folder / "word.key").touch(0o600)
    (house.folder / "word.key").write_text("secret words")
    ended = house.consumer("status", key="word")
    assert (ended.returncode, ended.stderr.splitlines()[0]) == (
        2,
        "Error: The key file word.key holds no private key: it should be 64 hex digits.",
    )
    assert "secret words" not in ended.stderr
    ended = house.consumer("status", key="")
    assert (ended.returncode, ended.stderr.splitlines()[0]) == (
        2, "Error: This needs your signature, and no key is given."
    )  # fmt: skip
    assert "--key-file" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["submit", "--dataset", "DID", "--order", NO_TX, "--raw", "consumer.key"], 3, "order_invalid"),
        (["submit", "--dataset", f"did:op:{'a' * 64}", "--order", NO_TX, "--raw", "consumer.key"], 5, "no such asset"),
        (["submit", "--dataset", "DID", "--order", NO_TX, "--raw", "consumer.key", "--environment", "x"], 2, "offers: default"),
    ],
)  # fmt: skip
def test_refusals_have_their_code_and_one_document(
    house: House, arguments: list[str], code: int, sentence: str
) -> None:
    words = [house.dataset.did if word == "DID" else word for word in arguments]
    found = _answer(ended := house.consumer(*words, "--json"), code)
    assert sentence in str(found["error"])
    assert ended.stderr.startswith(f"Error: {found['error']}\n")


def test_a_server_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    ended = cove("environments", "--json", "--url", "http://me:word@127.0.0.1:1", cwd=tmp_path)
    sentence = "http://127.0.0.1:1 cannot be reached: connection refused."
    assert _answer(ended, 4)["error"] == sentence
    assert ended.stderr.splitlines()[0] == f"Error: {sentence}"


def test_a_server_that_is_no_cove_is_one_sentence(house: House) -> None:
    for url, sentence in (
        (f"{house.url}/below", "does not speak Cove's API"),
        (house.url.replace("http:", "https:"), "does not speak TLS"),
    ):
        ended = cove("environments", "--url", url)
        assert ended.returncode == 4
        assert sentence in ended.stderr.splitlines()[0]


def test_wrong_words_are_one_sentence() -> None:
    ended = cove("status", "--wach", "--json")
    assert _answer(ended, 2)["hint"] == "cove status --help lists what there is."
    assert ended.stderr.startswith("Error: No such option: --wach")


def test_an_answer_that_cannot_be_written_is_no_traceback(house: House) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [str(COVE), "environments", "--json", "--url", house.url],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=180, check=False,
        )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (
        1,
        "Error: This machine refuses to take the answer: No space left on device.\n",
    )


def test_on_a_terminal_long_work_shows_that_it_goes_on(house: House) -> None:
    job_id = house.submit(WAITS).stdout.strip()
    shown = _on_a_terminal(
        house, 1, "status", job_id, "--watch", once="Running algorithm", do=lambda: house.consumer("stop", job_id)
    )
    assert "stopped" in shown.rpartition("Running algorithm")[2]
    shown = _on_a_terminal(house, 0, "results", house.finished("print('done')"), "--out", "terminal")
    assert "algorithm.log" in shown
    assert "3 files in terminal." in shown


def _on_a_terminal(
    house: House, code: int, *words: str, once: str = "", do: Callable[[], object] = lambda: None
) -> str:
    """Run a command with a terminal for all of its streams, and give what it showed.

    Args:
        code: The one that it exits with.
        once: When it shows this,
        do: this is done.
    """
    mine, its = pty.openpty()
    variables = environment(COVE_URL=house.url, COVE_ACCOUNT_KEY_FILE="consumer.key", TERM="xterm-256color")
    with subprocess.Popen(
        [str(COVE), *words], cwd=house.folder, env=variables, stdin=its, stdout=its, stderr=its
    ) as process:
        os.close(its)
        shown, is_done = b"", not once
        with contextlib.suppress(OSError):  # the terminal's other end was closed
            while part := os.read(mine, 4096):
                shown += part
                if not is_done and once.encode() in shown:
                    is_done = True
                    do()
        os.close(mine)
        assert process.wait(120) == code, shown
    return shown.decode()
