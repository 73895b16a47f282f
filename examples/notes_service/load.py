"""Drive the notes service with many users at once, and check what it did.

`python examples/notes_service/load.py [--url URL] [--users N] [--requests N]`

Exits with 1 if a request failed, a note was lost, an account is below zero or
the sum of the accounts changed.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx

# Out of 100 requests of a user.
MIX = {"transfer": 60, "add note": 20, "list notes": 15, "page": 5}


@dataclass
class Outcome:
    """What became of the requests of one kind."""

    ok: int = 0
    refused: int = 0  # 409: the account held less than was asked for
    failures: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def record(self, response: httpx.Response | httpx.HTTPError, seconds: float) -> None:
        """Sort one answer, or the error that came instead, into its place."""
        self.seconds.append(seconds)
        if isinstance(response, httpx.HTTPError):
            self.failures.append(repr(response))
        elif response.is_success:
            self.ok += 1
        elif response.status_code == 409:
            self.refused += 1
        else:
            self.failures.append(f"{response.status_code} {response.text[:200]}")


@dataclass(frozen=True)
class State:
    """What the service holds at one moment."""

    notes: int
    accounts: dict[str, int]

    @property
    def sum(self) -> int:
        """What all accounts hold together."""
        return sum(self.accounts.values())


async def read_state(client: httpx.AsyncClient) -> State:
    """Ask the service for its notes and accounts."""
    count = (await client.get("/notes/count")).raise_for_status().json()
    accounts = (await client.get("/accounts")).raise_for_status().json()
    return State(count, {account["name"]: account["balance"] for account in accounts})


def build_request(
    client: httpx.AsyncClient, kind: str, names: list[str], chance: random.Random
) -> httpx.Request:
    """Build a request of *kind*, with its details left to *chance*."""
    if kind == "transfer":
        source, target = chance.sample(names, 2)
        order = {"source": source, "target": target, "amount": chance.randint(1, 20)}
        return client.build_request("POST", "/transfers", json=order)
    if kind == "add note":
        note = {"author": chance.choice(names), "text": f"<b>{chance.random()}</b> & more"}
        return client.build_request("POST", "/notes", json=note)
    return client.build_request("GET", "/notes?limit=20" if kind == "list notes" else "/")


async def act_as_user(
    client: httpx.AsyncClient,
    kinds: Iterator[str],
    names: list[str],
    chance: random.Random,
    outcomes: dict[str, Outcome],
) -> None:
    """Send one request after the other, until *kinds*, shared by all, is empty."""
    for kind in kinds:
        request = build_request(client, kind, names, chance)
        started = time.perf_counter()
        try:
            response: httpx.Response | httpx.HTTPError = await client.send(request)
        except httpx.HTTPError as error:
            response = error
        outcomes[kind].record(response, time.perf_counter() - started)


def show(outcomes: dict[str, Outcome], seconds: float) -> None:
    """Print a table of *outcomes*."""
    print(
        f"{'request':12}{'sent':>7}{'ok':>7}{'refused':>9}{'failed':>8}{'median':>10}{'95 %':>10}"
    )
    for kind, outcome in outcomes.items():
        times = sorted(outcome.seconds) or [0.0]
        median, late = times[len(times) // 2], times[int(len(times) * 0.95)]
        print(
            f"{kind:12}{len(outcome.seconds):7}{outcome.ok:7}{outcome.refused:9}"
            f"{len(outcome.failures):8}{median * 1000:7.0f} ms{late * 1000:7.0f} ms"
        )
    sent = sum(len(outcome.seconds) for outcome in outcomes.values())
    print(f"{sent} requests in {seconds:.1f} s, {sent / seconds:.0f} a second")


def find_faults(before: State, after: State, outcomes: dict[str, Outcome]) -> list[str]:
    """Name everything that is not as it must be."""
    faults = [
        f"{kind}: {len(outcome.failures)} requests failed, the first with: {outcome.failures[0]}"
        for kind, outcome in outcomes.items()
        if outcome.failures
    ]
    if after.sum != before.sum:
        faults.append(f"the sum of the accounts was {before.sum} and is {after.sum}")
    if any(balance < 0 for balance in after.accounts.values()):
        faults.append(f"an account is below zero: {after.accounts}")
    added = outcomes["add note"].ok
    if after.notes - before.notes < added:
        faults.append(f"{added} notes were added and {after.notes - before.notes} are there")
    return faults


async def run(url: str, users: int, requests: int, seed: int) -> int:
    """Send *requests* from *users* at once; return the exit status."""
    chance = random.Random(seed)
    kinds = iter(chance.choices(list(MIX), list(MIX.values()), k=requests))
    outcomes = {kind: Outcome() for kind in MIX}
    limits = httpx.Limits(max_connections=users, max_keepalive_connections=users)

    async with httpx.AsyncClient(
        base_url=url, limits=limits, timeout=60, trust_env=False
    ) as client:
        before = await read_state(client)
        print(f"{users} users, {requests} requests, {len(before.accounts)} accounts at {url}\n")
        started = time.perf_counter()
        await asyncio.gather(
            *(
                act_as_user(client, kinds, sorted(before.accounts), random.Random(n), outcomes)
                for n in range(seed, seed + users)
            )
        )
        seconds = time.perf_counter() - started
        after = await read_state(client)

    show(outcomes, seconds)
    faults = find_faults(before, after, outcomes)
    print(f"\nsum of the accounts: {before.sum} before, {after.sum} after")
    print("\n".join(f"WRONG: {fault}" for fault in faults) or "no request failed")
    return 1 if faults else 0


def main() -> int:
    """Read the command line; return the exit status."""
    parser = argparse.ArgumentParser(description="Drive the notes service with many users.")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1, help="repeats the same choices")
    given = parser.parse_args()
    if given.users < 1 or given.requests < 1:
        parser.error("--users and --requests must be 1 or more")
    try:
        return asyncio.run(run(given.url, given.users, given.requests, given.seed))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        print(f"cannot use the service at {given.url}: {error!r}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
