"""`--backend openai` against llama.cpp's own server, alone and behind one that spoils answers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lm_eval.api.instance import Instance

from qharness import ModelError, QHarnessError, RunSpec, compare, run
from qharness.models.begun_answers import after_prefix
from qharness.models.openai_client import OpenAIClient
from qharness.models.openai_lm import OpenAIRun
from qharness.models.server_model import ServerModel
from tests import tiny_gguf
from tests.faulty_server import cut, faulty_server, hanging, refusing, says, status, torn
from tests.test_cli import Cli, in_process

xllamacpp = pytest.importorskip("xllamacpp")
pytest.importorskip("openai")
__all__ = ["in_process"]

KEY = "sk-very-secret-7919"


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_gguf, "CONTEXT", 1024)  # the prompts are of single letters
        tiny_gguf.save_llama(path)
    return path


@pytest.fixture(scope="module")
def real(gguf: Path) -> Iterator[str]:
    """The address of llama.cpp's own server, with a tiny model."""
    params = xllamacpp.CommonParams()
    params.model.path = str(gguf)
    params.model_alias = {"tiny"}
    params.verbosity, params.n_parallel, params.n_ctx = -1, 2, 2048
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.special = True
    params.cache_prompt = False  # what was asked before decides nothing, by rounding
    server = xllamacpp.Server(params)
    yield server.listening_address
    del server


def spec(url: str, output: Path, **changes: Any) -> RunSpec:
    given = {
        "task": "tiny-python", "model": "tiny", "backend": "openai", "base_url": url, "samples": 2, "limit": 2,
        "max_new_tokens": 16, "temperature": 0.8, **changes,
    }  # fmt: skip
    return RunSpec(output=output, **given)


def completions(folder: Path) -> list[str]:
    return [json.loads(line)["completion"] for line in (folder / "samples.jsonl").read_text().splitlines()]


def model(url: str, **changes: Any) -> OpenAIRun:
    return OpenAIRun(OpenAIClient(ServerModel("tiny", url), **changes), seed=0, at_a_time=2)


def ask(lm: OpenAIRun, prompt: str, **options: Any) -> str:
    request = Instance("generate_until", {}, (prompt, {"max_gen_toks": 12, **options}), 0)
    (text,) = lm.generate_until([request])
    return str(text)


def chat(lm: OpenAIRun, begun: str = "", asked: str = "Add a and b.", **options: Any) -> str:
    turns = [{"role": "user", "content": asked}, *([{"role": "assistant", "content": begun}] if begun else [])]
    return ask(lm, lm.apply_chat_template(turns, add_generation_prompt=not begun), **options)


def test_a_whole_run(real: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeds repeat, tokens are counted, as many requests are in flight as are asked for, and the key stays secret."""
    monkeypatch.setenv("TINY_KEY", KEY)
    with faulty_server(real, delay_s=0.3) as server:
        done = run(spec(server.url, tmp_path / "a", batch_size=3, api_key_env="TINY_KEY"))
        again = run(spec(server.url, tmp_path / "b", batch_size=1, api_key_env="TINY_KEY"))
    assert len(set(completions(done.folder))) == len(completions(again.folder)) == 4
    assert server.most_in_flight == 3 and set(server.keys) == {f"Bearer {KEY}"}
    assert len({body["seed"] for body in server.bodies}) == 2 * 2  # one for each problem and sample, in both runs
    usage = done.document["usage"]
    assert usage["completions"] == 4 and usage["prompt_tokens"] > 100 and 0 < usage["completion_tokens"] <= 4 * 16
    assert done.document["machine"]["device"] is None and done.document["hosting"]["parameters"] is None
    assert done.folder.name.startswith("tiny--none--none--none--tiny-python--")
    for path in done.folder.iterdir():
        assert KEY not in path.read_text()


def test_a_run_is_one_of_its_server_and_model(real: str, tmp_path: Path) -> None:
    with faulty_server(real) as one, faulty_server(real) as other:
        names = [
            run(spec(url, tmp_path, model=name, limit=1, samples=1)).folder.name
            for url, name in ((one.url, "tiny"), (f"{one.url}/", "tiny"), (other.url, "tiny"), (one.url, "tiny2"))
        ]
    assert names[0] == names[1] and len(set(names)) == 3


def test_an_interrupted_run_makes_only_what_is_missing(real: str, tmp_path: Path) -> None:
    with faulty_server(real) as server:
        whole = run(spec(server.url, tmp_path / "a", batch_size=1))
    with faulty_server(real, [None, None, status(400, "the disk is full")]) as server:
        broken = spec(server.url, tmp_path / "b", batch_size=1)
        with pytest.raises(ModelError, match="answers with status 400: the disk is full"):
            run(broken)
        (folder,) = (tmp_path / "b").iterdir()
        assert len((folder / "journal.jsonl").read_text().splitlines()) == 2 and not (folder / "run.json").exists()
        done = run(broken)
    assert len(server.bodies) == 3 + 2 and completions(done.folder) == completions(whole.folder)
    assert done.document["usage"]["completions"] == 2


@pytest.mark.slow
def test_ctrl_c_ends_at_once_and_loses_nothing(real: str, tmp_path: Path) -> None:
    def argv(url: str) -> list[str]:
        options = ["--task", "tiny-python", "--limit", "3", "--samples", "1", "--max-new-tokens", "8"]
        where = ["--backend", "openai", "--base-url", url, "--model", "tiny", "--batch-size", "1"]
        return [sys.executable, "-m", "qharness", "run", *options, *where, "--output", str(tmp_path)]

    with faulty_server(real, [None, hanging(60)]) as server:
        with subprocess.Popen(argv(server.url), stderr=subprocess.PIPE, text=True) as process:
            until = time.monotonic() + 60
            while len(server.bodies) < 2 and time.monotonic() < until:
                time.sleep(0.05)
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            start = time.monotonic()
            said = process.communicate(timeout=30)[1]
            assert time.monotonic() - start < 15 and "Traceback" not in said
        (journal,) = tmp_path.glob("*/journal.jsonl")
        assert len(journal.read_text().splitlines()) == 1
        subprocess.run(argv(server.url), check=True, capture_output=True)
    assert len(server.bodies) == 2 + 2


def test_it_tries_again(real: str) -> None:
    expected = ask(model(f"{real}/v1"), "def f(a):")
    faults = [status(429, headers={"Retry-After": "1.5"}), status(503, headers={"Retry-After": "0.01"}), torn, cut, cut]
    with faulty_server(real, faults) as server:
        start = time.monotonic()
        assert ask(model(server.url), "def f(a):") == expected
        assert time.monotonic() - start >= 1.5
    assert len(server.bodies) == 6


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (status(429, "slow down", headers={"Retry-After": "0.01"}), "takes no more requests for now .slow down."),
        (cut, "answers with no completion"),
        (hanging(5), "did not answer in time"),
        (status(500, "oh"), "answers with status 500: oh"),
        (status(404, "what?"), "has no model 'tiny' .what"),
        (status(401, f"{KEY} is no key"), r"refuses the key in TINY_KEY \(\*\*\* is no key\)"),
    ],
)
def test_an_error_is_one_line(real: str, fault: Any, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINY_KEY", KEY)
    with faulty_server(real, [fault] * 2) as server:
        held = ServerModel("tiny", server.url, "TINY_KEY")
        lm = OpenAIRun(OpenAIClient(held, timeout_s=0.3, attempts=2), seed=0, at_a_time=1)
        with pytest.raises(ModelError, match=said) as caught:
            ask(lm, "def f(a):")
    assert "\n" not in str(caught.value) and KEY not in str(caught.value)


def test_a_prompt_that_is_too_long_is_said_by_the_server(real: str) -> None:
    with pytest.raises(ModelError, match=r"status 400: request \(\d+ tokens\) exceeds the available context size"):
        ask(model(f"{real}/v1"), "def f(a): " * 300)


def test_what_is_wrong_is_said_before_anything_is_made(in_process: Cli, tmp_path: Path) -> None:
    def said(*words: object) -> str:
        done = in_process("run", "--task", "tiny-python", "--model", "tiny", "--output", tmp_path / "runs", *words)
        assert done.returncode == 2 and not (tmp_path / "runs").exists()
        assert "Traceback" not in done.stderr
        return done.stderr.strip().splitlines()[-1]

    nowhere = ("--backend", "openai", "--base-url", "http://127.0.0.1:9/v1")
    assert "say where, as with --base-url" in said("--backend", "openai")
    assert "--backend hf asks no server" in said("--base-url", "http://127.0.0.1:9/v1")
    assert "http://127.0.0.1:9/v1 cannot be reached: " in said(*nowhere)
    assert "is no address" in said("--backend", "openai", "--base-url", "localhost:8080")
    secret = said("--backend", "openai", "--base-url", "http://me:hunter2@127.0.0.1:9/v1")
    assert "--api-key-env" in secret and "hunter2" not in secret
    assert "there is no such environment variable" in said(*nowhere, "--api-key-env", "NOT_SET_ANYWHERE")
    assert "would have no effect" in said(*nowhere, "--quant", "rtn:4")


def test_a_model_that_the_server_lacks(real: str, tmp_path: Path) -> None:
    """llama.cpp takes any name; one that answers 404 is told from it by a request for one token."""
    with faulty_server(real, [status(404, "model not found")]) as server:
        with pytest.raises(ModelError, match=r"has no model 'huge': it offers tiny \(model not found\)"):
            run(spec(server.url, tmp_path / "runs", model="huge"))
        assert [body["max_tokens"] for body in server.bodies] == [1] and not (tmp_path / "runs").exists()


def test_four_stops_are_sent_and_all_are_heeded(real: str) -> None:
    whole = ask(model(f"{real}/v1"), "def f(a):")
    stops = ["@1", "@2", "@3", "@4", whole[5:7]]
    with faulty_server(real) as server:
        assert ask(model(server.url), "def f(a):", until=stops) == whole[: whole.index(whole[5:7])]
    assert server.bodies[0]["stop"] == stops[:4]


def test_a_chat_is_what_the_server_makes_of_the_messages(real: str) -> None:
    """The rest of a begun answer, whether the server gives the whole message or only the rest."""
    with faulty_server(real) as server:
        begun = chat(model(server.url), "```python\n")
        assert chat(model(server.url)) and server.bodies[1]["messages"][-1]["role"] == "user"
    (sent,) = server.bodies[:1]
    assert sent["messages"][-1] == {"role": "assistant", "content": "```python\n"} and sent["continue_final_message"]
    assert begun and not begun.startswith("```python")
    for answer in ("return a", "```python\nreturn a", "Sure:\n\n```py\nreturn a"):
        with faulty_server(real, [says(f"{answer}\n```\nThat adds.")]) as server:
            assert chat(model(server.url), "```python\n", until=["\n```"]) == "return a"
        assert server.bodies[0]["stop"] == ["\n```\n"]  # a bare fence closes a block


def test_a_server_of_fewer_options(real: str) -> None:
    """It is asked without those that it refuses; a begun answer that it does not continue is not sent to it."""
    options = ["continue_final_message", "max_tokens", "seed", "stop"]
    with faulty_server(real, [*refusing(*options), says("Sure:\n```\nreturn a\n```\n"), says("return a")]) as server:
        lm = model(server.url)
        assert chat(lm, "```python\n", until=["\n```", "\nclass"], temperature=0.5) == "return a"
        assert chat(lm, "```python\n", "Subtract.") == "return a"
    last = server.bodies[4]
    assert not {"continue_final_message", "add_generation_prompt", "max_tokens", "seed", "stop"} & set(last)
    assert last["max_completion_tokens"] == 12 and last["messages"][-1]["role"] == "user"
    assert len(server.bodies) == 6  # the second completion is asked for once only
    assert sum("refuses the option" in note for note in lm.facts().notes) == 4
    with faulty_server(real, refusing("temperature")) as server, pytest.raises(ModelError, match="'temperature'"):
        chat(model(server.url))


@pytest.mark.parametrize(
    ("text", "prefix", "rest"),
    [
        ("x\n```\nThen:\n```python\ny", "```python\n", "x\n```\nThen:\n```python\ny"),
        ("\n```python\r\nx", "```python\n", "x"),
        ("```python\nx", "```python", "\nx"),
        ("4", "Answer: ", "4"),
        ("Answer: 4", "Answer: ", " 4"),
        ("Here: Answer: 4", "Answer: ", "Here: Answer: 4"),
        ("x", "", "x"),
        ("", "```python\n", ""),
    ],
)
def test_what_follows_a_begun_answer(text: str, prefix: str, rest: str) -> None:
    assert after_prefix(text, prefix) == rest


def test_server_against_server_and_against_a_finished_run(real: str, tmp_path: Path) -> None:
    greedy = {"temperature": 0.0, "samples": 1}
    with faulty_server(real) as server:
        done = run(spec(server.url, tmp_path, baseline="another", **greedy))
        assert done.document["baseline"]["n_pairs"] == 2 and done.baseline is not None
        assert done.baseline.document["spec"]["model"] == "another"
    local = run(RunSpec("tiny-python", limit=2, output=tmp_path, **greedy))
    with faulty_server(real) as server:
        done = run(spec(server.url, tmp_path / "b", baseline_run=local.folder, **greedy))
        assert done.document["baseline"]["a"] == str(local.folder)
        with pytest.raises(QHarnessError, match=r"is a run of task 'tiny-python', not of 'tiny-java'"):
            run(spec(server.url, tmp_path / "c", task="tiny-java", baseline_run=local.folder))
    assert compare(local.folder, done.folder).n_pairs == 2
