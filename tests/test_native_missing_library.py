"""lamina-onednn is installed, but a library of the system that it needs, such as OpenMP's, is not."""

import sys

import pytest

from lamina._kernels import native
from lamina.errors import LaminaWarning, MissingPackageError

MISSING = "libgomp.so.1: cannot open shared object file"


@pytest.fixture
def without_openmp(monkeypatch, tmp_path):
    package = tmp_path / "lamina_onednn"
    package.mkdir()
    (package / "__init__.py").write_text(f"raise OSError({MISSING!r})")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "lamina_onednn", raising=False)
    native._package.cache_clear()
    yield
    native._package.cache_clear()


def test_xla_is_used_and_one_line_says_so(without_openmp, monkeypatch):
    monkeypatch.delenv("LAMINA_KERNELS", raising=False)
    with pytest.warns(LaminaWarning, match=MISSING) as said:
        assert native.onednn() is None and native.onednn() is None
    assert len(said) == 1 and "\n" not in str(said[0].message)


def test_who_demands_onednn_gets_an_error_with_the_reason(without_openmp, monkeypatch):
    monkeypatch.setenv("LAMINA_KERNELS", "onednn")
    with pytest.raises(MissingPackageError, match=MISSING):
        native.onednn()
