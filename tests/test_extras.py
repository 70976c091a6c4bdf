"""What a documented command imports beyond the dependencies, and the extra that brings it."""

import importlib
import re
import tomllib
from pathlib import Path

import pytest

from scaling_jax.errors import InputError
from scaling_jax.system import buckets

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]

# A command or an option as the pages write it, the packages that it imports, and the extra.
DOCUMENTED = [
    ("gs://bucket/results", {"gcsfs"}, "tpu"),
    ("gs://bucket/results", {"gcsfs"}, "gcs"),
    ("s3://", {"s3fs"}, "s3"),
    ("scripts/tpu/run", {"gcsfs", "jax[tpu]"}, "tpu"),
    ("scaling-jax compile", {"jax[tpu]"}, "tpu"),
    ("--executor ray", {"ray"}, "ray"),
    ("--executor slurm", {"submitit"}, "slurm"),
    ("--track wandb", {"wandb"}, "wandb"),
    ("--track mlflow", {"mlflow"}, "mlflow"),
    ("scaling-jax export", {"safetensors"}, "export"),
    ("images:FOLDER", {"pillow"}, "images"),
    ("images:digits", {"scikit-learn"}, "images"),
]


def brought(extra: str) -> set[str]:
    """Names of the packages of an extra, those of extras that it includes among them."""
    names: set[str] = set()
    for requirement in EXTRAS[extra]:
        name = re.split(r"[<>=!~;]", requirement)[0].strip()
        if (included := re.fullmatch(r"scaling_jax\[(.+)\]", name)) is not None:
            for each in included[1].split(","):
                names |= brought(each)
        else:
            names.add(name.lower())
    return names


@pytest.mark.parametrize(("written", "packages", "extra"), DOCUMENTED)
def test_an_extra_brings_what_a_documented_command_imports(written, packages, extra) -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    assert any(written in page.read_text() for page in pages), f"{written} is on no page"
    assert packages <= brought(extra)


def test_every_extra_that_a_page_or_script_installs_exists() -> None:
    files = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "scripts/tpu").iterdir()]
    for file in files:
        for names in re.findall(r"(?:scaling_jax|'\.|\"\.)\[([\w,]+)\]", file.read_text()):
            assert set(names.split(",")) <= set(EXTRAS), file.name


def test_packages_of_buckets_are_those_of_the_extras() -> None:
    for package, extra in buckets._PACKAGES.values():
        assert package in brought(extra)


@pytest.mark.parametrize("path", ["gs://bucket/results", "s3://bucket/results"])
def test_a_bucket_without_its_package_is_refused_with_the_extra(path, monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    buckets._prepare.cache_clear()
    with pytest.raises(InputError, match=r"pip install 'scaling_jax\[(gcs|s3)\]'"):
        buckets.check_scheme(path)
    buckets._prepare.cache_clear()


def test_other_schemes_are_refused() -> None:
    with pytest.raises(InputError, match="hdfs:// paths are not supported"):
        buckets.check_scheme("hdfs://host/results")
    buckets.check_scheme("results")
