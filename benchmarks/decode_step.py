"""Milliseconds of a decode step, by batch: qharness beside transformers, llama.cpp and vLLM on the same weights.

    python benchmarks/decode_step.py FILE.gguf [--batch 1 4 16 48] [--vllm build/vllm/bin/python --folder FOLDER]
                                               [--aqlm CHECKPOINT] [--engines NAME ...]

A step gives each completion of a batch its next token. It is the difference between completions of few tokens and of
many, after a prompt of 128 that all of a batch share, greedily, without end tokens. Each engine is a process of its
own, which is stopped while others work, for some spin; they take turns, and medians count. llama.cpp runs the file as
it is, and copies of it in Q8_0 and F16 that are written here; each completion of a batch is a slot of its own. vLLM,
which has an environment of its own, runs the same model from a folder. --aqlm names what `qharness quantize --quant
aqlm:3` wrote of the same model, --engines the only ones to run.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import gguf
import torch
import xllamacpp

sys.path.insert(0, str(Path(__file__).parents[1]))
from qharness.models.decoding import Decoding
from qharness.models.engine import Prompt
from qharness.models.lm import LoadedLM
from qharness.models.loading import LoadedModel, load_model
from qharness.models.recorded_step import STEPS_BEFORE
from qharness.models.sampling import SampleKey
from qharness.quantization.application import quantize

FEW, MANY = 4, 36
IDS = tuple(range(1000, 1128))
INT8 = ("int8-dynamic", "int8-dynamic:tied_head=true")
Engine = Callable[[int, int], None]
"""Makes so many completions, all at once, of so many tokens each."""

VLLM = """
import json, os, sys
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
from vllm import LLM, SamplingParams
if __name__ == "__main__":
    sizes = {"max_model_len": 512, "max_num_seqs": 64, "kv_cache_memory_bytes": 2 << 30}
    llm = LLM(sys.argv[1], dtype="float32", enable_prefix_caching=False, **sizes)
    prompt = {"prompt_token_ids": list(range(*json.loads(sys.argv[2])))}
    for line in sys.stdin:
        rows, tokens = json.loads(line)
        llm.generate([prompt] * rows, SamplingParams(temperature=0, max_tokens=tokens, ignore_eos=True), use_tqdm=False)
        print("done", file=answers, flush=True)
"""


def ours(loaded: LoadedModel) -> Engine:
    generation = LoadedLM(loaded).generation
    generation.ignore_eos = True

    def run(rows: int, tokens: int) -> None:
        prompt = Prompt(IDS, tuple(SampleKey(0, sample) for sample in range(rows)))
        made = list(generation([prompt], Decoding(0.0, 1.0, tokens, (), 1), rows))
        assert len(made) == rows

    for rows in (1, 2):  # alone and of a shared prompt; from then on a record runs the step
        run(rows, STEPS_BEFORE + 4)
    return run


def stock(loaded: LoadedModel) -> Engine:
    given = {"do_sample": False, "pad_token_id": 0, "eos_token_id": None}

    def run(rows: int, tokens: int) -> None:
        with torch.inference_mode():
            asked = torch.tensor([IDS] * rows)
            loaded.model.generate(asked, attention_mask=torch.ones_like(asked), max_new_tokens=tokens, **given)

    return run


def llamacpp(path: Path) -> Engine:
    """llama.cpp's engine on a file, with as many slots as are first asked for."""

    @cache
    def server(slots: int) -> xllamacpp.Server:
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.verbosity, params.cache_prompt = -1, False
        params.n_parallel, params.n_ctx = slots, slots * 256
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = torch.get_num_threads()
        return xllamacpp.Server(params)

    def one(slots: int, tokens: int) -> None:
        asked = {"prompt": list(IDS), "max_tokens": tokens, "temperature": 0, "ignore_eos": True}
        answer = server(slots).handle_completions(asked)
        assert answer["usage"]["completion_tokens"] == tokens, answer

    def run(rows: int, tokens: int) -> None:
        with ThreadPoolExecutor(rows) as pool:
            list(pool.map(one, [rows] * rows, [tokens] * rows))

    return run


def engine(name: str, model: Path) -> Engine:
    kind, _, way = name.partition(" ")
    if kind == "llama.cpp":
        return llamacpp(model)
    loaded = load_model(str(model), "cpu", dtype="float32")
    if way in INT8:
        quantize(loaded, way)
    return stock(loaded) if kind == "transformers" else ours(loaded)


def serve(run: Engine) -> None:
    """Run what the lines of standard input ask for, and say when it is done."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        run(*json.loads(line))
        print("done", file=answers, flush=True)


class Server:
    """An engine in a process of its own, which stands still unless it is asked."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            start_new_session=True,
        )  # fmt: skip
        self(1, FEW)

    def __call__(self, rows: int, tokens: int) -> None:
        group, stdin, stdout = self._process.pid, self._process.stdin, self._process.stdout
        assert stdin and stdout
        os.killpg(group, signal.SIGCONT)
        stdin.write(json.dumps([rows, tokens]) + "\n")
        stdin.flush()
        if stdout.readline() != "done\n":
            raise SystemExit(f"{self._process.args} does not run")
        os.killpg(group, signal.SIGSTOP)

    def close(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def rewritten(source: Path, kind: gguf.GGMLQuantizationType, target: Path) -> Path:
    """Write a GGUF file's copy with all matrices in another type."""
    reader = gguf.GGUFReader(source)
    architecture = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(target, architecture)
    for name, each in reader.fields.items():
        if not name.startswith("GGUF.") and name != "general.architecture":
            sub = each.types[-1] if len(each.types) > 1 else None
            writer.add_key_value(name, each.contents(), each.types[0], sub_type=sub)
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        if values.ndim > 1:
            values = gguf.quants.quantize(values, kind)
            writer.add_tensor(tensor.name, values, raw_dtype=kind)
        else:
            writer.add_tensor(tensor.name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def step(engine: Engine, rows: int) -> float:
    times = []
    for tokens in (FEW, MANY):
        start = time.perf_counter()
        engine(rows, tokens)
        times.append(time.perf_counter() - start)
    return (times[1] - times[0]) / (MANY - FEW)


def commands(options: argparse.Namespace, folder: Path) -> dict[str, list[str]]:
    """The command of each engine's process, by its name."""
    files = {"llama.cpp as it is": options.model}
    for kind in (gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.F16):
        files[f"llama.cpp {kind.name}"] = rewritten(options.model, kind, folder / f"{kind.name}.gguf")
    for name in ("transformers float32", "qharness float32", *(f"qharness {spec}" for spec in INT8)):
        files[name] = options.model
    if options.aqlm:
        files["qharness aqlm:3"] = options.aqlm
    files = {name: path for name, path in files.items() if not options.engines or name in options.engines}
    found = {name: [sys.executable, __file__, str(path), "--serve", name] for name, path in files.items()}
    if options.vllm:
        given = [str(options.folder.resolve()), json.dumps([IDS[0], IDS[-1] + 1])]
        found["vLLM float32"] = [options.vllm, "-c", VLLM, *given]
    return found


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The model, the batches and the rounds of whatever times decode steps."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a GGUF file")
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 4, 16, 48])
    parser.add_argument("--rounds", type=int, default=5)
    return parser


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--vllm", help="the Python of an environment with vLLM; needs --folder")
    parser.add_argument("--folder", type=Path, help="the same model as a folder, for vLLM")
    parser.add_argument("--aqlm", type=Path, help="the same model's checkpoint in aqlm:3")
    parser.add_argument("--engines", nargs="+", help="for example 'qharness float32' 'qharness int8-dynamic'")
    parser.add_argument("--serve", help="be one of the engines")
    options = parser.parse_args()
    if options.serve:
        serve(engine(options.serve, options.model))
        return
    with tempfile.TemporaryDirectory() as folder:
        servers: dict[str, Server] = {}
        try:
            for name, command in commands(options, Path(folder)).items():
                servers[name] = Server(command)
            print(f"{options.model.name}: {torch.get_num_threads()} threads, torch {torch.__version__}", flush=True)
            for rows in options.batch:
                measure(servers, rows, options.rounds)
        finally:
            for server in servers.values():
                server.close()


def measure(servers: dict[str, Server], rows: int, rounds: int) -> None:
    found: dict[str, list[float]] = {name: [] for name in servers}
    for turn in range(rounds + 1):
        for name, server in servers.items():
            seconds = step(server, rows)
            if turn:  # the first is for warming up
                found[name].append(seconds)
    base = statistics.median(found["qharness float32"])
    for name, each in found.items():
        middle, spread = statistics.median(each), f"({min(each) * 1e3:.1f} to {max(each) * 1e3:.1f})"
        print(
            f"batch {rows:3} {name:36} {middle * 1e3:7.1f} {spread}, {middle / base:.2f} of qharness float32",
            flush=True,
        )


if __name__ == "__main__":
    main()
