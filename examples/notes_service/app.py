"""The notes service: `uvicorn examples.notes_service.app:app`.

The environment variable DATABASE_URL says where the data is; without it, in
the SQLite file `notes.db` of the current folder.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import sqlalchemy
from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from databases.interfaces import Record
from examples.notes_service.page import render
from examples.notes_service.store import (
    accounts,
    atomic,
    database,
    insert_note,
    notes,
    prepare,
)

# Text that every database can keep: PostgreSQL refuses the character NUL.
Text = StringConstraints(strip_whitespace=True, min_length=1, pattern=r"^[^\x00]*$")
Name = Annotated[str, Text, Field(max_length=40)]


class NewNote(BaseModel):
    """What a client sends to add a note."""

    author: Name
    text: Annotated[str, Text, Field(max_length=500)]


class Note(NewNote):
    """A note as it is kept."""

    model_config = ConfigDict(from_attributes=True)

    id: int


class Account(BaseModel):
    """What somebody owns."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    balance: int


class Transfer(BaseModel):
    """What a client sends to move money."""

    source: Name
    target: Name
    amount: Annotated[int, Field(gt=0, le=1_000_000, strict=True)]

    @model_validator(mode="after")
    def _two_accounts(self) -> Transfer:
        if self.source == self.target:
            raise ValueError("source and target are the same account")
        return self


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Connect when the service starts, disconnect when it ends."""
    async with database:
        await prepare()
        yield


app = FastAPI(title="Notes", lifespan=lifespan)


@app.exception_handler(RequestValidationError)
async def refuse(_: Request, error: RequestValidationError) -> JSONResponse:
    """Say what is wrong, without the input: not all of it can be sent back."""
    detail = [{name: fault[name] for name in ("type", "loc", "msg")} for fault in error.errors()]
    return JSONResponse({"detail": detail}, status_code=422)


count_notes = sqlalchemy.select(sqlalchemy.func.count()).select_from(notes)
all_accounts = accounts.select().order_by(accounts.c.name)


@app.get("/", response_class=HTMLResponse)
async def show_page() -> str:
    """Show the latest notes and all accounts."""
    latest = await database.fetch_all(notes.select().order_by(notes.c.id.desc()).limit(50))
    count = await database.fetch_val(count_notes)
    return render(latest, count, await database.fetch_all(all_accounts))


@app.get("/notes", response_model=list[Note])
async def list_notes(
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    offset: Annotated[int, Query(ge=0, le=1_000_000_000)] = 0,
) -> list[Record]:
    """List notes, newest first."""
    newest = notes.select().order_by(notes.c.id.desc())
    return await database.fetch_all(newest.limit(limit).offset(offset))


@app.get("/notes/count", response_model=int)
async def number_of_notes() -> Any:
    """Count the notes."""
    return await database.fetch_val(count_notes)


@app.post("/notes", status_code=201, response_model=Note)
async def add_note(note: NewNote) -> Note:
    """Add a note, and answer with its number."""
    query = insert_note.values(author=note.author, text=note.text)
    return Note(id=await database.execute(query), author=note.author, text=note.text)


@app.get("/accounts", response_model=list[Account])
async def list_accounts() -> list[Record]:
    """List the accounts by name."""
    return await database.fetch_all(all_accounts)


@app.post("/transfers", response_model=list[Account])
@atomic
async def transfer(order: Transfer) -> list[Record]:
    """Move money; answer with both accounts. An error undoes everything."""
    # Lock both rows, always in the order of their names: two transfers that
    # cross each other wait instead of dead-locking.
    both = all_accounts.where(accounts.c.name.in_([order.source, order.target]))
    balances = {
        row["name"]: row["balance"] for row in await database.fetch_all(both.with_for_update())
    }
    for name in (order.source, order.target):
        if name not in balances:
            raise HTTPException(404, f"no account {name!r}")
    if balances[order.source] < order.amount:
        raise HTTPException(409, f"{order.source!r} has less than {order.amount}")

    for name, change in ((order.source, -order.amount), (order.target, order.amount)):
        update = accounts.update().where(accounts.c.name == name)
        await database.execute(update.values(balance=accounts.c.balance + change))
    return await database.fetch_all(both)
