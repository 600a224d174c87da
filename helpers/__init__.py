"""What a lesson may import.

connect     which API answers            dataset   read, check, mend, split and convert training files
tokens      exact token counts, offline  jobs      wait for a job, read its metrics, find it again
charts      figures with alt text        widgets   what a lesson shows to click on
mine        your own training file       teach     checks and quizzes
local_api   the mock API                 timetable the airport's flights, and queries for them
"""

import os

from . import tables


def command_line(module: str) -> str:
    """What runs a module of the course in a terminal, in the folder of the course.

    ".venv/bin/python -m helpers.dataset"; on Windows with backslashes. Plain "python" is another one, which lacks the
    packages.
    """
    python = r".venv\Scripts\python" if os.name == "nt" else ".venv/bin/python"
    return f"{python} -m {module}"


tables.register()
