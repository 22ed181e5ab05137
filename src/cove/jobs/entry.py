"""Who and what is let into an environment."""

from __future__ import annotations

import asyncio

from cove.core.environment import Environment, HeldToken
from cove.core.errors import Refused, Unavailable
from cove.core.job import Container
from cove.jobs.parts import Parts


async def let_in(parts: Parts, environment: Environment, account: str) -> None:
    """Return when an account may use an environment: it is listed, or holds one of its tokens now.

    Chains are asked all at once, and only about who is not listed; one that does not answer is in the way of those
    whom no other token lets in.

    Raises:
        Refused: ``environment: consumer_not_allowed``.
        Unavailable: A chain that may say yes does not answer.
    """
    access = environment.access
    if access.is_open() or access.lists(account):
        return
    missing: Unavailable | None = None
    for answer in await asyncio.gather(
        *(_holds(parts, token, account) for token in access.tokens), return_exceptions=True
    ):
        if isinstance(answer, Unavailable):
            missing = answer
        elif isinstance(answer, BaseException):
            raise answer
        elif answer:
            return
    raise missing or Refused(
        "environment",
        "consumer_not_allowed",
        hint=f"Environment {environment.id} is for listed accounts and holders of tokens: see access in "
        "computeEnvironments.",
    )


def check_image(environment: Environment, container: Container) -> None:
    """Return when an environment runs an image.

    Raises:
        Refused: ``algorithm.container: image_not_allowed``; the hint says which image, and what is allowed.
    """
    problem = environment.image_problem(container)
    if problem:
        raise Refused("algorithm.container", "image_not_allowed", hint=problem)


async def _holds(parts: Parts, token: HeldToken, account: str) -> bool:
    return token.is_held(await parts.ledgers[token.chain_id].call(token.contract, token.question(account)))
