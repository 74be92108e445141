"""PDF: readings as pages to print, one film a page."""

from hilum.serve.pdf.blocks import Sheet
from hilum.serve.pdf.report import PAGES, Page, PdfReport, write_pdf

__all__ = ["PAGES", "Page", "PdfReport", "Sheet", "write_pdf"]
