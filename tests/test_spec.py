from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qharness import SpecError, option
from qharness.plugins.aqlm import Aqlm
from qharness.plugins.int8.dynamic import Int8Dynamic
from qharness.plugins.local_text import Prose
from qharness.plugins.perturbations.char import Char
from qharness.plugins.rtn import Rtn
from qharness.spec import Spec, bind, parse, parse_task, unbind

values = st.text(st.characters(blacklist_categories=("Cs",)), max_size=12)
names = st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True)


@given(names, st.lists(values, max_size=3), st.dictionaries(names, values, max_size=3))
def test_parse_inverts_print(name: str, args: list[str], kwargs: dict[str, str]) -> None:
    spec = Spec(name, tuple(args), tuple(kwargs.items()))
    assert parse(str(spec)) == spec


@pytest.mark.parametrize(
    "text",
    ["none", "aqlm:3", "aqlm:3,finetune=e2e", "aqlm:codebooks=2,nbits=12,group=8", "int8-static:per-column,loss=mse",
     "code:n=1024,seqlen=4096", "word:0.5", 'files:"corpus/a b,*.py"', 'files:"a\\"b\\\\c"', 'x:""'],
)  # fmt: skip
def test_text_round_trips(text: str) -> None:
    assert str(parse(text)) == text


def test_quotes_only_where_they_are_needed() -> None:
    assert str(parse('files:"corpus/*.py"')) == "files:corpus/*.py"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("", "begin with a name"), (":3", "begin with a name"), ("a:", "empty"), ("a:1,,2", "empty"), ("a b", "character 2"),
     ("a:k=", "more than a value"), ("a:k=1,2", "positional"), ("a:k=1,k=2", "twice"), ('a:"b', "character 3"),
     ("a,b", "expected ':'"), ("a@b", "expected ':'")],
)  # fmt: skip
def test_what_does_not_parse_says_why(text: str, complaint: str) -> None:
    with pytest.raises(SpecError, match=complaint):
        parse(text)


def test_tasks_and_perturbations() -> None:
    assert parse_task("mceval-java") == ("mceval-java", ())
    assert parse_task("mceval-java@char+word:0.5") == ("mceval-java", (Spec("char"), Spec("word", ("0.5",))))
    for bad in ("t@", "t@a++b", "t:1", "@a"):
        with pytest.raises(SpecError):
            parse_task(bad)


@dataclass(frozen=True)
class Sample:
    name: ClassVar[str] = "sample"

    bits: int = option(4, "bits a weight")
    loss: Literal["mse", "max"] = option("mse", "what is minimised")
    ratio: float = option(0.5, "a fraction")
    fast: bool = option(False, "whether to hurry")
    path: str | None = option(None, "a file")


@dataclass(frozen=True)
class Demanding:
    glob: str
    name: ClassVar[str] = "demanding"


@given(
    st.builds(
        Sample, bits=st.integers(), loss=st.sampled_from(["mse", "max"]), fast=st.booleans(),
        ratio=st.floats(allow_nan=False, allow_infinity=False), path=st.none() | st.text(min_size=1).filter(lambda t: t != "None"),
    )
)  # fmt: skip
def test_bind_inverts_unbind(plugin: Sample) -> None:
    assert bind(parse(str(unbind(plugin))), Sample) == plugin


def test_unbind_is_the_shortest() -> None:
    assert str(unbind(Sample())) == "sample"
    assert str(unbind(Sample(bits=3))) == "sample:3"
    assert str(unbind(Sample(bits=3, fast=True))) == "sample:3,fast=true"
    assert str(unbind(Sample(ratio=0.1))) == "sample:ratio=0.1"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("sample:x", "'bits' of sample must be a whole number, not 'x'"), ("sample:loss=l2", "one of mse, max"),
     ("sample:ratio=much", "must be a number"), ("sample:fast=yes", "true or false"), ("sample:bit=3", "did you mean bits"),
     ("sample:3,bits=4", "given twice"), ("sample:1,mse,1,true,a,b", "at most 5")],
)  # fmt: skip
def test_options_that_do_not_fit(text: str, complaint: str) -> None:
    with pytest.raises(SpecError, match=complaint):
        bind(parse(text), Sample)


def test_a_required_option_is_asked_for() -> None:
    with pytest.raises(SpecError, match="demanding needs glob"):
        bind(parse("demanding"), Demanding)
    assert bind(parse("demanding:*"), Demanding) == Demanding("*")


@dataclass(frozen=True)
class Ranged:
    name: ClassVar[str] = "ranged"

    bits: int = option(4, "bits a weight", least=1, most=8)
    p: float = option(0.5, "a chance", least=0.0, most=1.0)
    percentile: float = option(99.0, "a share", above=0, most=100)
    width: int | None = option(None, "bits of activations", choices=(8, 4))
    text: str = option("", "anything")
    n: int = option(1, "sequences", least=1)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("bits=9", "bits must be 1 to 8, not 9"), ("bits=0", "bits must be 1 to 8, not 0"),
     ("p=1.5", "p must be between 0 and 1, not 1.5"), ("p=-1", "p must be between 0 and 1, not -1"),
     ("percentile=0", "percentile must be above 0 and at most 100, not 0"), ("percentile=101", "at most 100, not 101"),
     ("width=6", "width must be 8 or 4, not 6"), ("n=0", "n must be 1 or more, not 0")],
)  # fmt: skip
def test_an_option_out_of_its_range_is_named(text: str, complaint: str) -> None:
    with pytest.raises(SpecError, match=f"^ranged's .*{complaint}$"):
        bind(parse(f"ranged:{text}"), Ranged)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [(lambda: Rtn(bits=9), "rtn's bits must be 1 to 8, not 9"), (lambda: Aqlm(bits=3, beam=0), "aqlm's beam must be"),
     (lambda: Int8Dynamic(act_bits=5), "int8-dynamic's act_bits must be 8 or 4, not 5"),
     (lambda: Prose(n=0), "prose's n must be 1 or more, not 0"), (lambda: Char(p=1.5), "char's p must be between 0 and 1")],
)  # fmt: skip
def test_an_option_out_of_its_range_is_refused_in_python_too(make: Callable[[], object], complaint: str) -> None:
    with pytest.raises(SpecError, match=complaint):
        make()


def test_options_at_the_ends_of_their_ranges() -> None:
    least = bind(parse("ranged:bits=1,p=0,percentile=0.1,width=4,n=1,text=x"), Ranged)
    assert (least.bits, least.p, least.width) == (1, 0.0, 4)
    most = bind(parse("ranged:bits=8,p=1,percentile=100,width=None"), Ranged)
    assert (most.bits, most.p, most.width) == (8, 1.0, None)
