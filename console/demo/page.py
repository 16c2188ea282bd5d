"""The demonstration's page: what came out, drawn; one file that needs nothing else."""

from __future__ import annotations

import io
from typing import Any, Final

import matplotlib.dates as mdates
import pandas as pd
from jinja2 import Environment, PackageLoader, select_autoescape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from console.demo.run import ZONE, Outcome
from simulators import truth

_COLOURS: Final = {
    "read": "#2b7bba",
    "estimated": "#f0a202",
    "edited": "#7b4ea3",
    "questionable": "#c45a1b",
    "missing": "#b3261e",
    "true": "#16232e",
}
_ENERGY: Final = "active_energy_import_interval"


def rendered(outcome: Outcome, told: dict[str, Any]) -> str:
    """Give the page as HTML.

    Parameters
    ----------
    told : the figures as ``summary.told_as_json`` gives them
    """
    plots = [
        ("Every interval of 35 days, by what became of it", _funnel(outcome)),
        ("A longer gap: estimated, and scaled to the register", _gap(outcome)),
        ("A corrupted interval, found by the register and replaced", _spike(outcome)),
        ("Each estimate beside what truly flowed", _estimates(outcome)),
        ("Billed minus true, usage point by usage point", _bills(outcome)),
        ("Faults injected, and faults found", _faults(outcome)),
    ]
    environment = Environment(
        loader=PackageLoader("console", "templates"), autoescape=select_autoescape()
    )
    drawn = [(title, _svg(figure)) for title, figure in plots if figure is not None]
    return environment.get_template("demo.html").render(told=told, plots=drawn)


def _funnel(outcome: Outcome) -> Figure:
    figure, axes = _figure()
    table = outcome.reconciliation.funnel
    table = table[table["meters"].ne("all")]
    left = pd.Series(0.0, index=table.index)
    for name in ("read", "estimated", "edited", "questionable", "missing"):
        share = 100 * table[name] / table["true"]
        axes.barh(table["meters"], share, left=left, color=_COLOURS[name], label=name)
        left += share
    axes.set_xlabel("share of the true intervals [%]")
    axes.legend(ncols=3, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    return figure


def _gap(outcome: Outcome) -> Figure | None:
    return _around(outcome, "gap", lambda part: len(part) > 12)


def _spike(outcome: Outcome) -> Figure | None:
    """Draw the day of the first spike that was replaced, with what the meter had said."""
    found = outcome.reconciliation
    rows = found.intervals[found.intervals["reading_type"].eq(_ENERGY)]
    for fault in truth.faults(outcome.fleet).query("kind == 'spike'").to_dict("records"):
        mine = rows[rows["usage_point"].eq(fault["usage_point"])]
        at = mine[mine["starts_at"].eq(fault["starts_at"])]
        raw = found.raw[
            found.raw["end_device"].eq(fault["end_device"])
            & found.raw["starts_at"].eq(fault["starts_at"])
            & found.raw["reading_type"].eq(_ENERGY)
        ]
        if at["quality_class"].eq("estimated").any() and not raw.empty:
            figure = _day(mine, at["starts_at"].iloc[0], str(fault["usage_point"]))
            multiplier = outcome.fleet.meter(str(fault["end_device"])).multiplier
            _mark_raw(figure, at["starts_at"].iloc[0], int(raw["raw"].iloc[0]) * multiplier)
            return figure
    return None


def _mark_raw(figure: Figure, moment: pd.Timestamp, raw: int) -> None:
    """Mark what the meter had said, which would not fit the scale."""
    (axes,) = figure.axes
    highest = axes.get_ylim()[1]
    local = float(mdates.date2num(moment.to_pydatetime()))  # type: ignore[no-untyped-call]
    axes.axvline(local, color=_COLOURS["missing"], linewidth=0.8, linestyle=":")
    axes.annotate(
        f"the meter said {raw * 4 / 1000:,.0f} kW", (local, highest), xytext=(4, -10),
        textcoords="offset points", color=_COLOURS["missing"], fontsize=8,
    )  # fmt: skip


def _around(outcome: Outcome, kind: str, fits: Any) -> Figure | None:
    """Draw the day of the first fault of a kind whose estimated intervals fit."""
    rows = outcome.reconciliation.intervals
    rows = rows[rows["reading_type"].eq(_ENERGY)]
    for bill in outcome.reconciliation.bills.to_dict("records"):
        if kind not in str(bill["faults"]):
            continue
        mine = rows[rows["usage_point"].eq(bill["usage_point"])]
        made = mine[mine["quality_class"].eq("estimated")]
        if fits(made):
            return _day(mine, made["starts_at"].iloc[0], str(bill["usage_point"]))
    return None


def _day(mine: pd.DataFrame, moment: pd.Timestamp, name: str) -> Figure:
    """Draw two days of a usage point: recorded by class, and the truth."""
    near = mine[(mine["starts_at"] - moment).abs() < pd.Timedelta(hours=24)]
    hours = (near["starts_at"].iloc[1] - near["starts_at"].iloc[0]) / pd.Timedelta(hours=1)
    figure, axes = _figure()
    local = near["starts_at"].dt.tz_convert(ZONE)
    axes.step(local, near["true"] / 1000 / hours, where="post", color=_COLOURS["true"],
              linewidth=0.8, label="true")  # fmt: skip
    for name_, shown in (("valid", "read"), ("estimated", "estimated")):
        part = near[near["quality_class"].eq(name_)]
        axes.plot(
            part["starts_at"].dt.tz_convert(ZONE), part["recorded"] / 1000 / hours, ".",
            color=_COLOURS[shown], label=shown, markersize=3 if shown == "read" else 7,
        )  # fmt: skip
    axes.set_ylabel("mean power [kW]")
    axes.set_xlabel(f"{name}, local time")
    days = mdates.DateFormatter("%d %b\n%H:%M", tz=ZONE)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(days)
    axes.legend(fontsize=8, frameon=False)
    return figure


def _estimates(outcome: Outcome) -> Figure | None:
    rows = outcome.reconciliation.intervals
    made = rows[rows["quality_class"].eq("estimated") & rows["reading_type"].eq(_ENERGY)]
    if made.empty:
        return None
    figure, axes = _figure()
    highest = max(1.0, float(made[["true", "recorded"]].max().max()) / 1000)
    axes.plot([0.001, highest], [0.001, highest], color="#9fb0bd", linewidth=1)
    axes.loglog(
        made["true"].clip(lower=1) / 1000, made["recorded"].clip(lower=1) / 1000, ".",
        color=_COLOURS["estimated"], markersize=3, alpha=0.5,
    )  # fmt: skip
    axes.set_xlabel("true [kWh per interval]")
    axes.set_ylabel("estimated [kWh per interval]")
    return figure


def _bills(outcome: Outcome) -> Figure:
    figure, axes = _figure()
    bills = outcome.reconciliation.bills
    bills = bills[bills["difference"].notna() & bills["unit"].eq("kWh")]
    difference = bills["difference"].astype(float)
    clean = bills["faults"].eq("")
    axes.plot(bills.index[clean], difference[clean], ".", color=_COLOURS["read"],
              label="no fault", markersize=4)  # fmt: skip
    axes.plot(bills.index[~clean], difference[~clean], "x", color=_COLOURS["missing"],
              label="with faults", markersize=4)  # fmt: skip
    axes.set_ylabel("billed − true [kWh]")
    axes.set_xlabel("usage point, by number")
    axes.legend(fontsize=8, frameon=False)
    return figure


def _faults(outcome: Outcome) -> Figure:
    figure, axes = _figure()
    table = outcome.reconciliation.faults.iloc[::-1]
    names = table["kind"].str.replace("_", " ")
    axes.barh(names, table["injected"], color="#d9e1e7", label="injected")
    axes.barh(names, table["found"], color=_COLOURS["read"], height=0.5, label="found")
    axes.set_xlabel("faults")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    axes.legend(fontsize=8, frameon=False)
    return figure


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=8)
    return figure, axes


def _svg(figure: Figure) -> str:
    """Give a figure as SVG to stand inside a page."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]
