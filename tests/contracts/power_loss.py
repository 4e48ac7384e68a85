"""Lose the power under a journal: from the system calls of a real process to what a disk may hold at any moment.

A write lies in the kernel's memory until its file is synced. When the power goes, of the writes since then any part may
have reached the disk, in any order, and each may be torn at a sector. What was synced is there.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

SECTOR = 512
CALLS = "trace=pwrite64,ftruncate,fdatasync,fsync,write"

LINE = re.compile(r"(\d+) +(?:<\.\.\. )?(\w+)(?:\((\d+)<([^>]*)>|( resumed>))(.*)")
WRITTEN = re.compile(r', "([^"]*)", \d+(?:, (\d+))?')
LENGTH = re.compile(r", (\d+)")


@dataclass
class Call:
    """One thing that the process did: a write, a cut, a sync, or a word on its stdout."""

    what: str
    file: str
    offset: int = 0
    data: bytes = b""


@dataclass
class Disk:
    """What is on the disk for certain, by file, and what may be."""

    files: dict[str, bytearray] = field(default_factory=dict)
    pending: dict[str, list[Call]] = field(default_factory=dict)

    def take(self, call: Call) -> None:
        pending = self.pending.setdefault(call.file, [])
        if call.what != "sync":
            pending.append(call)
            return
        for each in pending:
            _apply(self.files.setdefault(call.file, bytearray()), each)
        pending.clear()

    def after_power_loss(self, chance) -> dict[str, bytes]:
        """Return what a disk may hold if the power goes now."""
        found = {name: bytearray(content) for name, content in self.files.items()}
        likely = chance.random()
        for name, calls in self.pending.items():
            content = found.setdefault(name, bytearray())
            for call in chance.sample(calls, len(calls)):
                if chance.random() < likely:
                    _apply(content, call, torn=chance)
        return {name: bytes(content) for name, content in found.items()}


def _apply(content: bytearray, call: Call, torn=None) -> None:
    if call.what == "cut":
        del content[call.offset :]
        content.extend(bytes(call.offset - len(content)))
        return
    end = call.offset + len(call.data)
    content.extend(bytes(max(0, end - len(content))))
    if torn is None or torn.random() < 0.8:
        content[call.offset : end] = call.data
        return
    for start in range(call.offset, end, SECTOR):
        if torn.random() < 0.5:
            stop = min(start + SECTOR, end)
            content[start:stop] = call.data[start - call.offset : stop - call.offset]


def calls(trace: str) -> Iterator[Call]:
    """Read what strace saw with `-f -xx -y`; a write counts from its begin, a sync from its end."""
    under_way: dict[str, tuple[str, str]] = {}
    for line in trace.splitlines():
        found = LINE.match(line)
        if not found:
            continue
        process, name, descriptor, path, resumed, rest = found.groups()
        if resumed:
            if process in under_way and (began := under_way.pop(process))[0] == name:
                yield Call(what="sync", file=began[1])
            continue
        file = _text(path).decode(errors="replace").rsplit("/", 1)[-1]
        if name in {"fdatasync", "fsync"}:
            if rest.endswith("<unfinished ...>"):
                under_way[process] = (name, file)
            elif rest.endswith("= 0"):
                yield Call(what="sync", file=file)
        elif name == "ftruncate":
            yield Call(what="cut", file=file, offset=int(LENGTH.match(rest)[1]))
        elif name == "pwrite64":
            data, offset = WRITTEN.match(rest).groups()
            yield Call(what="write", file=file, offset=int(offset), data=_text(data))
        elif descriptor == "1":
            yield Call(what="said", file="", data=_text(WRITTEN.match(rest)[1]))


def _text(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))
