"""Log lines have no secret that is in use, whoever writes them."""

import io
import logging
from threading import Thread

import pytest

from workflows_app.tools import log_masking
from workflows_app.tools.log_masking import MaskSecrets, in_use
from workflows_app.tools.masking import Mask

SECRET = "S3CR3T-41fe-log"


@pytest.fixture(autouse=True)
def _no_masks_of_before(monkeypatch):
    monkeypatch.setattr(log_masking, "_masks", log_masking._Masks())


@pytest.fixture
def log():
    """A logger with a handler that masks; `written()` is what came out."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(message)s %(user)s", defaults={"user": "-"}))
    handler.addFilter(MaskSecrets())
    logger = logging.getLogger("test.log_masking")
    logger.propagate = False
    logger.addHandler(handler)
    logger.written = stream.getvalue
    yield logger
    logger.removeHandler(handler)


def connect(address):
    raise ValueError(f"no route to {address}")


def write_everywhere(log):
    log.error("in the message: " + SECRET)  # noqa: G003 - the message itself
    log.error("in an argument: %s, %r", SECRET, {"key": [SECRET]})
    log.error("in what was added", extra={"user": SECRET})
    try:
        connect(f"https://ada:{SECRET}@example.com")
    except ValueError:
        log.exception("in a traceback", stack_info=True)


def test_a_secret_in_use_is_in_no_line(log):
    with in_use(Mask.of([SECRET])):
        write_everywhere(log)
    written = log.written()
    assert SECRET not in written
    assert written.count("***") >= 5
    assert "ValueError: no route to https://ada:***@example.com" in written


def test_a_mask_that_is_not_in_use_hides_nothing(log):
    """The control."""
    write_everywhere(log)
    assert log.written().count(SECRET) >= 5


def test_other_threads_are_masked_too_and_so_are_lines_that_come_late(log):
    with in_use(Mask.of([SECRET])):
        thread = Thread(target=write_everywhere, args=[log])
        thread.start()
        thread.join()
    write_everywhere(log)
    assert SECRET not in log.written()


def test_a_mask_is_in_use_until_the_last_of_its_users_has_ended(log):
    mask = Mask.of([SECRET])
    with in_use(mask):
        with in_use(Mask.of([SECRET])):
            pass
        for number in range(200):
            with in_use(Mask.of([f"another-secret-{number}"])):
                pass
        write_everywhere(log)
    assert SECRET not in log.written()


def test_past_masks_are_forgotten_so_that_they_do_not_pile_up():
    for number in range(200):
        with in_use(Mask.of([f"another-secret-{number}"])):
            pass
    assert len(log_masking._masks.all) == 64


def test_an_error_that_tells_nothing_stays_with_its_record(log):
    kept = []
    log.handlers[0].addFilter(lambda record: kept.append(record.exc_info) or True)
    with in_use(Mask.of([SECRET])):
        try:
            connect("nowhere")
        except ValueError:
            log.exception("told")
    assert kept[0][0] is ValueError


def test_arguments_that_do_not_fit_are_told_without_the_secret(log, capsys):
    with in_use(Mask.of([SECRET])):
        log.error("%d and %d", SECRET)
    assert log.written() == "%d and %d ('***',) -\n"
    assert SECRET not in capsys.readouterr().err


def test_an_empty_mask_is_nothing_in_use():
    with in_use(Mask.of([])):
        assert log_masking._masks.all == ()
