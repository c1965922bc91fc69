"""What the repositories share."""

from sqlalchemy.orm import Session


class Repository:
    """Holds the request's session; subclasses are the only places that write SQL."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def release(self) -> None:
        """End the session's snapshot of the database; what is read afterwards is newer."""
        self.session.rollback()
