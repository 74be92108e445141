"""PDF: readings as pages to print, one film a page."""

from hilum.serve.pdf.blocks import PdfPage
from hilum.serve.pdf.report import PAGES, Page, PdfReport, write_pdf

__all__ = ["PAGES", "Page", "PdfPage", "PdfReport", "write_pdf"]
