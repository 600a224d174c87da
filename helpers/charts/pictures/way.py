"""The way from file to answer: the lessons as stations, one of them marked "you are here"."""

from dataclasses import dataclass

from . import svg

WIDTH, HEIGHT = 780, 424
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

    @property
    def is_small(self) -> bool:
        """Whether number, name and what is made have a line each."""
        return self.width < 150

    def lines(self) -> list[str]:
        """The words in the box; the last line is what is done or made there."""
        number = [self.key] if self.key.isdigit() else []
        return (
            [*number, self.name, self.what] if self.is_small else [" ".join([*number, self.name]), self.what]
        )


STATIONS = (
    Station("00", "Start here", "the whole way, once", 138, 46, 504, 60),
    Station("01", "Decide", "tune or not?", 8, 122, 114, 86),
    Station("02", "Prepare", "a JSONL file", 138, 122, 114, 86),
    Station("03", "Upload", "file-…", 268, 122, 114, 86),
    Station("04", "Create", "a job trains", 398, 122, 114, 86),
    Station("05", "Use", "ft:… answers", 528, 122, 114, 86),
    Station("06", "Find out", "is it better?", 658, 122, 114, 86),
    Station("07", "Count the cost", "is it worth it?", 8, 258, 244, 60),
    Station("08", "Choose", "tune, retrieve, or neither?", 268, 258, 244, 60),
    Station("clinic", "Clinic", "it trained, but …", 528, 258, 244, 60),
    Station("09", "Train a real model", "the same, on your own computer", 8, 358, 374, 60),
    Station("10", "Carry on", "the same, at another service", 398, 358, 374, 60),
)
MAIN = [station for station in STATIONS if station.is_small]


def picture(here: str) -> svg.Picture:
    """The picture for one station: "00" to "10", or "clinic". Raises KeyError for another one."""
    marked = {station.key: station for station in STATIONS}[here]
    body = svg.words(8, 30, "From file to answer", size=17, bold=True)
    body += svg.box(130, 38, 520, 178, fill=svg.PALE, edge=svg.PALE)
    for before, after in zip(MAIN, MAIN[1:], strict=False):
        level = before.y + before.height / 2
        body += svg.arrow((before.x + before.width, level), (after.x, level))
    body += svg.words(8, 242, "Around it") + svg.words(8, 342, "The same again")
    body += "".join(_drawn(station, station is marked) for station in STATIONS)
    return svg.page(WIDTH, HEIGHT, f"From file to answer: {MARK}, {_called(marked)}", _alt(marked), body)


def _drawn(station: Station, is_here: bool) -> str:
    middle = station.x + station.width / 2
    *heads, what = station.lines()
    ink = svg.WHITE if is_here else svg.INK
    ground = {"fill": svg.HERE, "stroke": 4} if is_here else {}
    first = station.y + (28 if station.is_small else 30)
    drawn = svg.box(station.x, station.y, station.width, station.height, **ground)
    drawn += svg.words(middle, first, heads, bold=True, fill=ink, middle=True)
    drawn += svg.words(middle, first + svg.LINE * len(heads), what, size=14, fill=ink, middle=True)
    if is_here:
        drawn += svg.box(middle - 56, station.y - 17, 112, 24, fill=svg.SIGN, stroke=2)
        drawn += svg.words(middle, station.y, MARK, size=14, bold=True, middle=True)
    return drawn


def _called(station: Station) -> str:
    return f"lesson {station.key}, {station.name}" if station.key.isdigit() else station.name


def _alt(marked: Station) -> str:
    said = {station.key: f"{station.name}: {station.what}" for station in STATIONS}
    main = "; ".join(f"{station.key} {said[station.key]}" for station in MAIN)
    return (
        f"You are here: {_called(marked)}. The way from file to answer: {main}. "
        f"00 goes the way from 02 to 05 once. Around it: 07 {said['07']} 08 {said['08']} "
        f"{said['clinic']} The same again: 09 on your own computer with a real model, 10 at another service."
    )
