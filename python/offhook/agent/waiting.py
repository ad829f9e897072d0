"""Waiting for one of several things."""

import asyncio
from typing import Any


async def first_of(*futures: "asyncio.Future[Any]", timeout: float | None = None) -> None:  # noqa: ASYNC109
    """Wait until one of them is done, or for `timeout` seconds. Cancels none of them."""
    await asyncio.wait(set(futures), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
