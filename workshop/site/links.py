"""Looks at all links of a built site, without a network: what is not in the site itself is not followed."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"img": "src", "script": "src", "iframe": "src", "source": "src", "link": "href"}


class Page(HTMLParser):
    """What a page of HTML names: ``ids`` of its places, ``links`` it offers, ``loaded`` what it cannot do without."""

    def __init__(self, text: str):
        super().__init__()
        self.ids, self.links, self.loaded = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.ids |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if given.get(LOADED.get(tag, "")):
            self.loaded.append(given[LOADED[tag]])


def problems(folder: Path) -> list[str]:
    """A sentence for each link that leads nowhere in the site, and for all that a page loads from elsewhere."""
    files = [path for path in sorted(folder.rglob("*.html")) if "_static" not in path.parts]  # no pages there
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in files}
    found = []
    for path, page in pages.items():
        name = path.relative_to(folder).as_posix()
        found += [f"{name} loads {link}" for link in page.loaded if urlsplit(link).netloc]
        for link in dict.fromkeys([*page.links, *page.loaded]):
            if reason := _fault(path, link, pages):
                found.append(f"{name}: {link} {reason}")
    return found


def _fault(page: Path, link: str, pages: dict[Path, Page]) -> str:
    """Why a link leads nowhere; "" if it does not, or leads out of the site."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return ""
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not target.is_file():
        return "is not there"
    if parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
        return "has no such place"
    return ""
