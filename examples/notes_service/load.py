"""Drive the notes service with many users at once, and check what it did.

`python3 examples/notes_service/load.py [--url URL] [--users N] [--requests N]`

It needs Python alone: nothing has to be installed. Exits with 1 if a request
failed, a note was lost, an account is below zero or the sum of the accounts
changed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import SplitResult, urlsplit

# Out of 100 requests of a user.
MIX = {"transfer": 60, "add note": 20, "list notes": 15, "page": 5}


@dataclass(frozen=True)
class Answer:
    """What came back for one request."""

    kind: str
    status: int  # 0: no answer came
    text: str
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether the service did what it was asked."""
        return 200 <= self.status < 300

    @property
    def refused(self) -> bool:
        """Whether the account held less than was asked for."""
        return self.status == 409


@dataclass(frozen=True)
class State:
    """What the service holds at one moment."""

    notes: int
    accounts: dict[str, int]

    @property
    def sum(self) -> int:
        """What all accounts hold together."""
        return sum(self.accounts.values())


class Client:
    """One user's connection to the service, kept open between requests."""

    def __init__(self, url: SplitResult) -> None:
        connect = HTTPSConnection if url.scheme == "https" else HTTPConnection
        self._connection = connect(url.hostname or "127.0.0.1", url.port, timeout=60)
        self._prefix = url.path.rstrip("/")

    def send(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        """Send one request; give the status and the text of the answer."""
        content = None if body is None else json.dumps(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            self._connection.request(method, self._prefix + path, content, headers)
            response = self._connection.getresponse()
            return response.status, response.read().decode("utf-8", "replace")
        except BaseException:
            # The next request must not read the rest of this answer.
            self.close()
            raise

    def get(self, path: str) -> Any:
        """Give the JSON document at *path*."""
        status, text = self.send("GET", path)
        if status != 200:
            raise HTTPException(f"GET {path}: {status} {text[:200]}")
        return json.loads(text)

    def close(self) -> None:
        """Close the connection; another request would open it again."""
        self._connection.close()


def read_state(client: Client) -> State:
    """Ask the service for its notes and accounts."""
    accounts = client.get("/accounts")
    return State(
        client.get("/notes/count"),
        {account["name"]: account["balance"] for account in accounts},
    )


def choose(kind: str, names: Sequence[str], chance: random.Random) -> tuple[str, str, object]:
    """Choose the method, path and body of a request of *kind*."""
    if kind == "transfer":
        source, target = chance.sample(names, 2)
        order = {"source": source, "target": target, "amount": chance.randint(1, 20)}
        return "POST", "/transfers", order
    if kind == "add note":
        note = {"author": chance.choice(names), "text": f"<b>{chance.random()}</b> & more"}
        return "POST", "/notes", note
    return "GET", "/notes?limit=20" if kind == "list notes" else "/", None


def act_as_user(
    url: SplitResult, kinds: SimpleQueue[str], names: Sequence[str], chance: random.Random
) -> list[Answer]:
    """Send one request after the other, until *kinds*, shared by all, is empty."""
    answers = []
    with closing(Client(url)) as client:
        for kind in _drain(kinds):
            request = choose(kind, names, chance)
            started = time.perf_counter()
            try:
                status, text = client.send(*request)
            except (OSError, HTTPException) as error:
                status, text = 0, repr(error)
            answers.append(Answer(kind, status, text, time.perf_counter() - started))
    return answers


def _drain(kinds: SimpleQueue[str]) -> Iterator[str]:
    with suppress(Empty):
        while True:
            yield kinds.get_nowait()


def show(answers: Sequence[Answer], seconds: float) -> None:
    """Print a table of *answers*, one line for each kind of request."""
    print(
        f"{'request':12}{'sent':>7}{'ok':>7}{'refused':>9}{'failed':>8}{'median':>10}{'95 %':>10}"
    )
    for kind in MIX:
        found = [answer for answer in answers if answer.kind == kind]
        times = sorted(answer.seconds for answer in found) or [0.0]
        median, late = times[len(times) // 2], times[int(len(times) * 0.95)]
        ok = sum(answer.ok for answer in found)
        refused = sum(answer.refused for answer in found)
        print(
            f"{kind:12}{len(found):7}{ok:7}{refused:9}{len(found) - ok - refused:8}"
            f"{median * 1000:7.0f} ms{late * 1000:7.0f} ms"
        )
    print(f"{len(answers)} requests in {seconds:.1f} s, {len(answers) / seconds:.0f} a second")


def find_faults(before: State, after: State, answers: Sequence[Answer]) -> list[str]:
    """Name everything that is not as it must be."""
    faults = []
    for kind in MIX:
        failed = [one for one in answers if one.kind == kind and not (one.ok or one.refused)]
        if failed:
            first = f"{failed[0].status or 'no answer'}, {failed[0].text[:200]}"
            faults.append(f"{kind}: {len(failed)} requests failed, the first with: {first}")
    if after.sum != before.sum:
        faults.append(f"the sum of the accounts was {before.sum} and is {after.sum}")
    if any(balance < 0 for balance in after.accounts.values()):
        faults.append(f"an account is below zero: {after.accounts}")
    added = sum(answer.ok for answer in answers if answer.kind == "add note")
    if after.notes - before.notes < added:
        faults.append(f"{added} notes were added and {after.notes - before.notes} are there")
    return faults


def run(url: SplitResult, users: int, requests: int, seed: int) -> int:
    """Send *requests* from *users* at once; return the exit status."""
    kinds: SimpleQueue[str] = SimpleQueue()
    for kind in random.Random(seed).choices(list(MIX), list(MIX.values()), k=requests):
        kinds.put(kind)

    with closing(Client(url)) as client:
        before = read_state(client)
    names = sorted(before.accounts)
    print(f"{users} users, {requests} requests, {len(names)} accounts at {url.geturl()}\n")
    started = time.perf_counter()
    with ThreadPoolExecutor(users) as pool:
        running = [
            pool.submit(act_as_user, url, kinds, names, random.Random(number))
            for number in range(seed, seed + users)
        ]
    answers = [answer for future in running for answer in future.result()]
    seconds = time.perf_counter() - started
    with closing(Client(url)) as client:
        after = read_state(client)

    show(answers, seconds)
    faults = find_faults(before, after, answers)
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
        return run(urlsplit(given.url), given.users, given.requests, given.seed)
    except (OSError, HTTPException, ValueError) as error:
        print(f"cannot use the service at {given.url}: {error!r}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
