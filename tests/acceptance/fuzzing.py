"""What the fuzzer is told of the site that it sends requests to: ids that exist, so that it gets beyond 404."""

import json
import os
from typing import Any

import schemathesis
from hypothesis import strategies as st

# Path parameter -> what it may be; see `test_api_fuzz`.
KNOWN: dict[str, list[str]] = json.loads(os.environ["FUZZ_KNOWN"])


@schemathesis.hook
def before_generate_path_parameters(context: Any, strategy: Any) -> Any:
    def mixed(parameters: Any) -> Any:
        if not isinstance(parameters, dict):
            return st.just(parameters)
        return st.fixed_dictionaries(
            {
                name: st.one_of(st.sampled_from(KNOWN[name]), st.just(value)) if name in KNOWN else st.just(value)
                for name, value in parameters.items()
            }
        )

    return strategy.flatmap(mixed)


@schemathesis.hook
def before_generate_headers(context: Any, strategy: Any) -> Any:
    def mixed(headers: Any) -> Any:
        if not isinstance(headers, dict) or "If-Match" not in headers:
            return st.just(headers)
        return st.sampled_from([headers, *({**headers, "If-Match": f'"{version}"'} for version in range(1, 5))])

    return strategy.flatmap(mixed)
