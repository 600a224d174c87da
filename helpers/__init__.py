"""What a lesson may import.

connect     which API answers            dataset   read, check, mend, split and convert training files
tokens      exact token counts, offline  jobs      wait for a job, read its metrics, find it again
charts      figures with alt text        widgets   what a lesson shows to click on
mine        your own training file       teach     checks and quizzes
local_api   the mock API
"""

from . import tables

tables.register()
