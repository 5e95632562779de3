"""A simulated disk whose power is cut: what a folder may hold afterwards, for each moment of the cut.

A disk keeps a file's content surely only once the file was forced onto it (fsync), and a name in a folder only once the
folder was. What was not forced may be there or not, in any combination, and a file's content may be the old one, the
new one, the new one's beginning, nothing or zeros. One call (a rename, an exchange of two names) is done or not done.
"""

import itertools
import os
import sys
import threading
from pathlib import Path

CALLS = {
    *("open", "write", "writelines", "truncate", "close", "flush", "fsync", "replace", "rename", "link", "symlink"),
    *("unlink", "remove", "mkdir", "rmdir"),
}
"""The functions after which the folder is looked at again."""


class Disk:
    """Records what happens in a folder.

    The events are ("data", inode, content), ("names", {(folder's inode, name): inode or None}) and ("sync", inode).
    """

    def __init__(self, root):
        self.root, self.events, self.inodes, self.kept = Path(root), [], {}, []
        self.lock = threading.Lock()
        self.look()
        self.before = dict(self.inodes)
        self.top = self.root.stat().st_ino
        self.events.clear()

    def look(self):
        """Find what has changed since the last look."""
        found = {}
        self._find(self.root, found)
        changes = {}
        for inode, now in found.items():
            was = self.inodes.get(inode, {} if isinstance(now, dict) else None)
            if isinstance(now, dict):
                names = {name: now.get(name) for name in was.keys() | now.keys() if was.get(name) != now.get(name)}
                changes.update({(inode, name): target for name, target in names.items()})
            elif now != was:
                self.events.append(("data", inode, now))
        if changes:
            self.events.append(("names", changes))
        self.inodes.update(found)

    def _find(self, folder, found):
        names = found[self._keep(folder)] = {}
        for entry in os.scandir(folder):
            path = Path(entry.path)
            try:
                if entry.is_dir(follow_symlinks=False):
                    names[entry.name] = path.stat().st_ino
                    self._find(path, found)
                else:
                    inode = names[entry.name] = self._keep(path)
                    found[inode] = path.read_bytes()
            except FileNotFoundError:  # removed by another thread in this instant
                names.pop(entry.name, None)

    def _keep(self, path):
        """The inode's number, which is given to no other file while this one is open."""
        inode = path.stat().st_ino
        if inode not in self.inodes:
            self.kept.append(real_open(path, os.O_RDONLY))
        return inode

    def profile(self, frame, event, function):
        if event == "c_return" and getattr(function, "__name__", "") in CALLS and self.lock.acquire(blocking=False):
            try:
                self.look()
            finally:
                self.lock.release()

    def fsync(self, descriptor):
        real_fsync(descriptor)
        with self.lock:
            self.look()
            self.events.append(("sync", os.fstat(descriptor).st_ino))


real_open, real_fsync = os.open, os.fsync


def record(folder, action):
    """The disk on which `action` ran."""
    disk = Disk(folder)
    os.fsync = disk.fsync
    threading.setprofile(disk.profile)
    sys.setprofile(disk.profile)
    try:
        action()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
        os.fsync = real_fsync
        disk.look()
        for descriptor in disk.kept:
            os.close(descriptor)
    return disk


def after_cut(disk, moment):
    """All folders, as {path: content}, that a cut after the first `moment` events may leave."""
    names = {inode: dict(kept) for inode, kept in disk.before.items() if isinstance(kept, dict)}
    sure = {inode: kept for inode, kept in disk.before.items() if isinstance(kept, bytes)}
    latest, pending = {}, []
    for kind, *event in disk.events[:moment]:
        if kind == "data":
            latest[event[0]] = event[1]
        elif kind == "names":
            pending.append(event[0])
        elif event[0] in latest:
            sure[event[0]] = latest.pop(event[0])
        else:
            done = [changes for changes in pending if {inode for inode, _ in changes} == {event[0]}]
            pending = [changes for changes in pending if changes not in done]
            for changes in done:
                _apply(names, changes)
    for chosen in itertools.product((False, True), repeat=len(pending)):
        tree = {inode: dict(entries) for inode, entries in names.items()}
        for changes, happened in zip(pending, chosen, strict=True):
            if happened:
                _apply(tree, changes)
        paths = dict(_paths(tree, disk, disk.top, ""))
        unsure = sorted({inode for inode in paths.values() if inode in latest})
        contents = [sorted({sure.get(each, b""), *_torn(latest[each])}) for each in unsure]
        for picked in itertools.product(*contents):
            content = {**sure, **dict(zip(unsure, picked, strict=True))}
            yield {path: inode if inode is None else content.get(inode, b"") for path, inode in paths.items()}


def _apply(names, changes):
    for (folder, name), inode in changes.items():
        if inode is None:
            names.setdefault(folder, {}).pop(name, None)
        else:
            names.setdefault(folder, {})[name] = inode


def _torn(content):
    return {b"", content[: len(content) // 2], bytes(len(content)), content}


def _paths(names, disk, folder, above):
    """The path of each file with its inode, and of each folder with None."""
    for name, inode in names.get(folder, {}).items():
        if isinstance(disk.inodes[inode], dict):
            yield above + name, None
            yield from _paths(names, disk, inode, f"{above}{name}/")
        else:
            yield above + name, inode


def outcomes(folder, action, read, scratch):
    """What `read(folder)` gives after a power cut while `action` runs, and after one when it has ended, as two sets."""
    disk, seen = record(folder, action), {}
    during, after = set(), set()
    for moment in range(len(disk.events) + 1):
        for tree in after_cut(disk, moment):
            key = tuple(sorted(tree.items(), key=lambda item: item[0]))
            if key not in seen:
                copy = Path(scratch) / str(len(seen))
                copy.mkdir(parents=True)
                for path, content in key:
                    if content is None:
                        (copy / path).mkdir(parents=True, exist_ok=True)
                    else:
                        (copy / path).parent.mkdir(parents=True, exist_ok=True)
                        (copy / path).write_bytes(content)
                seen[key] = read(copy)
            (after if moment == len(disk.events) else during).add(seen[key])
    return during, after
