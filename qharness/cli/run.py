"""`qharness run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qharness.bounds import parse_number
from qharness.cli.comparison_text import print_extents
from qharness.cli.completion import complete_model, complete_perturbation, complete_task
from qharness.cli.estimate_text import print_run_plan
from qharness.cli.options import (
    MODEL,
    OUTPUT,
    SAMPLING,
    TASK,
    VERDICT,
    AllowUnsandboxed,
    AllowUntouched,
    Calib,
    Chat,
    DataDir,
    Device,
    Json,
    LanguageSpec,
    Limit,
    MaxNewTokens,
    Model,
    NoThink,
    Quant,
    RunDType,
    RunFolders,
    System,
    Temperature,
    TopP,
    Track,
    TrustRemoteCode,
    bounded,
    check_tracker,
)
from qharness.cli.output import print_json, registry
from qharness.cli.run_text import print_result
from qharness.cli.verdict_text import (
    FailUnlessHolds,
    Full,
    MaxLossOption,
    exit_status,
    judge_results,
    max_loss_of,
    print_verdicts,
)
from qharness.errors import QHarnessError
from qharness.evaluate.run.run_listing import find_named_run
from qharness.execution.toolchains import begin_toolchains
from qharness.progress import note
from qharness.quantization.backends import BackendName
from qharness.quantization.resolution import bind_model
from qharness.specs import DEFAULT_MODEL, RunSpec

if TYPE_CHECKING:
    pass


def run(
    task: Annotated[
        list[str],
        typer.Option(help="Task names: ours, or any of lm-eval's.", rich_help_panel=TASK, autocompletion=complete_task),
    ],
    more_tasks: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    model: Model = None,
    quant: Quant = "none",
    calib: Calib = None,
    perturb: Annotated[
        str | None,
        typer.Option(
            help="Perturb the prompts' prose, as NAME[:OPTIONS][+NAME...]: --task TASK@SPEC.",
            rich_help_panel=TASK,
            autocompletion=complete_perturbation,
        ),
    ] = None,
    samples: Annotated[int | None, bounded("samples", "Completions a problem.", SAMPLING)] = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    max_new_tokens: MaxNewTokens = None,
    limit: Limit = None,
    seed: Annotated[int, bounded("seed", "Of sampling and of calibration.", SAMPLING)] = 0,
    batch_size: Annotated[str, typer.Option(help="auto, or completions at a time.", rich_help_panel=MODEL)] = "auto",
    device: Device = "auto",
    dtype: RunDType = "auto",
    backend: Annotated[
        BackendName,
        typer.Option(
            help="What generates: transformers, llama.cpp, a server (--base-url), or vLLM.", rich_help_panel=MODEL
        ),
    ] = "hf",
    base_url: Annotated[
        str | None,
        typer.Option(
            help="Address of an OpenAI-compatible server, as http://localhost:8080/v1.", rich_help_panel=MODEL
        ),
    ] = None,
    api_key_env: Annotated[
        str | None, typer.Option(help="Environment variable with the server's key.", rich_help_panel=MODEL)
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            help="Compare with this model in full precision, or with a finished run: its folder, id, or last.",
            rich_help_panel=VERDICT,
            autocompletion=complete_model,
        ),
    ] = None,
    chat: Chat = False,
    system: System = None,
    no_think: NoThink = False,
    no_baseline: Annotated[
        bool, typer.Option("--no-baseline", help="Compare with nothing.", rich_help_panel=VERDICT)
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Say what would be run, and what it takes by a short measurement.", rich_help_panel=OUTPUT
        ),
    ] = False,
    max_loss: MaxLossOption = None,
    fail_unless_holds: FailUnlessHolds = False,
    full: Full = False,
    track: Track = None,
    language: LanguageSpec = None,
    allow_unsandboxed: AllowUnsandboxed = False,
    allow_untouched: AllowUntouched = False,
    trust_remote_code: TrustRemoteCode = False,
    data_dir: DataDir = None,
    output: RunFolders = Path("runs"),
    json: Json = False,
) -> int:
    """Quantize a model, run benchmarks on it, and say whether it loses more than you can bear.

    Runs that are whole are not made again, and a run that was interrupted resumes.
    """
    registry()
    if baseline and no_baseline:
        raise QHarnessError("--baseline and --no-baseline exclude each other")
    margin = max_loss_of(max_loss)
    if fail_unless_holds and (no_baseline or (quant == "none" and not baseline)):
        raise QHarnessError("--fail-unless-holds needs something to compare with: --quant, or --baseline")
    check_tracker(track)
    finished = find_named_run(baseline, output) if baseline else None
    specs = [
        RunSpec(
            task=name,
            model=model or DEFAULT_MODEL,
            quant=quant,
            calib=calib,
            samples=samples,
            temperature=temperature,
            top_p=top_p,
            max_new_tokens=max_new_tokens,
            limit=limit,
            seed=seed,
            batch_size=_batch_size(batch_size),
            device=device,
            dtype=dtype,
            backend=backend,
            allow_unsandboxed=allow_unsandboxed,
            allow_untouched=allow_untouched,
            trust_remote_code=trust_remote_code,
            base_url=base_url,
            api_key_env=api_key_env,
            data_dir=data_dir,
            output=output,
            baseline=None if finished else baseline,
            baseline_run=finished,
            compare=not no_baseline,
            max_loss=margin,
            chat=chat,
            system=system,
            think=not no_think,
            language=language,
        )
        for name in dict.fromkeys(perturbed_name(name, perturb) for name in [*task, *(more_tasks or [])])
    ]
    bound = bind_model(specs[0].model_spec)  # a mistake in it is told before torch is imported
    if dry_run:
        print_run_plan(specs, json)
        return 0
    from qharness.study.known_runs import known_results

    results = known_results(specs, bound)
    if results is None:
        begin_toolchains(spec.task for spec in specs)
        from qharness.study import run_tasks

        results = run_tasks(specs, bound=bound)
    if model is None:
        note("model: tinycoder, which comes with qharness (two million parameters); --model chooses another")
    verdicts = judge_results(results, margin)
    if json:
        documents = [result.document for result in results]
        print_json(documents[0] if len(documents) == 1 else documents)
    else:
        for result in results:
            if result.record.baseline:
                print_extents(result.record.baseline)
        print_verdicts(verdicts)
        for result in results:
            print_result(result, full)
    if track is not None:
        from qharness.study.tracking import track_runs

        track_runs(track, results)
    return exit_status(verdicts) if fail_unless_holds else 0


def perturbed_name(task: str, perturbation: str | None) -> str:
    """The name of a task with a perturbation more, if there is one."""
    if perturbation is None:
        return task
    return f"{task}{'+' if '@' in task else '@'}{perturbation}"


def _batch_size(text: str) -> int | None:
    size = parse_number("batch_size", text, "--batch-size", word="auto")
    return None if size is None else int(size)
