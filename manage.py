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
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
