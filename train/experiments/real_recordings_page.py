"""The page about recordings as sources: one table over all targets, and one for each target."""

from collections.abc import Iterable

from train.tables import table_head, table_row

RECORDINGS = "recordings of the target"
Values = dict[str, float | None]
Summary = dict[str, dict[str, Values]]  # target -> system -> column -> value

NOTES = """\
Sources are recordings that nothing was trained on ({split}). *Heard by musicnn*: probability of the target's tag, the
median over clips (no tag for trumpet, saxophone, clarinet, vibraphone); the share is that of recordings. *Fréchet
distance*: of musicnn's features to such recordings of the target; beside recordings stands the distance of one half
of them to the other, the floor. *Frame F* and *note F1* (50 ms): notes heard in the output against notes heard in the
source, on the target's keys. *Vibrato* of held notes, *energy between partials* and *attack* are medians over clips.
"""


def cell(value: float | None, digits: int) -> str:
    """A number of a table, or nothing."""
    return "" if value is None else f"{value:.{digits}f}"


def share_of(values: Values, real: Values) -> float | None:
    """Tag probability as a share of that of recordings."""
    tag, real_tag = values.get("tag"), real.get("tag")
    return None if tag is None or not real_tag else tag / real_tag


def target_lines(target: str, systems: dict[str, Values]) -> list[str]:
    """Table of one target, a line for each system."""
    heads = ["", "clips", "heard by musicnn", "share", "Fréchet distance ↓", "frame F", "note F1"]
    heads += ["vibrato, cents", "rate, Hz", "between partials, dB", "attack, ms"]
    lines = ["", f"## {target}", "", *table_head(heads)]
    real = systems.get(RECORDINGS, {})
    for name, values in systems.items():
        cells = [
            name,
            cell(values["clips"], 0),
            cell(values["tag"], 2),
            cell(share_of(values, real), 2),
            cell(values["frechet"], 1),
            cell(values["frame_f"], 3),
            cell(values["note_f1"], 3),
            cell(values["vibrato_cents"], 1),
            cell(values["vibrato_hz"], 1),
            cell(values["between_partials_db"], 0),
            cell(values["attack_ms"], 0),
        ]
        lines.append(table_row(cells))
    return lines


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of the values that there are."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def overall_lines(summary: Summary) -> list[str]:
    """Table over all targets, of the systems that every target has."""
    names = [name for name in next(iter(summary.values())) if all(name in systems for systems in summary.values())]
    heads = ["mean over targets", "share of recordings' musicnn", "Fréchet distance ↓", "frame F", "note F1"]
    lines = table_head(heads)
    for name in names:
        share = mean(share_of(systems[name], systems.get(RECORDINGS, {})) for systems in summary.values())
        columns = (("frechet", 1), ("frame_f", 3), ("note_f1", 3))
        means = [cell(mean(systems[name][key] for systems in summary.values()), digits) for key, digits in columns]
        lines.append(table_row([name, cell(share, 2), *means]))
    return lines


def write_markdown(summary: Summary, split: str, limit: int | None) -> str:
    """The page."""
    which = "the held-out third" if split == "held_out" else f"split {split}"
    clips = "all clips" if limit is None else f"{limit} clips of each instrument"
    lines = ["# Recordings as sources", "", NOTES.format(split=f"{which}, {clips}"), *overall_lines(summary)]
    for target, systems in summary.items():
        lines += target_lines(target, systems)
    return "\n".join([*lines, ""])
