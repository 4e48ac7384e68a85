"""Look up names without letting a silent resolver hold up anything else.

`getaddrinfo` can not be interrupted. In the event loop's small thread pool a few hanging look-ups would hold up every
other name, and at the end the interpreter would wait for them. So each name has a daemon thread of its own, and all
who ask for one name share the look-up that is under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading

Place = tuple[str, int]
Found = tuple[str, ...] | OSError


class ResolveError(OSError):
    """A name has no addresses that can be had now.

    Whether the name is gone or the resolver is wrong can not be told from here, and only the first would be the
    target's fault.
    """


class Resolver:
    """Turn names into addresses, each look-up bounded for who waits for it."""

    def __init__(self) -> None:
        self._under_way: dict[Place, asyncio.Future[Found]] = {}

    async def resolve(self, host: str, port: int, timeout_s: float) -> tuple[str, ...]:
        """Return the addresses of a host in the system's order of preference.

        Raises:
            ResolveError: The resolver did not answer, or knows no such name.
        """
        with contextlib.suppress(ValueError):
            return (str(ipaddress.ip_address(host.strip("[]"))),)
        future = self._under_way.get((host, port)) or self._begin((host, port))
        await asyncio.wait({future}, timeout=timeout_s)
        if not future.done():
            raise ResolveError(f"the resolver gave no answer for {host}")
        found = future.result()
        if isinstance(found, OSError):
            raise ResolveError(f"{host} could not be resolved: {found.strerror or found}")
        return found

    def _begin(self, place: Place) -> asyncio.Future[Found]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Found] = loop.create_future()

        def settle(found: Found) -> None:
            self._under_way.pop(place, None)
            future.set_result(found)

        def look_up() -> None:
            found = _look_up(place)
            with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits any more
                loop.call_soon_threadsafe(settle, found)

        try:
            threading.Thread(target=look_up, name=f"resolve {place[0]}", daemon=True).start()
        except RuntimeError as error:
            raise ResolveError(f"no thread left to resolve {place[0]}") from error
        self._under_way[place] = future
        return future


def _look_up(place: Place) -> Found:
    try:
        rows = socket.getaddrinfo(*place, type=socket.SOCK_STREAM)
    except UnicodeError:
        return OSError(None, "not a host name")
    except OSError as error:
        return error
    return tuple(dict.fromkeys(str(row[4][0]) for row in rows))
