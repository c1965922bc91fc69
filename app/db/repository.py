"""What the repositories share."""

from sqlalchemy.orm import Session


class Repository:
    """Holds the request's session; subclasses are the only places that write SQL."""

    def __init__(self, session: Session) -> None:
        self.session = session
