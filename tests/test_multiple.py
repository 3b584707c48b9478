"""MultiPL-E in Python and Java, and the tuples that its Java programs import."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from qharness import DataError, Status, execute_programs
from qharness.evaluate.run.lm_eval_bridge import load_task
from qharness.filters import first_function, function_body, run_programs
from qharness.models.decoding import cut_at_stop
from qharness.tasks import humaneval, multiple
from tests.multiple_java import IMPOSSIBLE, OTHERS, TUPLES


def documents(task: str, data_dir: Path) -> dict[str, dict[str, Any]]:
    (loaded,) = load_task(task, data_dir).tasks.values()
    return {doc["task_id"]: doc for doc in loaded.eval_docs}


def generated(task: str, body: str, data_dir: Path) -> str:
    """What is left of a model's text at the first stop sequence."""
    (loaded,) = load_task(task, data_dir).tasks.values()
    return cut_at_stop(body, loaded.get_config("generation_kwargs")["until"])


def test_completions_stop_where_the_data_says(data_dir: Path) -> None:
    for task, file in (("multiple-py", multiple.PYTHON), ("multiple-java", multiple.JAVA)):
        (loaded,) = load_task(task, data_dir).tasks.values()
        until = loaded.get_config("generation_kwargs")["until"]
        assert {tuple(row["stop_tokens"]) for row in file.rows(data_dir)} == {tuple(until)}


def test_humanevals_references_pass_in_python(data_dir: Path) -> None:
    """All but three: two need what HumanEval's prompt defines, and 151 has other tests here."""
    docs = documents("multiple-py", data_dir)
    known = {row["task_id"].split("/")[1]: row["canonical_solution"] for row in humaneval.FILE.rows(data_dir)}
    texts = [[known[name.split("_")[1]] + "\n\nprint('more')\n", ""] for name in docs]
    verdicts = run_programs(first_function(texts, list(docs.values())), list(docs.values()))
    named = dict(zip(docs, verdicts, strict=True))
    failed = {name.split("_")[1]: right["status"] for name, (right, _) in named.items() if not right["passed"]}
    assert failed == {"10": "error", "115": "error", "151": "failed"}
    assert not any(empty["passed"] for _, empty in named.values())


def test_java_problems_with_tuples_and_ten_others(data_dir: Path) -> None:
    docs = documents("multiple-java", data_dir)
    tuples = [n for n, d in docs.items() if re.search(r"\b(Pair|Triplet|Quartet)\b", d["prompt"] + d["tests"])]
    assert sorted(tuples) == sorted([*TUPLES, *IMPOSSIBLE])
    cases = {**TUPLES, **OTHERS}
    assert len(OTHERS) == 10
    chosen = [docs[name] for name in cases]
    texts = [
        [generated("multiple-java", f"{body}\n    }}\n}}\n", data_dir) for body in (right, wrong)] + [""]
        for right, wrong in cases.values()
    ]
    verdicts = run_programs(function_body(texts, chosen), chosen)
    statuses = {name: tuple(v["status"] for v in each) for name, each in zip(cases, verdicts, strict=True)}
    assert statuses == dict.fromkeys(cases, ("passed", "failed", "compile-error"))


def test_a_problem_that_no_program_passes(data_dir: Path) -> None:
    """A translation's mistake: its tests ask a pair whether it equals an Optional."""
    docs = documents("multiple-java", data_dir)
    for name, body in IMPOSSIBLE.items():
        assert ".equals(Optional.of(Pair.with(" in docs[name]["tests"]
        ((verdict,),) = run_programs([[body]], [docs[name]])
        assert verdict["status"] == "failed", verdict


BODY = "        if (x > 0) {\n            return 1;\n        } else {\n            return 2;\n        }"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (BODY, BODY),
        (BODY + "\n    }", BODY + "\n    "),
        (BODY + "\n\t}\n}\n", BODY + "\n\t"),
        (BODY + " }\n    static int g() { return 1; }\n}", BODY + " "),
        ("        return 1; // }", "        return 1; // }"),
        ("        while (true) {", "        while (true) {"),
        ("", ""),
    ],
)
def test_a_java_completion_ends_before_its_methods_brace(text: str, kept: str) -> None:
    doc = {"prompt": "class Problem {\n    static int f(int x) {\n", "language": "java", "tests": ""}
    assert function_body([[text]], [doc]) == [[kept]]


def test_without_a_mirror_the_error_says_how_to_make_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QHARNESS_DATA_DIR", raising=False)
    with pytest.raises(DataError, match=r"load_dataset\('nuprl/MultiPL-E', 'humaneval-java', split='test'\)"):
        multiple.java_dataset()


def test_a_file_made_from_the_hubs_rows_will_do(data_dir: Path, tmp_path: Path) -> None:
    """Other key order, other paths in `original`, other spacing: the same problems."""
    datasets = pytest.importorskip("datasets")
    rows = [{**row, "original": "elsewhere"} for row in multiple.JAVA.rows(data_dir)]
    datasets.Dataset.from_list(rows[::-1]).to_json(tmp_path / multiple.JAVA.path)
    assert len(multiple.java_dataset(str(tmp_path))["test"]) == 158


TUPLE_PROGRAM = """
import java.util.*;
import org.javatuples.*;
public class Main {
    static void fails(Class<?> kind, Runnable action) {
        try {
            action.run();
        } catch (RuntimeException error) {
            assert kind.isInstance(error) : error;
            return;
        }
        throw new AssertionError("no " + kind);
    }

    public static void main(String[] args) {
        Pair<String, Integer> pair = Pair.with("a", 1);
        assert pair.getValue0().length() == 1 && pair.getValue1() == 1 && pair.getSize() == 2;
        assert pair.equals(new Pair<>("a", 1)) && pair.hashCode() == new Pair<>("a", 1).hashCode();
        assert pair.hashCode() == 31 + Arrays.asList("a", 1).hashCode();
        assert !pair.equals(Pair.with("a", 2)) && !pair.equals(null) && !pair.equals(Optional.of(pair));
        assert !Unit.with(1).equals(Pair.with(1, 1)) && Pair.with(null, null).equals(Pair.with(null, null));
        assert pair.toString().equals("[a, 1]") && Pair.with(null, 1L).toString().equals("[null, 1]");
        Pair<Long, Integer> changed = pair.setAt0(5L);
        assert changed.getValue0() == 5L && pair.getValue0().equals("a") && changed.setAt1('c').getValue1() == 'c';
        assert pair.getValue(1).equals(1) && pair.toList().equals(List.of("a", 1)) && pair.toArray().length == 2;
        assert pair.contains("a") && !pair.contains("b") && pair.indexOf(1) == 1 && pair.indexOf(2) == -1;
        assert Pair.with(1, 1).lastIndexOf(1) == 1 && pair.containsAll("a", 1) && !pair.containsAll(List.of("a", 2));
        int seen = 0;
        for (Object each : pair) seen += each.hashCode();
        assert seen == "a".hashCode() + 1;
        fails(IllegalArgumentException.class, () -> pair.getValue(2));
        fails(UnsupportedOperationException.class, () -> pair.toList().set(0, "b"));
        fails(UnsupportedOperationException.class, () -> { Iterator<Object> i = pair.iterator(); i.next(); i.remove(); });

        List<Pair<Integer, String>> pairs = new ArrayList<>(List.of(Pair.with(2, "a"), Pair.with(1, "b"), Pair.with(1, "a")));
        Collections.sort(pairs);
        assert pairs.toString().equals("[[1, a], [1, b], [2, a]]") : pairs;
        assert Unit.with(1).compareTo(Pair.with(1, 1)) < 0 && Unit.with(2).compareTo(Pair.with(1, 1)) > 0;

        Tuple[] all = {
            Unit.with(0), Pair.with(0, 1), Triplet.with(0, 1, 2), Quartet.with(0, 1, 2, 3), Quintet.with(0, 1, 2, 3, 4),
            Sextet.with(0, 1, 2, 3, 4, 5), Septet.with(0, 1, 2, 3, 4, 5, 6), Octet.with(0, 1, 2, 3, 4, 5, 6, 7),
            Ennead.with(0, 1, 2, 3, 4, 5, 6, 7, 8), Decade.with(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)};
        for (int n = 0; n < all.length; n++) {
            assert all[n].getSize() == n + 1 && all[n].toList().size() == n + 1;
            for (int i = 0; i <= n; i++) assert all[n].getValue(i).equals(i);
        }
        try {
            for (Tuple each : all) {
                for (int i = 0; i < each.getSize(); i++) {
                    assert each.getClass().getMethod("getValue" + i).invoke(each).equals(i);
                    Tuple set = (Tuple) each.getClass().getMethod("setAt" + i, Object.class).invoke(each, "x");
                    List<Object> expected = new ArrayList<>(each.toList());
                    expected.set(i, "x");
                    assert set.getClass() == each.getClass() && set.toList().equals(expected);
                }
            }
        } catch (ReflectiveOperationException error) {
            throw new AssertionError(error);
        }
    }
}
"""


def test_tuples_behave_as_javatuples_does() -> None:
    (outcome,) = execute_programs("java", [TUPLE_PROGRAM])
    assert outcome.status is Status.PASSED, outcome


def test_a_program_finds_the_library_and_not_the_harness() -> None:
    source = "public class Main { public static void main(String[] a) throws Exception { Class.forName(%r); } }"
    names = ("org.javatuples.Decade", "JavaHarness", "JavaCompileServer", "org.javatuples.None")
    outcomes = execute_programs("java", [source.replace("%r", f'"{name}"') for name in names])
    assert [outcome.passed for outcome in outcomes] == [True, False, False, False]
