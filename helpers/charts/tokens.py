"""Bars of the likeliest next tokens, before and after tuning."""

import pandas

from .chart import INK, TRAINING, VALIDATION, Chart, axes_of, new_figure

COLORS_AND_HATCHES = ((TRAINING, ""), (VALIDATION, "///"))


def next_tokens(tokens: pandas.DataFrame, title: str) -> Chart:
    """The likeliest next tokens of one or two models, a panel each; the bars of the second are hatched.

    ``tokens`` has the columns model, rank (from 1), token and probability (0 to 1). Models keep the order in which
    they come. A · stands for a space and a ⏎ for a line break. Raises ValueError for more than two models.
    """
    models = list(dict.fromkeys(tokens["model"]))
    if not 1 <= len(models) <= len(COLORS_AND_HATCHES):
        raise ValueError(f"One or two models can be drawn, not {len(models)}.")
    table = tokens.sort_values("rank", kind="stable").reset_index(drop=True)
    table["token"] = table["token"].map(visible)
    most = int(table["model"].value_counts().max())
    figure = new_figure(1.3 + 0.3 * most)
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=12)
    said = []
    for number, (model, (color, hatch)) in enumerate(zip(models, COLORS_AND_HATCHES, strict=False), start=1):
        rows = table[table["model"] == model]
        names, shares = list(rows["token"]), list(rows["probability"])
        axes = axes_of(figure, model, "Probability, %", "Next token", panel=(1, len(models), number))
        axes.barh(range(len(rows)), [100 * share for share in shares], 0.75, color=color, hatch=hatch)
        for place, share in enumerate(shares):
            end = {"xytext": (3, 0), "textcoords": "offset points", "va": "center", "fontsize": 9}
            axes.annotate(f"{share:.1%}", (100 * share, place), color=INK, **end)
        axes.set_yticks(range(len(rows)), names)
        axes.set_ylim(most - 0.4, -0.6)
        axes.set_xlim(0, 118)  # room for the number behind a bar of 100 %
        axes.grid(visible=False, axis="y")
        bars = ", ".join(f"{name} {share:.1%}" for name, share in zip(names, shares, strict=True))
        said.append(f"{model}: {bars}.")
    return Chart(figure, table, f"Bar charts: {title}. {' '.join(said)}")


def visible(token: str) -> str:
    """The token with its spaces and line breaks made visible."""
    return token.replace(" ", "·").replace("\n", "⏎")
