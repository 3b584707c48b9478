"""Milliseconds of a decode step, by batch: qharness beside transformers, llama.cpp and vLLM on the same weights.

    python benchmarks/decode_step.py FILE.gguf [--batch 1 4 16 48] [--vllm build/vllm/bin/python --folder FOLDER]

A step gives each completion of a batch its next token. It is the difference between completions of few tokens and of
many, after a prompt of 128 that all of a batch share, greedily, without end tokens. The engines take turns, so that a
ratio compares rounds that ran side by side; medians count. llama.cpp runs the file as it is, and copies of it in Q8_0
and F16 that are written here; each completion of a batch is a slot of its own. vLLM, which has an environment of its
own, runs the same model from a folder, in a process that lives as long as this one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gguf
import torch
import xllamacpp

sys.path.insert(0, str(Path(__file__).parents[1]))
from qharness.models.decoding import Decoding
from qharness.models.engine import Prompt
from qharness.models.lm import LoadedLM
from qharness.models.loading import LoadedModel, load_model
from qharness.models.sampling import SampleKey
from qharness.quantization.application import quantize

PROMPT, FEW, MANY = 128, 4, 36
Engine = Callable[[int, int], None]
"""Makes so many completions, all at once, of so many tokens each."""

VLLM = """
import json, sys
from vllm import LLM, SamplingParams
if __name__ == "__main__":
    sizes = {"max_model_len": 512, "max_num_seqs": 64, "kv_cache_memory_bytes": 2 << 30}
    llm = LLM(sys.argv[1], dtype=sys.argv[2], enable_prefix_caching=False, **sizes)
    prompt = {"prompt_token_ids": json.loads(sys.argv[3])}
    print("ready", file=sys.stderr, flush=True)
    for line in sys.stdin:
        rows, tokens = json.loads(line)
        llm.generate([prompt] * rows, SamplingParams(temperature=0, max_tokens=tokens, ignore_eos=True), use_tqdm=False)
        print("done", file=sys.stderr, flush=True)
"""


def ours(loaded: LoadedModel, ids: tuple[int, ...]) -> Engine:
    generation = LoadedLM(loaded).generation
    generation.ignore_eos = True

    def run(rows: int, tokens: int) -> None:
        prompt = Prompt(ids, tuple(SampleKey(0, sample) for sample in range(rows)))
        made = list(generation([prompt], Decoding(0.0, 1.0, tokens, (), 1), rows))
        assert len(made) == rows

    return run


def stock(loaded: LoadedModel, ids: tuple[int, ...]) -> Engine:
    given = {"do_sample": False, "pad_token_id": 0, "eos_token_id": None}

    def run(rows: int, tokens: int) -> None:
        with torch.inference_mode():
            asked = torch.tensor([ids] * rows)
            loaded.model.generate(asked, attention_mask=torch.ones_like(asked), max_new_tokens=tokens, **given)

    return run


def llamacpp(path: Path, ids: tuple[int, ...], slots: int) -> Engine:
    """llama.cpp's engine on a file, with that many slots."""
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.verbosity, params.cache_prompt = -1, False
    params.n_parallel, params.n_ctx = slots, slots * 256
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = torch.get_num_threads()
    server = xllamacpp.Server(params)

    def one(tokens: int) -> None:
        asked = {"prompt": list(ids), "max_tokens": tokens, "temperature": 0, "ignore_eos": True}
        answer = server.handle_completions(asked)
        assert answer["usage"]["completion_tokens"] == tokens, answer

    def run(rows: int, tokens: int) -> None:
        with ThreadPoolExecutor(rows) as pool:
            list(pool.map(one, [tokens] * rows))

    return run


def vllm(python: str, folder: Path, dtype: str, ids: tuple[int, ...]) -> Engine:
    command = [python, "-c", VLLM, str(folder), dtype, json.dumps(ids)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )

    def wait(word: str) -> None:
        lines = []
        for line in process.stderr or ():
            lines.append(line)
            if line.strip() == word:
                return
        raise SystemExit("".join(lines[-20:]))

    wait("ready")

    def run(rows: int, tokens: int) -> None:
        assert process.stdin
        process.stdin.write(json.dumps([rows, tokens]) + "\n")
        process.stdin.flush()
        wait("done")

    return run


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a GGUF file")
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 4, 16, 48])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--vllm", help="the Python of an environment with vLLM; needs --folder")
    parser.add_argument("--folder", type=Path, help="the same model as a folder, for vLLM")
    options = parser.parse_args()
    full = load_model(str(options.model), "cpu", dtype="float32")
    ids = tuple(range(1000, 1000 + PROMPT))
    int8 = load_model(str(options.model), "cpu", dtype="float32")
    quantize(int8, "int8-dynamic")
    fixed = {
        "transformers float32": stock(full, ids),
        "qharness float32": ours(full, ids),
        "qharness int8-dynamic": ours(int8, ids),
    }
    if options.vllm:
        fixed["vLLM float32"] = vllm(options.vllm, options.folder, "float32", ids)
    with tempfile.TemporaryDirectory() as folder:
        files = {"as it is": options.model}
        for kind in (gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.F16):
            files[kind.name] = rewritten(options.model, kind, Path(folder) / f"{kind.name}.gguf")
        print(f"{options.model.name}: {torch.get_num_threads()} threads, torch {torch.__version__}", flush=True)
        for rows in options.batch:
            of_files = {f"llama.cpp {name}": llamacpp(path, ids, rows) for name, path in files.items()}
            ready = {**fixed, **of_files}
            found: dict[str, list[float]] = {name: [] for name in ready}
            for turn in range(options.rounds + 1):
                for name, engine in ready.items():
                    seconds = step(engine, rows)
                    if turn:  # the first is for warming up
                        found[name].append(seconds)
            base = statistics.median(found["qharness float32"])
            for name, each in found.items():
                middle = statistics.median(each)
                print(
                    f"batch {rows:3} {name:24} {middle * 1e3:7.1f} ({min(each) * 1e3:.1f} to {max(each) * 1e3:.1f}), "
                    f"{middle / base:.2f} of qharness float32",
                    flush=True,
                )


if __name__ == "__main__":
    main()
