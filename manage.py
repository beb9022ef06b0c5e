"""Django's command line, with the embedded settings unless DJANGO_SETTINGS_MODULE says otherwise."""

import os
import sys


def main() -> None:
    _ = os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pastetrader.settings")
    try:
        from django.core.management import execute_from_command_line  # noqa: PLC0415 - the message below needs it here
    except ImportError as error:
        sentence = "Django is not installed here. Run `make sync`, then `uv run manage.py` or activate .venv."
        raise SystemExit(sentence) from error
    try:
        execute_from_command_line(sys.argv)
    except BrokenPipeError:
        # Whoever read our output has gone, as `head` does: what is still buffered has nowhere to go.
        _ = os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
