"""What a release is made of: one version, the cut of the changelog, containers, workflows."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import hilum

ROOT = Path(__file__).parents[1]


def _yaml(path):
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


@pytest.fixture
def cut():
    spec = importlib.util.spec_from_file_location("cut_release", ROOT / "tools" / "cut_release.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


@pytest.fixture
def copy(tmp_path):
    for name in ("src/hilum/__init__.py", "CITATION.cff", "CHANGELOG.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    changelog = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A verb.\n\n## [0.3.0]\n"
    (tmp_path / "CHANGELOG.md").write_text(changelog, encoding="utf-8")
    return tmp_path


def test_the_version_stands_in_one_place():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "src/hilum/__init__.py"
    assert _yaml("CITATION.cff")["version"] == hilum.__version__


def test_a_cut_gives_what_is_unreleased_its_number(cut, copy):
    cut.main(copy, "77.0.1")
    texts = {path.name: path.read_text(encoding="utf-8") for path in copy.rglob("*.*")}
    assert '\n__version__ = "77.0.1"\n' in texts["__init__.py"]
    cited = yaml.safe_load(texts["CITATION.cff"])
    assert cited["version"] == "77.0.1"
    heading = f"## [Unreleased]\n\n## [77.0.1] - {cited['date-released']}\n\n### Added\n\n- A verb."
    assert heading in texts["CHANGELOG.md"]


def test_no_cut_backwards_and_none_of_nothing(cut, copy):
    with pytest.raises(SystemExit, match="not newer"):
        cut.main(copy, "0.2.9")
    changelog = copy / "CHANGELOG.md"
    changelog.write_text("# C\n\n## [Unreleased]\n\n## [0.3.0]\n\n### Added\n\n- A.\n")
    with pytest.raises(SystemExit, match="nothing stands under"):
        cut.main(copy, "77.0.1")
    assert cut.cut("# C\n\n## [Unreleased]\n\n### In short\n\nWords.\n\n- A.\n", "1.0.0", "today")
    assert hilum.__version__ in (copy / "src/hilum/__init__.py").read_text()


def test_every_image_is_without_root_and_watches_its_server():
    text = (ROOT / "packaging" / "Containerfile").read_text(encoding="utf-8")
    stages = dict(re.findall(r"^FROM \S+ AS ([\w-]+)\n(.*?)(?=^FROM|\Z)", text, re.M | re.S))
    assert "USER 10001" in stages["base"]
    for name in ("light", "workstation", "node"):
        assert f"FROM base AS {name}\n" in text
        assert "USER" not in stages[name]
        assert ("HEALTHCHECK" in stages[name]) == ("EXPOSE" in stages[name])


def test_the_composed_server_can_write_nothing_but_its_data():
    service = _yaml("packaging/compose.yaml")["services"]["hilum"]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert [each.partition(":")[2] for each in service["volumes"]] == ["/data"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"] if "8337" in port)


@pytest.mark.parametrize(
    ("schema", "paths"),
    [
        ("compose-spec", "packaging/compose.yaml"),
        ("github-workflows", ".github/workflows/*.yml"),
        ("github-issue-config", ".github/ISSUE_TEMPLATE/config.yml"),
        ("github-issue-forms", ".github/ISSUE_TEMPLATE/[!c]*.yml"),
        ("citation-file-format", "CITATION.cff"),
    ],
)
def test_files_for_others_have_the_form_that_those_publish(schema, paths):
    files = [str(path) for path in ROOT.glob(paths)]
    assert files
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    done = subprocess.run([*command, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_rattler_build_renders_the_conda_recipe():
    rattler_build = pytest.importorskip("rattler_build")
    recipe = rattler_build.Stage0Recipe.from_file(ROOT / "packaging" / "conda" / "recipe.yaml")
    (rendered,) = recipe.render()
    assert "hilum" in repr(rendered)


def test_workflows_may_write_only_what_they_publish():
    allowed = {"docs.yml": {"pages", "id-token"}, "publish.yml": {"id-token"}, "ci.yml": set()}
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        flow = _yaml(path)
        rights = [
            flow["permissions"],
            *(job.get("permissions", {}) for job in flow["jobs"].values()),
        ]
        given = {name for each in rights for name, right in each.items() if right == "write"}
        assert given == allowed[path.name]


def test_the_conda_recipe_needs_what_the_package_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    recipe = _yaml("packaging/conda/recipe.yaml")
    run = {each.replace(" ", "") for each in recipe["requirements"]["run"]}
    named = {
        each.replace("opencv-python-headless", "py-opencv") for each in project["dependencies"]
    }
    assert run == named | {f"python{project['requires-python']}"}
    (script,) = recipe["build"]["python"]["entry_points"]
    assert script.split(" = ") == ["hilum", project["scripts"]["hilum"]]
