"""The look that the widgets of the course share."""

SHARED = """.NAME { color: var(--jp-ui-font-color1, inherit); max-width: 62em; padding: 4px 0; }
.NAME .widget-html, .NAME .widget-html-content { height: auto; line-height: 1.4; }
.NAME p { margin: 6px 0 2px; overflow-wrap: anywhere; }
.NAME table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin-top: 8px; }
.NAME caption { text-align: left; }
.NAME th, .NAME td { text-align: left; padding: 2px 10px 2px 0;
  border-bottom: 1px solid var(--jp-border-color2, #bbb); }
"""


def style(name: str, own: str) -> str:
    """The <style> element of a widget with this CSS class: the shared rules, then its own. NAME is the class."""
    return f"<style>\n{SHARED}{own}</style>".replace("NAME", name)
