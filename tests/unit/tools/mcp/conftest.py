"""MCP servers of a test, and what is left of them afterwards: nothing."""

import asyncio
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from workflows_app.tools.mcp import servers
from workflows_app.tools.process_limits import processes
from workflows_app.tools.registry import registry


@pytest.fixture(autouse=True)
def _nothing_is_left(monkeypatch, tmp_path):
    """The programs have ended with the loop of the test, and their folders are gone."""
    folder = tmp_path / "folders"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(processes, "limits", replace(processes.limits, output_bytes=64 * 1024))
    yield
    assert list(folder.glob("pastetrader-*")) == []
    assert programs_of(os.getpid()) == []


def programs_of(parent):
    """The processes that a process has started, and that have not ended."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[1] == str(parent) and fields[0] != "Z" and b"bare_mcp" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


@pytest.fixture
def site(monkeypatch):
    """Sets the servers of the settings."""

    def site_(**entries):
        monkeypatch.setattr(servers, "current", lambda: servers.servers_of(entries))

    return site_


@pytest.fixture
def interruptions():
    """What was said of cancelled calls."""
    return []


@pytest.fixture
def call(context, interruptions):
    """Calls a tool of the server `bare`."""

    async def call_(arguments=None, tool="work", server="bare", **more):
        deadline = asyncio.get_running_loop().time() + 60
        attempt = replace(context, deadline=deadline, interrupted=lambda *what: interruptions.append(what))
        inputs = {"server": server, "tool": tool, "arguments": arguments or {}, **more}
        return await registry.get("mcp.call").call(inputs, attempt)

    return call_
