"""The product beside its floors, in one run: `make bench`."""
