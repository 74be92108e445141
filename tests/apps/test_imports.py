from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest

HEAVY = {
    "torch",
    "pandas",
    "onnxruntime",
    "matplotlib",
    "sklearn",
    "scipy",
    "fastapi",
    "cv2",
    "pydicom",
    "numpy",
    "pynetdicom",
}


def _loaded_after(code):
    code += "; import json, sys; print('LOADED', json.dumps(sorted(sys.modules)))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.rpartition("LOADED")[2]))


@pytest.mark.parametrize("code", ["import hilum", "import hilum; dir(hilum)"])
def test_import_hilum_loads_nothing_heavy(code):
    assert not _loaded_after(code) & HEAVY


def test_reading_loads_no_training_and_no_tables(small_bundle, films):
    arguments = ["read", "--json", "--bundle", str(small_bundle), str(films / "a.png")]
    loaded = _loaded_after(f"from hilum.apps.cli.main import run; run({arguments!r})")
    assert "onnxruntime" in loaded
    assert not loaded & {
        "torch",
        "pandas",
        "matplotlib",
        "sklearn",
        "scipy",
        "pydicom",
        "pynetdicom",
    }


def test_a_verb_loads_no_other_verb(small_bundle, films):
    arguments = ["read", "--json", "--bundle", str(small_bundle), str(films / "a.png")]
    loaded = _loaded_after(f"from hilum.apps.cli.main import run; run({arguments!r})")
    assert not {name for name in loaded if name.startswith("hilum.apps.cli.")} - {
        "hilum.apps.cli.main",
        "hilum.apps.cli.options",
        "hilum.apps.cli.read",
        "hilum.apps.cli.sinks",
        "hilum.apps.cli.streams",
    }


def test_the_workstation_loads_no_dicom_network():
    loaded = _loaded_after("import hilum.apps.web.serve, hilum.apps.node.run")
    assert "fastapi" in loaded
    assert "pynetdicom" not in loaded


def test_a_worker_loads_no_migrations():
    """It opens the store that its server has brought up to date."""
    loaded = _loaded_after("import hilum.apps.web.worker, hilum.apps.store.store")
    assert "sqlalchemy" in loaded
    assert "alembic" not in loaded


def test_torchvision_is_absent():
    assert find_spec("torchvision") is None


_WITHOUT_EXTRAS = """
import sys
from hilum.core.extras import EXTRAS
for module in {each for modules in EXTRAS.values() for each in modules}:
    sys.modules[module] = None  # an import of it fails, as where it was never installed
import hilum
from hilum.apps.cli.main import run
from hilum.core.errors import MissingExtraError
try:
    hilum.read_cohort
except MissingExtraError as error:
    print(error.hint)
film, bundle, out = sys.argv[1:]
print("CODES", *[run(arguments) for arguments in (
    ["show", film], ["read", film, "-b", bundle, "--html", out + "/a.html", "--pdf", out],
    ["explain", film, "-b", bundle, "-o", out], ["bundle", "show", "-b", bundle],
    ["cohort", "list"], ["cohort", "read", "csv", out, "-o", out + "/cases.csv"],
)])
"""


def test_the_light_install_does_its_work_and_names_the_extra_of_the_rest(
    small_bundle, films, tmp_path
):
    command = [sys.executable, "-c", _WITHOUT_EXTRAS]
    command += map(str, (films / "a.png", small_bundle, tmp_path))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.rpartition("CODES ")[2] == "0 0 0 0 0 8\n", done.stdout + done.stderr
    assert done.stdout.startswith("pip install 'hilum[evaluate]'")
    assert "this command needs pandas: not installed" in done.stderr
