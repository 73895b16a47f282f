"""A small service that books rooms: typed rows, migrations, telemetry, tests.

It wants databases[aiosqlite,otel], alembic, fastapi and uvicorn; its tests also
httpx, httpx2, opentelemetry-sdk, pytest and pytest-asyncio. From the folder above
`examples`:

    alembic -c examples/bookings/alembic.ini upgrade head
    uvicorn examples.bookings.app:app
    pytest examples/bookings

The environment variable DATABASE_URL says where the data is; without it, in
the SQLite file `bookings.db` of the current folder.
"""
