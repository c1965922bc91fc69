"""What GET /match-kinds says of a match kind, as JSON."""

from pydantic import Field

from app.wall import Answer


class MatchKindFeature(Answer):
    """A feature, its weight and what it measures."""

    name: str
    weight: float
    sentence: str


class MatchKindRule(Answer):
    """A hard rule and what it demands."""

    label: str
    sentence: str


class MatchKindBand(Answer):
    """A band and the least score in it."""

    name: str
    words: str
    least_score: float


class MatchKindCap(Answer):
    """A cap on lists, what it means, and its figures."""

    label: str
    sentence: str
    figures: dict[str, float]


class MatchKindFairness(Answer):
    """What a list of seekers, and one of offers, may look like."""

    seeker: list[MatchKindCap]
    offer: list[MatchKindCap]


class MatchKindProbabilityBand(Answer):
    """A band and the least probability in it."""

    name: str
    words: str
    least_probability: float


class MatchKindCalibration(Answer):
    """What the probabilities of a match kind rest on."""

    version: str
    method: str
    basis: str = Field(description="Whether it reads the score, or its share of what the facts known could add up to.")
    threshold: float = Field(description="Probability below which nothing is suggested.")
    bands: list[MatchKindProbabilityBand]
    figures: dict[str, float] = Field(description="What was measured when it was fitted.")
    made_on: str
    labelled: str = Field(description="File of labelled pairs.")
    labelled_sha256: str


class MatchKindAnswer(Answer):
    """A match kind: its sides, hard rules, features and weights, the caps on its lists, and its calibration."""

    name: str
    seeker: str
    offer: str
    risk_tier: str
    rules_version: str
    features: list[MatchKindFeature]
    rules: list[MatchKindRule]
    bands: list[MatchKindBand] = Field(description="By score, where no calibration applies.")
    fairness: MatchKindFairness = Field(description="By the side that is suggested.")
    calibration: MatchKindCalibration | None
    not_calibrated: str | None = Field(description="Why no calibration applies, or null.")
