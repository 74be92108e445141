"""What OHIF shows of a film and its results, from an Orthanc: SR, SEG, SC and PDF.

OHIF comes from its npm package; with ``HILUM_PICTURES=FOLDER`` the pages are kept there as PNG.
"""

from __future__ import annotations

import mimetypes
import os
import shutil
import subprocess
import tarfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian

from hilum.apps.cli.main import run
from hilum.serve.samples import ROOT

from .conftest import stand_in, wait_for

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.slow

PACKAGE = "@ohif/app@3.12.10"
WANTED = {"dx": (100_000, 0), "sr": (100_000, 1000), "seg": (50_000, 50_000), "sc": (50_000, 500)}
"""Bright grey and colored pixels of the viewport, at least, of what is shown."""
CONFIG = """window.config = {
  routerBasename: '/', extensions: [], modes: [], showStudyList: true, maxNumberOfWebWorkers: 2,
  showWarningMessageForCrossOrigin: false, showCPUFallbackMessage: false,
  showLoadingIndicator: true, investigationalUseDialog: {option: 'never'},
  defaultDataSourceName: 'orthanc',
  dataSources: [{
    namespace: '@ohif/extension-default.dataSourcesModule.dicomweb', sourceName: 'orthanc',
    configuration: {
      friendlyName: 'Orthanc', name: 'orthanc', qidoRoot: '/dicom-web', wadoRoot: '/dicom-web',
      wadoUriRoot: '/wado', qidoSupportsIncludeField: false, imageRendering: 'wadors',
      thumbnailRendering: 'wadors', enableStudyLazyLoad: true, supportsFuzzyMatching: false,
      supportsWildcard: true, omitQuotationForMultipartRequest: true,
      bulkDataURI: {enabled: true, relativeResolution: 'studies'},
    },
  }],
};
"""


@pytest.fixture(scope="module")
def ohif(tmp_path_factory):
    """Return the folder of OHIF's pages."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("ohif")
    packed = subprocess.run([npm, "pack", PACKAGE], cwd=folder, capture_output=True, timeout=300)
    if packed.returncode:
        pytest.skip(f"no {PACKAGE} to be had")
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package" / "dist"


@contextmanager
def served(pages, orthanc):
    """Serve OHIF, and the DICOMweb of an Orthanc beside it, as one server in front of both does."""
    given = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path.startswith("/dicom-web"):
                wanted = {name: self.headers[name] for name in ("Accept", "Host")}
                url = f"http://127.0.0.1:{orthanc.http}{self.path}"
                answer = httpx.get(url, headers=wanted, timeout=120)
                given.append(answer.content[:2000])  # a multipart may begin otherwise
                self._say(answer.status_code, answer.headers["content-type"], answer.content)
                return
            place = pages / self.path.partition("?")[0].strip("/")
            place = place if place.is_file() else pages / "index.html"
            kind = mimetypes.guess_type(place.name)[0] or "application/octet-stream"
            plain = CONFIG.encode() if place.name == "app-config.js" else place.read_bytes()
            self._say(200, kind, plain)

        def _say(self, status, kind, body):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
            self.end_headers()
            self.wfile.write(body)

    with stand_in(Handler) as base:
        yield base, given


def test_ohif_shows_outlines_segments_the_picture_and_the_report(
    ohif, make_orthanc, chromium_path, tmp_path
):
    film = dcmread(ROOT / "frontal.dcm")
    grey = cv2.imread(str(ROOT / "frontal-opacities.png"), cv2.IMREAD_GRAYSCALE)
    film.PixelData = ((255 - grey).astype(np.uint16) * 16).tobytes()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.save_as(tmp_path / "film.dcm")
    out = ["--dicom", str(tmp_path / "out"), "--objects", "sr,seg,sc,pdf"]
    assert run(["read", str(tmp_path / "film.dcm"), *out]) == 0
    orthanc = make_orthanc(dicomweb=True)
    orthanc.start()
    series = {}
    for path in (tmp_path / "film.dcm", *(tmp_path / "out").iterdir()):
        dataset = dcmread(path, stop_before_pixels=True)
        series[path.stem.partition(".")[2] or "dx"] = dataset.SeriesInstanceUID
        url = f"http://127.0.0.1:{orthanc.http}/instances"
        assert httpx.post(url, content=path.read_bytes(), timeout=60).status_code == 200
    pictures = Path(os.environ.get("HILUM_PICTURES", tmp_path))
    errors, shown = [], {}
    with served(ohif, orthanc) as (base, given), playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(
            executable_path=chromium_path,
            args=["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"],
        )
        page = browser.new_page(viewport={"width": 1366, "height": 900})
        page.set_default_timeout(240_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        study = f"{base}/viewer?StudyInstanceUIDs={film.StudyInstanceUID}"
        for kind in ("dx", "sr", "seg", "sc"):
            # without a series, the film must be what is opened first
            page.goto(study + (f"&initialSeriesInstanceUID={series[kind]}" if kind != "dx" else ""))
            if kind == "dx":
                page.get_by_text("Skip all").click()
            picture = pictures / f"ohif-{kind}.png"
            grey, colored = WANTED[kind]
            wait_for(lambda: _is_shown(page, picture, grey, colored))  # noqa: B023
            if kind == "seg":  # OHIF leaves "Loading..." over it until it is opened
                page.get_by_role("button", name="Yes", exact=True).dispatch_event("click")
                page.get_by_text("Loading...").wait_for(state="hidden")
            page.wait_for_timeout(2000)
            page.screenshot(path=str(picture))
            shown[kind] = _seen(picture)
        page.goto(f"{study}&initialSeriesInstanceUID={series['pdf']}")
        wait_for(lambda: any(b"%PDF-" in each for each in given))  # a headless one draws none
        browser.close()
    assert errors == []
    assert shown["dx"][1] < 500, "the film is opened first, and not the picture of it"
    assert shown["sr"][1] > 1000
    assert shown["seg"][1] > 50_000


def _is_shown(page, picture, grey, colored):
    page.screenshot(path=str(picture))
    found = _seen(picture)
    return found[0] >= grey and found[1] >= colored


def _seen(picture):
    """Count the pixels of the viewport that are grey and bright, or colored."""
    shown = cv2.imread(str(picture)).astype(int)[170:860, 300:1310]
    colored = np.ptp(shown, axis=2) > 60
    return int((~colored & (shown.min(axis=2) > 60)).sum()), int(colored.sum())
