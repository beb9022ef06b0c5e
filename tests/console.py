"""Pages of docs/ as sessions of a shell: what stands behind `$` is typed in, what stands below it is what comes."""

import contextlib
import os
import re
import signal
import subprocess

MARK = "@@@"
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
# What is different every time.
ANY = [
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<id>"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "<time>"),
]


def steps(text):
    """Commands as they are typed, here-documents and continued lines with them, each with what is printed below it."""
    found = []
    for block in BLOCK.findall(text):
        rest = block.splitlines()
        while rest:
            line = rest.pop(0)
            assert line.startswith("$ "), line
            command = [line[2:]]
            if here := re.search(r"<<'(\w+)'", line):
                while command[-1] != here[1]:
                    command.append(rest.pop(0))
            while command[-1].endswith("\\"):
                command.append(rest.pop(0))
            printed = []
            while rest and not rest[0].startswith("$ "):
                printed.append(rest.pop(0))
            found.append(("\n".join(command), without_chance("\n".join(printed))))
    return found


def without_chance(text):
    for pattern, word in ANY:
        text = pattern.sub(word, text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def type_in(commands, folder, environment, seconds=150):
    """What each command prints. One that fails ends the session, and nothing that it started outlives it."""
    script = "set -e\n" + "".join(f"{command}\necho\necho {MARK}\n" for command in commands)
    session = subprocess.Popen(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, errors = session.communicate(timeout=seconds)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(session.pid, signal.SIGKILL)
        _ = session.wait()
    *printed, left = out.split(f"{MARK}\n")
    assert len(printed) == len(commands), f"{commands[len(printed)]}\n{left}{errors}"
    assert "curl:" not in errors
    return [without_chance(text) for text in printed]
