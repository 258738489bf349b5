"""How the simulated Agora is set up: its accounts and its habits."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic.alias_generators import to_camel

__all__ = ["DEMO_ACCOUNT", "Account", "Notifications", "SimulatorOptions"]

HexId = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{32}$")]


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class Account(_Options):
    """A project that the simulator knows, and a customer that may control it.

    Attributes:
        app_id: 32 hexadecimal digits.
        app_certificate: 32 hexadecimal digits; None for a project without one, whose bots then carry no tokens.
        customer_id: The user name of the basic authentication.
        customer_secret: Its password.
        stt_enabled: Whether speech-to-text is enabled for the project.
        max_tasks: How many tasks may be live at once; None for any number.
    """

    app_id: HexId
    app_certificate: Annotated[SecretStr, Field(min_length=32, max_length=32)] | None = None
    customer_id: Annotated[str, Field(min_length=1)]
    customer_secret: Annotated[SecretStr, Field(min_length=1)]
    stt_enabled: bool = True
    max_tasks: Annotated[int, Field(ge=0)] | None = None


DEMO_ACCOUNT: Final = Account(
    app_id="0123456789abcdef0123456789abcdef",
    app_certificate=SecretStr("fedcba9876543210fedcba9876543210"),
    customer_id="demo-customer",
    customer_secret=SecretStr("demo-secret"),
)
"""The account of the samples and the demo."""

Seconds = Annotated[float, Field(ge=0)]


class Notifications(_Options):
    """Where Agora's notifications of V7 tasks are sent.

    Attributes:
        url: Whereto.
        secret: They are signed with it.
        duplicates: Whether each is sent twice.
        jitter: Each is sent up to so many seconds late, at random: they come out of order.
    """

    url: Annotated[str, Field(pattern=r"^https?://[^/\s]+(/\S*)?$")]
    secret: Annotated[SecretStr, Field(min_length=1)]
    duplicates: bool = False
    jitter: Seconds = 0


class SimulatorOptions(_Options):
    """What Agora leaves open, or does differently from day to day. Spelled in camelCase over HTTP.

    Attributes:
        accounts: The projects.
        start_delay: Seconds that a task is STARTING.
        stop_delay: Seconds that a task is STOPPING.
        retention: Seconds that an ended task can still be queried.
        forget_ended: Answer 404 for a task as soon as it has ended.
        conflict_carries_id: Whether the 409 of a repeated v7 join names the task that has the name.
        list_supported: Whether v7 has its list; before 7.2.1 it had not.
        list_delay: Seconds before a new task appears in the list.
        query_delay: Seconds before a new task is known to any other call: until then it is "not found".
        token_age_first: Which check of a repeated v6 start comes first once its builderToken is older than five
            minutes: true refuses the age, false says that the token was used. Agora does not document the order.
        notifications: Where they are sent; None for nowhere.
    """

    accounts: tuple[Account, ...] = (DEMO_ACCOUNT,)
    start_delay: Seconds = 0
    stop_delay: Seconds = 0
    retention: Seconds = 60
    forget_ended: bool = False
    conflict_carries_id: bool = False
    list_supported: bool = True
    list_delay: Seconds = 0
    query_delay: Seconds = 0
    token_age_first: bool = False
    notifications: Notifications | None = None

    def changed_by(self, partial: SimulatorOptions) -> SimulatorOptions:
        """These options, with those that `partial` was given explicitly."""
        return self.model_copy(update={name: getattr(partial, name) for name in partial.model_fields_set})
