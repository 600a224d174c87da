"""The course as a site: its pages are made of the notebooks and of the Markdown files that are there."""

from workshop.minutes import ROOT

FOLDER = ROOT / "handouts" / "site"
