"""Keep who has booked, and let a room be booked once a day."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Go on."""
    with op.batch_alter_table("bookings") as batch:
        batch.add_column(sa.Column("guest", sa.String(40), nullable=False, server_default="?"))
        batch.create_unique_constraint("uq_bookings", ["room_id", "day"])
    with op.batch_alter_table("bookings") as batch:
        batch.alter_column("guest", existing_type=sa.String(40), server_default=None)


def downgrade() -> None:
    """Go back."""
    with op.batch_alter_table("bookings") as batch:
        # MySQL needs an index for the foreign key, and took the constraint's.
        batch.create_index("fk_bookings_room_id", ["room_id"])
        batch.drop_constraint("uq_bookings", type_="unique")
        batch.drop_column("guest")
