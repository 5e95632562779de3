"""The folder of compiled programs stays within its limit, also while one process goes on to write to it."""

import os
import time

from lamina._programs import cache


def size(folder):
    return sum(path.stat().st_size for path in folder.iterdir())


def test_a_process_that_writes_on_and_on_keeps_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "LIMIT", 100_000)
    entries = cache.Entries(tmp_path / "programs")
    for number in range(400):
        entries.put(f"program-{number}", bytes(1000))
        assert size(tmp_path / "programs") <= 100_000
    assert entries.get("program-399") == bytes(1000)
    assert entries.get("program-0") is None


def test_what_another_process_is_writing_stays_and_what_a_killed_one_left_goes(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "LIMIT", 10_000)
    folder = tmp_path / "programs"
    entries = cache.Entries(folder)
    fresh, old = folder / f"{'a' * 32}-part", folder / f"{'b' * 32}-part"
    for part, age in ((fresh, 60), (old, 2 * cache.ABANDONED)):
        part.write_bytes(bytes(5000))
        os.utime(part, (time.time() - age,) * 2)
    for number in range(20):
        entries.put(f"program-{number}", bytes(1000))
    assert fresh.exists()
    assert not old.exists()
