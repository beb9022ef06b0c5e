"""Of a request of the harness's agents, in billionths: what it may cost, and what it does cost."""

RESERVED, PAID = 1_000_000_007, 700_000_001
