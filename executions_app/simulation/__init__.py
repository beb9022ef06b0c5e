"""The engine under virtual time: random workflows, random misbehaviour, every record checked, every seed replayable."""
