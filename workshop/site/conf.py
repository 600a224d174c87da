"""What Sphinx is told. The folder that it reads is made by pages.py."""

from pathlib import PurePosixPath

project = html_title = "Fine-tune chat models: a hands-on course"
extensions = ["myst_nb"]
html_theme = "sphinx_book_theme"
html_copy_source = False
html_theme_options = {
    "home_page_in_toc": True,
    "navbar_persistent": [],  # the search is in the list at the side
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
}
nb_execution_mode = "off"  # the outputs are those that the tests compare
nb_ipywidgets_js = {}  # no output holds a widget, and these scripts would come from another machine
myst_heading_anchors = 3
myst_enable_extensions = []  # a dollar is a dollar
highlight_language = "none"  # a block of code that names no language is a command or a formula


def setup(app):
    """Each page says which language it is written in."""
    app.connect("html-page-context", _set_language)


def _set_language(app, pagename, templatename, context, doctree):
    folder = PurePosixPath(pagename).parent
    if folder.parent.name == "notebooks":
        context["language"] = folder.name
