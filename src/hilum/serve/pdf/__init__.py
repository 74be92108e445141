"""PDF: readings as pages to print, one film a page."""

from hilum.serve.pdf.report import PAGES, Page, PdfReport, write_pdf
from hilum.serve.pdf.sheet import Sheet

__all__ = ["PAGES", "Page", "PdfReport", "Sheet", "write_pdf"]
