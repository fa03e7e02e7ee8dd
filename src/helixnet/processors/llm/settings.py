"""Which server of language models the operator has chosen, and what may be asked of it: `HELIX_LLM_*`."""

from decimal import Decimal
from functools import cached_property
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

MILLION = 1_000_000
# The price of every model that has none of its own.
ANY_MODEL = "*"


class Price(BaseModel):
    """What a million tokens cost."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Decimal = Field(ge=0)
    output: Decimal = Field(ge=0)


class LlmSettings(BaseSettings):
    """The settings of `llm.run`. No job can choose a server: its key and its network are the operator's."""

    model_config = SettingsConfigDict(
        env_prefix="HELIX_LLM_", frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    base_url: str = Field(
        "", description="The OpenAI-compatible server of `llm.run`, up to and with its `/v1`; empty for none."
    )
    api_key: SecretStr = Field(SecretStr(""), description="The key that the server asks for.")
    model: str = Field("", description="The model that a job gets which names none.")
    models: str = Field("", description="Further models that a job may name, separated by commas; `*` for any.")
    prices: dict[str, Price] = Field(
        default_factory=dict,
        description='What a million tokens cost, in `HELIX_CURRENCY`: `{"gpt-x": {"input": "0.25", "output": "2"}}`,'
        " `*` for all others; a model without a price costs nothing.",
    )
    context_tokens: int = Field(8192, ge=256, description="How much a model reads and writes at once, in tokens.")
    max_output_tokens: int = Field(8192, ge=1, description="The longest answer that a job may ask for, in tokens.")
    max_calls: int = Field(200, ge=1, description="How many calls a job may make of long content.")
    concurrency: int = Field(4, ge=1, le=64, description="How many calls a job makes at the same time.")
    timeout_seconds: float = Field(120, gt=0, description="How long the server may say nothing before it is given up.")
    patience_seconds: float = Field(
        20, ge=0, description="A wait for a busy server that is longer than this gives the worker back meanwhile."
    )
    cache_days: float = Field(
        7, ge=0, le=3650, description="How long an answer is kept for jobs of its owner that ask the same; 0 for never."
    )

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("HELIX_LLM_BASE_URL must be an http:// or https:// address")
        if parts.username or parts.password:
            raise ValueError("HELIX_LLM_BASE_URL must not hold a password: give it as HELIX_LLM_API_KEY")
        return value

    @cached_property
    def allowed_models(self) -> tuple[str, ...]:
        """The models that a job may name, the default first."""
        named = (self.model, *(name.strip() for name in self.models.split(",")))
        return tuple(dict.fromkeys(name for name in named if name))

    def cost(self, model: str, tokens_in: int, tokens_out: int) -> Decimal:
        """What so many tokens of a model cost."""
        price = self.prices.get(model) or self.prices.get(ANY_MODEL)
        if price is None:
            return Decimal(0)
        return (price.input * tokens_in + price.output * tokens_out) / MILLION
