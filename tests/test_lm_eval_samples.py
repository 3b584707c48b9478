"""lm-eval's own models on our tasks, and its own readers on what we write."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import datasets
import lm_eval
import pytest
from lm_eval import utils
from lm_eval.loggers import EvaluationTracker

from qharness import RunResult, RunSpec, run, score
from qharness.evaluate.interchange.sample_export import export
from qharness.evaluate.run.lm_eval_bridge import load_task


@contextmanager
def completions_server(completions: dict[str, str]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An OpenAI-like /v1/completions that knows these prompts and stops nowhere; yields its URL and what it is asked."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(request)
            prompts = request["prompt"] if isinstance(request["prompt"], list) else [request["prompt"]]
            choices = [{"index": n, "text": completions[prompt]} for n, prompt in enumerate(prompts)]
            body = json.dumps({"choices": choices}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/completions", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class Logged:
    """lm-eval's log of an API model's run: the file, the problems, and what the server was asked."""

    log: Path
    docs: list[dict[str, Any]]
    asked: list[dict[str, Any]]


@pytest.fixture(scope="module")
def api_run(tmp_path_factory: pytest.TempPathFactory) -> Logged:
    """What `lm-eval run --model local-completions --predict_only --log_samples` does, without its index of tasks."""
    pytest.importorskip("tenacity", reason="lm-eval's API models need it: pip install 'qharness[api]'")
    loaded, output = load_task("tiny-python"), tmp_path_factory.mktemp("api")
    (task,) = loaded.tasks.values()
    docs = list(task.eval_docs)[:6]
    known = {doc["prompt"]: doc["canonical_solution"] + "\n\ndef more(:\nprint('and more')\n" for doc in docs}
    known[docs[1]["prompt"]] = "    return None\n"
    known[docs[2]["prompt"]] = "    import os\n    os._exit(0)\n"
    tracker = EvaluationTracker(output_path=str(output))
    with completions_server(known) as (url, asked):
        results = lm_eval.simple_evaluate(
            model="local-completions",
            model_args={"model": "canon", "base_url": url, "tokenizer_backend": None},
            tasks=loaded.objects,
            task_manager=loaded.manager,
            gen_kwargs={"temperature": 0.5},
            limit=6,
            predict_only=True,
            log_samples=True,
            evaluation_tracker=tracker,
        )
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples)
    tracker.save_results_samples("tiny-python", samples["tiny-python"])
    (log,) = output.glob("*/samples_tiny-python_*.jsonl")
    return Logged(log, docs, asked)


def test_an_api_models_log_is_scored(api_run: Logged) -> None:
    """It is cut as the task cuts, though the server stopped nowhere."""
    repeats = 10
    assert len(api_run.asked) == 6 * repeats and api_run.asked[0]["temperature"] == 0.5 and api_run.asked[0]["stop"]
    scored = score("tiny-python", api_run.log)
    assert scored.document["n_samples"] == 6 * repeats and scored.document["n_problems"] == 6
    statuses = {row["task_id"]: row["status"] for row in scored.samples}
    expected = ["passed", "failed", "early-exit", "passed", "passed", "passed"]
    assert [statuses[doc["task_id"]] for doc in api_run.docs] == expected
    assert scored.document["pass@1"] == scored.document["pass@5"] == pytest.approx(4 / 6)
    assert all("more" not in row["completion"] for row in scored.samples)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A run of the bundled model."""
    output = tmp_path_factory.mktemp("runs")
    return run(RunSpec("tiny-python", samples=2, limit=4, temperature=0.8, max_new_tokens=120, output=output))


def test_lm_evals_table_of_our_results(made: RunResult) -> None:
    """NaN stands as null in our results.json (pass@5 of two samples), which its table has to bear."""
    table = utils.make_table(json.loads((made.folder / "results.json").read_text()))
    (row,) = [line for line in table.splitlines() if "pass@1" in line]
    assert [cell.strip() for cell in row.split("|")][5:8:2] == ["pass@1", f"{made.metrics['pass@1']:.3f}"]
    assert "pass@5" in table and "tiny-python" in table


def test_an_exported_log_is_what_lm_evals_tools_look_for(made: RunResult, tmp_path: Path) -> None:
    """Found by its own functions, as its Zeno script and its card for the Hub do; of the same shape as its own."""
    folder = tmp_path / "log"
    export(made.folder, "lm-eval", folder)
    names = [path.as_posix() for path in folder.iterdir()]
    results = json.loads(Path(utils.get_latest_filename(utils.get_results_filenames(names))).read_text())
    log = Path(utils.get_latest_filename(utils.get_sample_results_filenames(names)))
    assert utils.get_file_task_name(log.name) == "tiny-python" == next(iter(results["configs"]))
    assert results["model_name"] == "tinycoder" and results["config"]["model_args"]["quant"] == "none"
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert [row["doc_id"] for row in rows] == [0, 1, 2, 3]
    assert sum(row["pass@1"] for row in rows) / 4 == pytest.approx(made.metrics["pass@1"])
    assert all(len(row["resps"]) == 1 and len(row["resps"][0]) == 2 for row in rows)
    assert rows[0]["arguments"]["gen_args_0"]["arg_0"] == rows[0]["doc"]["prompt"]
    assert rows[0]["arguments"]["gen_args_0"]["arg_1"]["max_gen_toks"] == 120
    loaded = datasets.load_dataset("json", data_files=str(log), cache_dir=str(tmp_path / "hf"))
    assert loaded["train"].num_rows == 4
    scored = score("tiny-python", folder)  # which cuts the model's own words as the run did
    before = [json.loads(line) for line in (made.folder / "samples.jsonl").read_text().splitlines()]
    fields = ("task_id", "sample", "completion", "status")
    assert [[row[name] for name in fields] for row in scored.samples] == [
        [row[name] for name in fields] for row in before
    ]


def test_the_lines_of_an_exported_log_have_what_lm_evals_own_have(
    api_run: Logged, made: RunResult, tmp_path: Path
) -> None:
    export(made.folder, "lm-eval", tmp_path / "log")
    (ours,) = (tmp_path / "log").glob("samples_*.jsonl")
    first, second = (json.loads(path.read_text().splitlines()[0]) for path in (api_run.log, ours))
    assert set(first) - set(second) == {"doc_hash", "prompt_hash", "target_hash", "bypass"}  # its metric of no metrics
    assert set(second) - set(first) == {"pass@1", "pass@5"}
    assert all(first[name] == second[name] for name in ("doc_id", "doc", "target", "filter"))
    assert set(first["arguments"]["gen_args_0"]) == set(second["arguments"]["gen_args_0"])
    assert type(first["resps"][0][0]) is type(second["resps"][0][0]) is str
