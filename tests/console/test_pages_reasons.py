"""Whatever the record can give as a reason is said in both languages, in the place's own time."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from console.pages import finding_figures, language, reasons
from console.pages.language import Language
from console.pages.showing import Reader
from validation import failures

MDM = Path(__file__).parents[2] / "mdm"
SOURCES = (
    *sorted(MDM.glob("determinants/*.py")),
    *(MDM / f"{name}.py" for name in ("cycle_gates", "acknowledgement")),
)
NOT_REASONS = (
    # Names of parts of a bill, and of bills.
    ".*? min", ".*? #.*?", ".*? .*?", ".*?/.*? .*?", ".*?, version .*?",
    ".*? to .*? decimals", "; ",
)  # fmt: skip
PIECES = (
    " one after another", " that moves by .*? s", " inside its time-of-use periods", " from .*?",
    ".*? to .*?", ".*? .*? a day, .*? had .*?", "last year's same period", "the last period",
    ".*? UTC", ".*?; .*?", ", .*?", " ",
)  # fmt: skip
"""What others are put together from."""

NOW = datetime(2026, 6, 5, 6, tzinfo=UTC)


def reader(chosen: Language) -> Reader:
    return Reader(chosen, ZoneInfo("Asia/Kuwait"), NOW)


def visible(markup: str) -> str:
    return unescape(re.sub(r"<[^>]+>", "", markup))


def written(node: ast.expr) -> str | None:
    """Give a pattern of the texts that an expression makes; None if it is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.escape(node.value)
    if isinstance(node, ast.JoinedStr):
        parts = (written(part) or ".*?" for part in node.values)
        return re.sub(r"(\.\*\?)+", ".*?", "".join(parts))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = written(node.left), written(node.right)
        if left or right:
            return f"{left or '.*?'}{right or '.*?'}"
    return None


def texts(node: ast.AST) -> Iterator[str]:
    """List the texts with a blank in them that code makes, but for exceptions and docstrings."""
    if isinstance(node, ast.Raise | ast.AnnAssign) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ):
        return
    pattern = written(node) if isinstance(node, ast.expr) else None
    if pattern is not None:
        if " " in re.sub(r"\\(.)", r"\1", pattern):
            yield pattern
        return
    for child in ast.iter_child_nodes(node):
        yield from texts(child)


def failed_deliveries() -> Iterator[str]:
    """List what says why a delivery failed."""
    for file in sorted(MDM.glob("delivery*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            made = node.exc if isinstance(node, ast.Raise) else None
            if (
                isinstance(made, ast.Call)
                and isinstance(made.func, ast.Name)
                and made.func.id == "DeliveryError"
                and (pattern := written(made.args[0]))
            ):
                yield pattern


def reasons_of_mdm() -> set[str]:
    found = set()
    for file in SOURCES:
        tree = ast.parse(file.read_text("utf-8"))
        for body in tree.body:
            if isinstance(body, ast.FunctionDef | ast.ClassDef):
                found |= set(texts(body))
    unescaped = {pattern: re.sub(r"\\(.)", r"\1", pattern) for pattern in found}
    return {pattern for pattern, text in unescaped.items() if text not in NOT_REASONS}


def test_whatever_the_record_says_has_a_form() -> None:
    examples = [form.example for form in reasons.forms()]
    unknown = [
        pattern
        for pattern in sorted({*reasons_of_mdm(), *failed_deliveries()})
        if re.sub(r"\\(.)", r"\1", pattern) not in PIECES
        and not any(re.fullmatch(pattern, example) for example in examples)
    ]
    assert unknown == [], "add a row to console/reasons.csv for each"


def test_no_form_is_of_what_nothing_says_any_more() -> None:
    patterns = {
        re.compile(pattern)
        for file in MDM.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.JoinedStr | ast.Constant | ast.BinOp)
        and (pattern := written(node))
        and re.search("[a-z] ?", pattern)
    }
    # Whose it is stands before anything.
    lost = [
        form.text
        for form in reasons.forms()
        if form.text != "{subject:name}: {rest:reason}"
        and not any(pattern.fullmatch(form.example) for pattern in patterns)
    ]
    assert lost == []


@pytest.mark.parametrize("form", reasons.forms(), ids=lambda form: form.text)
def test_every_form_is_said_in_both_languages_with_all_its_figures(form: reasons.Form) -> None:
    assert reasons.recognised(form.example)
    english, arabic = (visible(reasons.said(reader(each), form.example)) for each in ("en", "ar"))
    for text in (english, arabic):
        assert "{" not in text
        assert "UTC" not in text
    # Names, units and hours of the day are all that may be Latin.
    rest = re.sub(r"M-1|kWh|kw-residential|MIQYAS_\w+|SFTP|PEM|UTF-8|CSV|SHA-256|https", "", arabic)
    assert not re.search(r"[A-Za-z]{2,}", rest), arabic
    for figure in re.findall(r"\d+(?:\.\d+)?", re.sub(r"\d{4}-\d\d-\d\d.*", "", form.example)):
        if "seconds" not in form.kinds.values():
            assert figure in arabic, figure
            assert figure in english, figure


def test_a_reason_is_said_in_the_time_of_its_place() -> None:
    stored = (
        "M-7; A has no usable reading at the end, 2026-06-01 21:00 UTC; "
        "3 intervals are missing; what the receiver says <b>"
    )
    english = reasons.said(reader("en"), stored)
    assert visible(english) == (
        "M-7; A has no usable reading at the end, 2026-06-02 00:00; "
        "3 intervals are missing; what the receiver says <b>"
    )
    assert "<b>" not in english
    arabic = reasons.said(reader("ar"), stored, "Europe/Berlin")
    assert "2026-06-01 23:00 Europe/Berlin" in arabic
    assert "الفترات المفقودة" in arabic
    assert '<bdi lang="en">what the receiver says &lt;b&gt;</bdi>' in arabic


def test_what_somebody_else_wrote_in_arabic_is_not_called_english() -> None:
    assert reasons.said(reader("en"), "لا حساب") == "<bdi>لا حساب</bdi>"


def test_every_rules_figures_have_a_unit() -> None:
    assert set(finding_figures.MEASURES) == set(failures.NAMES)
    words = language.words("ar")
    assert {"figure_unit:hours", "figure_unit:days", "figure_unit:slots"} <= set(words)
