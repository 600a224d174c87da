"""Every defect that the checker knows, one entry each: see helpers/dataset/codes.py. Reports keep this order."""

from . import file, shape, tools, images, preferences, rows, texts  # noqa: F401, I001 - the order is that of reports
