"""`python -m pastetrader.serve`: this site on this machine, ready to be tried; what `make serve` runs.

Migrations, a superuser `demo`, the demo workflows, then daphne. The password of `demo` was drawn for this installation
and lies in `var/demo_password`, which its owner alone can read; at each start it is made the user's password again
where it no longer is, and is printed. Whoever wants another one deletes the file.
"""

import argparse
import os
import secrets
import socket
import sys
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command

USERNAME = "demo"


def main(arguments: list[str] | None = None) -> None:
    """Becomes the server. Exits with a sentence where the port is taken."""
    parser = argparse.ArgumentParser(prog="python -m pastetrader.serve", description="Serve the site with its demo.")
    _ = parser.add_argument("--host", default="127.0.0.1")
    _ = parser.add_argument("--port", type=int, default=8000)
    chosen = parser.parse_args(arguments)
    # Taken first: a second server must not wait for the set-up to hear that there is one already.
    listening = listen(chosen.host, chosen.port)
    _ = os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pastetrader.settings")
    django.setup()
    _ = call_command("migrate", verbosity=0)
    password = demo_password(settings.VAR_DIR / "demo_password")
    prepare(password)
    told = (
        f"PasteTrader is at {address(chosen.host, chosen.port)}",
        f"Log in as {USERNAME} with the password {password}",
        "Stop it with Ctrl-C.",
    )
    _ = sys.stdout.write("\n".join(told) + "\n")
    _ = sys.stdout.flush()
    descriptor = listening.fileno()
    os.set_inheritable(descriptor, True)
    command = [sys.executable, "-m", "daphne", "-v", "0", "--fd", str(descriptor), "pastetrader.asgi:application"]
    # In the place of this process: it ends when that one is told to.
    os.execv(sys.executable, command)  # noqa: S606


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there. Exits where none can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        sys.exit(
            f"Port {port} of {host} cannot be used: {os.strerror(error.errno or 0).lower()}. "
            f"Stop what uses it, or choose another one, such as PORT={port + 1}."
        )


def address(host: str, port: int) -> str:
    """What to type into a browser on this machine."""
    name = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{name}:{port}/admin/"


def demo_password(path: Path) -> str:
    """The password in a file; where there is none, a new one is drawn, and the file made for its owner alone."""
    try:
        kept = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        kept = ""
    if kept:
        path.chmod(0o600)
        return kept
    drawn = secrets.token_urlsafe(12)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:  # noqa: PTH123
        _ = file.write(drawn)
    return drawn


def prepare(password: str) -> None:
    """A superuser who can log in with this password, and the demo workflows, for the first superuser as for commands.

    Whoever is logged in already stays so, and a workflow of the demo that was changed stays as it is.
    """
    # Apps must be loaded first.
    from django.contrib.auth import get_user_model  # noqa: PLC0415

    from workflows_app.services.demo import load_demo  # noqa: PLC0415

    users: Any = get_user_model()
    user = users.objects.filter(username=USERNAME).first()
    if user is None:
        user = users.objects.create_superuser(USERNAME, email="demo@localhost", password=password)
    elif not user.check_password(password):
        user.set_password(password)
        user.save(update_fields=["password"])
    owner = users.objects.filter(is_superuser=True).order_by("pk").first() or user
    _ = load_demo(owner)


if __name__ == "__main__":
    main()
