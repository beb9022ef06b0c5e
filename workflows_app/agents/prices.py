"""What models cost: the price table of the settings, per million tokens, in the site's unit of money."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, DecimalException
from typing import cast

from workflows_app.agents.calls import BILLIONTHS
from workflows_app.dag.wording import quoted
from workflows_app.tools.errors import NodeConfigurationError

# So many have the price that the table says.
_TOKENS = 10**6
# Beyond it a price is a mistake.
_HIGHEST = 10**9


class PriceSettingError(NodeConfigurationError):
    """Raised for a setting that is no price table. The sentence says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Billionths of the unit for a million tokens: whole numbers, so that sums and bounds are exact."""

    input: int
    output: int

    def cost(self, input_tokens: int, output_tokens: int) -> int:
        """In billionths, rounded up."""
        return -(-(input_tokens * self.input + output_tokens * self.output) // _TOKENS)

    def longest_answer(self, money: int, input_tokens: int) -> int | None:
        """The most tokens that an answer may have for so many billionths, below 0 where there is not even enough for
        the input; None where the answer costs nothing."""
        left = money * _TOKENS - input_tokens * self.input
        if left < 0:
            return -1
        return left // self.output if self.output else None


FREE = Price(input=0, output=0)


def prices_of(setting: object) -> Mapping[str, Price]:
    """The prices by `PROVIDER/MODEL` or `MODEL`. Raises `PriceSettingError`."""
    if not isinstance(setting, Mapping):
        raise PriceSettingError("It is no mapping of models to prices.")
    return {_name(name): _price(name, entry) for name, entry in cast("Mapping[object, object]", setting).items()}


def price_of(provider: str, model: str) -> Price | None:
    """What a model costs at a provider; None where the table does not say. Raises `PriceSettingError`."""
    table = current()
    return table.get(f"{provider}/{model}") or table.get(model)


def _name(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise PriceSettingError(f"{name!r} is no name of a model.")
    return name


def _price(name: object, entry: object) -> Price:
    said = quoted(str(name))
    prices = cast("Mapping[object, object]", entry if isinstance(entry, Mapping) else {})
    if set(prices) != {"input", "output"}:
        raise PriceSettingError(f"The price of {said} is no mapping with 'input' and 'output'.")
    return Price(input=_amount(said, "input", prices["input"]), output=_amount(said, "output", prices["output"]))


def _amount(said: str, key: str, value: object) -> int:
    wrong = PriceSettingError(
        f"The {key!r} of {said} is no price: write what a million tokens cost, as text such as '2.50', with no more "
        "than 9 decimals."
    )
    # A float is not the number that was written.
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        raise wrong
    try:
        amount = Decimal(value)
    except DecimalException:
        raise wrong from None
    if not amount.is_finite() or not 0 <= amount <= _HIGHEST or (exact := amount * BILLIONTHS) != int(exact):
        raise wrong
    return int(exact)


def _none() -> Mapping[str, Price]:
    return {}


# Set by the app, so that what is reserved is what the settings say now.
current: Callable[[], Mapping[str, Price]] = _none
