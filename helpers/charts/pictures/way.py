"""The way from file to answer: the lessons as stations, one of them marked "you are here"."""

from dataclasses import dataclass

from . import svg

WIDTH, HEIGHT = 780, 466
MARK = "you are here"


@dataclass(frozen=True)
class Station:
    """A lesson as a box of the picture: where it lies, its name, and what is done or made there."""

    key: str
    name: str
    what: str
    x: float
    y: float
    width: float
    height: float

    def heads(self) -> list[str]:
        """The words in bold type, a text for each line."""
        if not self.what:
            return [f"{self.key} {self.name}"]
        return [self.key, self.name] if self.key.isdigit() else [self.name]


STATIONS = (
    Station("00", "Start here: the whole way, once", "", 138, 48, 504, 40),
    Station("01", "Decide", "tune or not?", 8, 104, 114, 86),
    Station("02", "Prepare", "a JSONL file", 138, 104, 114, 86),
    Station("03", "Upload", "file-…", 268, 104, 114, 86),
    Station("04", "Create", "a job trains", 398, 104, 114, 86),
    Station("05", "Use", "ft:… answers", 528, 104, 114, 86),
    Station("06", "Find out", "is it better?", 658, 104, 114, 86),
    Station("07", "Count cost", "is it worth it?", 8, 238, 140, 86),
    Station("08", "Choose", "tune, retrieve?", 164, 238, 140, 86),
    Station("clinic", "Clinic", "what went wrong?", 320, 238, 140, 86),
    Station("09", "Real model", "own computer", 476, 238, 140, 86),
    Station("10", "Carry on", "other services", 632, 238, 140, 86),
    Station("11", "Reward", "pairs, graders", 8, 372, 140, 86),
    Station("12", "Grow", "8 billion", 164, 372, 140, 86),
)
MAIN = [station for station in STATIONS if "01" <= station.key <= "06"]


def picture(here: str) -> svg.Picture:
    """The picture for one station: "00" to "12", or "clinic". Raises KeyError for another one."""
    marked = {station.key: station for station in STATIONS}[here]
    body = svg.words(8, 30, "From file to answer", size=17, bold=True)
    body += svg.box(130, 40, 520, 158, fill=svg.PALE, edge=svg.PALE)
    for before, after in zip(MAIN, MAIN[1:], strict=False):
        level = before.y + before.height / 2
        body += svg.arrow((before.x + before.width, level), (after.x, level))
    body += svg.words(8, 214, "Around it") + svg.words(476, 214, "The same again")
    body += svg.words(8, 348, "Beyond examples")
    body += "".join(_drawn(station, station is marked) for station in STATIONS)
    return svg.page(WIDTH, HEIGHT, f"From file to answer: {MARK}, {_called(marked)}", _alt(marked), body)


def _drawn(station: Station, is_here: bool) -> str:
    middle, heads = station.x + station.width / 2, station.heads()
    ink = svg.WHITE if is_here else svg.INK
    ground = {"fill": svg.HERE, "stroke": 4} if is_here else {}
    first = station.y + (28 if len(heads) == 2 else 37 if station.what else 26)
    drawn = svg.box(station.x, station.y, station.width, station.height, **ground)
    drawn += svg.words(middle, first, heads, bold=True, fill=ink, middle=True)
    if station.what:
        foot = first + svg.LINE * len(heads)
        drawn += svg.words(middle, foot, station.what, size=14, fill=ink, middle=True)
    if is_here:
        drawn += svg.box(middle - 56, station.y - 17, 112, 24, fill=svg.SIGN, stroke=2)
        drawn += svg.words(middle, station.y, MARK, size=14, bold=True, middle=True)
    return drawn


def _called(station: Station) -> str:
    name = station.name.partition(":")[0]
    return f"lesson {station.key}, {name}" if station.key.isdigit() else name


def _alt(marked: Station) -> str:
    main, around, again, beyond = (
        ", ".join(" ".join(station.heads()) for station in stations)
        for stations in (MAIN, STATIONS[7:10], STATIONS[10:12], STATIONS[12:])
    )
    here = _called(marked) + (f" ({marked.what})" if marked.what else "")
    return (
        f"You are here: {here}. From file to answer: {main}. Around it: {around}. The same again: {again}. "
        f"Beyond examples: {beyond}."
    )
