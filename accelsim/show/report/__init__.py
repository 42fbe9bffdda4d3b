"""A result or sweep as one HTML file."""

from accelsim.show.report.page import report_html

__all__ = ["report_html"]
