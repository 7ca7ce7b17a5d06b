"""Resources are found in a checkout and in a wheel; the user's own folders follow the platform or one variable."""

import shutil
import subprocess
import sys
from pathlib import Path

from faceeditor.resources import HOME_VARIABLE, resource_path, user_config_dir, user_data_dir

ROOT = Path(__file__).resolve().parent.parent


def test_in_a_checkout():
    assert resource_path("README.md") == ROOT / "resources" / "README.md"
    assert resource_path("README.md").is_file()


def test_in_a_wheel(tmp_path):
    package = tmp_path / "faceeditor"
    package.mkdir()
    for name in ("__init__.py", "resources.py"):
        shutil.copy(ROOT / "faceeditor" / name, package)
    (package / "_resources").mkdir()
    code = "from faceeditor.resources import resource_path; print(resource_path('models', 'a'))"
    said = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(said.stdout.strip()) == package.resolve() / "_resources" / "models" / "a"


def test_the_user_may_choose_the_folder(user_home):
    assert user_data_dir() == user_home / "data"
    assert user_config_dir() == user_home / "config"


def test_otherwise_the_platform_chooses(monkeypatch):
    monkeypatch.delenv(HOME_VARIABLE)
    assert user_data_dir().name == user_config_dir().name == "FaceEditor" or sys.platform == "darwin"
    assert Path.home() in user_data_dir().parents
