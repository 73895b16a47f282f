"""Make rooms and bookings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Go on."""
    op.create_table(
        "rooms",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("seats", sa.Integer, nullable=False),
        sa.UniqueConstraint("name", name="uq_rooms"),
    )
    op.create_table(
        "bookings",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("room_id", sa.Integer, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.ForeignKeyConstraint(["room_id"], ["rooms.id"], name="fk_bookings_room_id"),
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("bookings")
    op.drop_table("rooms")
