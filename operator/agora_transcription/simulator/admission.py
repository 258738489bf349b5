"""What both dialects check before they start anything: who asks, for which project, and whether its bots may join."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from agora_transcription.simulator.answers import Incoming, Refused
from agora_transcription.simulator.rtctoken import InvalidToken, verify
from agora_transcription.simulator.starts import JoinBody, StartBody, settings_of
from agora_transcription.simulator.tasks import Dialect, Task

if TYPE_CHECKING:
    from agora_transcription.simulator.options import Account
    from agora_transcription.simulator.world import World

__all__ = ["authenticate", "launch"]


def authenticate(world: World, incoming: Incoming) -> Account:
    """Find the account that a request is made for.

    Raises:
        Refused: 401 for wrong credentials, 400 for an unknown App ID or one without speech-to-text, 403 for the
            project of another customer.
    """
    pair = _basic_credentials(incoming.authorization)
    accounts = [account for account in world.options.accounts if pair == _credentials_of(account)]
    if not accounts:
        raise Refused(401, "Invalid authentication credentials")
    for account in accounts:
        if account.app_id == incoming.app_id:
            if not account.stt_enabled:
                raise Refused(400, "Speech-to-text is not enabled for the App ID", reason="ServiceNotEnabled", code=62)
            return account
    if any(account.app_id == incoming.app_id for account in world.options.accounts):
        raise Refused(403, "The App ID belongs to another customer", reason="InvalidPermission")
    raise Refused(400, "invalid_appid", reason="InvalidFieldValue")


def launch(
    world: World,
    account: Account,
    name: str,
    body: JoinBody | StartBody,
    *,
    task_id: str,
    ends: float,
) -> Task:
    """Start a task for a request that is otherwise good.

    Args:
        world: Where.
        account: For whom.
        name: v7's name, v6's instanceId.
        body: The checked body.
        task_id: The new task's id.
        ends: When its lifetime ends, in Unix seconds of the tasks' clock.

    Raises:
        Refused: When a token or a bot's uid is not good, or the project has its number of tasks.
    """
    rtc, now = body.rtc_config, world.now()
    dialect = Dialect.V7 if isinstance(body, JoinBody) else Dialect.V6
    expiry = _check_tokens(world, account, body)
    for uid in rtc.bots():
        if world.tasks.bot(account.app_id, rtc.channel_name, uid) is not None:
            raise Refused(400, "rtcConfig: another task has this bot uid in the channel", code=2)
    if account.max_tasks is not None and world.tasks.live(account.app_id) >= account.max_tasks:
        raise Refused(422, "The project has as many tasks as it may have", reason="ConcurrencyLimitExceeded")
    task = Task(
        id=task_id,
        dialect=dialect,
        app_id=account.app_id,
        name=name,
        channel=rtc.channel_name,
        bot_uids=frozenset(rtc.bots()),
        settings=settings_of(body),
        idle_seconds=body.max_idle_time,
        started_at=now,
        expires_at=ends,
    )
    if expiry is not None:
        # The token's date is of the wall's time, the task's end of the clock that can be advanced.
        task.limit_to_token(expiry - world.clock.wall() + now)
    world.tasks.start(task, world.options.start_delay)
    return task


def _check_tokens(world: World, account: Account, body: JoinBody | StartBody) -> float | None:
    """When the first of the bots' tokens expires; None for a project without certificate."""
    rtc = body.rtc_config
    if account.app_certificate is None:
        if rtc.pub_bot_token is not None or rtc.sub_bot_token is not None:
            raise Refused(400, "rtcConfig: tokens are for projects with an app certificate", code=2)
        return None
    tokens = {"pubBotToken": (rtc.pub_bot_uid, rtc.pub_bot_token)}
    if rtc.sub_bot_uid is not None and (rtc.sub_bot_token is not None or rtc.sub_bot_uid != rtc.pub_bot_uid):
        tokens["subBotToken"] = (rtc.sub_bot_uid, rtc.sub_bot_token)
    expiries = []
    for field, (uid, token) in tokens.items():
        if token is None:
            text = f"rtcConfig.{field}: required, the project has an app certificate"
            raise Refused(400, text, reason="MissingRequiredField", code=2)
        try:
            expiry = verify(
                token.get_secret_value(),
                app_id=account.app_id,
                certificate=account.app_certificate.get_secret_value(),
                channel=rtc.channel_name,
                uid=uid,
                now=world.clock.wall(),
            )
        except InvalidToken as error:
            raise Refused(400, f"rtcConfig.{field}: {error}", code=2) from None
        expiries.append(expiry)
    return min(expiries)


def _basic_credentials(authorization: str) -> tuple[str, str] | None:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (user, password) if colon else None


def _credentials_of(account: Account) -> tuple[str, str]:
    return account.customer_id, account.customer_secret.get_secret_value()
