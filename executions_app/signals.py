"""What other apps can hear of runs."""

from django.dispatch import Signal

# Sent once per execution, after its end is committed. provides args: execution
execution_finished = Signal()
