"""What reviewers send and are answered."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from cove.wire.requests import NumberText

_SIGNATURE = "Over {text}; a token may stand for it"


class ReviewSelector(BaseModel):
    """Which reviews, or which file of one."""

    consumerAddress: str | None = Field(default=None, description="The reviewer's account")  # noqa: N815
    nonce: NumberText | None = Field(
        default=None, description="A decimal number, greater than the last one that the account used"
    )
    signature: str | None = Field(
        default=None, description=_SIGNATURE.format(text="consumerAddress, `reviews`, jobId, file and nonce")
    )
    jobId: str | None = Field(  # noqa: N815
        default=None, description="The job; its newest review is then shown with a preview of each file"
    )
    file: str | None = Field(default=None, description="Key of a file, as the review has it")
    state: str | None = Field(default=None, description="all: those that are closed, too; left out: open ones")


class ReviewVote(BaseModel):
    """A decision about one held file, or about a whole job."""

    consumerAddress: str | None = Field(default=None, description="The reviewer's account")  # noqa: N815
    nonce: NumberText | None = Field(
        default=None, description="A decimal number, greater than the last one that the account used"
    )
    signature: str | None = Field(
        default=None,
        description=_SIGNATURE.format(
            text="consumerAddress, `reviewVote`, jobId, file, sha256, decision, reason, a line feed and nonce"
        ),
    )
    jobId: str | None = Field(default=None, description="The job")  # noqa: N815
    file: str | None = Field(default=None, description="Key of the file; left out to return the job")
    sha256: str | None = Field(
        default=None, description="Digest of the bytes that the reviewer saw; left out to return the job"
    )
    decision: Literal["approve", "reject", "return"] | None = Field(
        default=None, description="return gives the whole job back, and its owner reads the reason"
    )
    reason: str | None = Field(default=None, description="Why; up to 2000 characters")


class ReviewMatch(BaseModel):
    """Input rows that stand in a held file."""

    dataset: str = Field(description="DID of the dataset whose rows they are")
    rows: int = Field(description="Distinct rows of the input")
    where: str = Field(description="The way into the file, as in inner.zip/table.csv; empty for the file itself")
    examples: list[str] = Field(description="Some of the rows, their values masked")


class ReviewVoteEntry(BaseModel):
    """What one reviewer said of a file."""

    reviewer: str = Field(description="An account, or local: and the name of somebody at the provider's machine")
    approve: bool = Field(description="Whether the file may leave")
    reason: str = Field(description="In the reviewer's words")
    at: float = Field(description="Unix time")


class ReviewPreview(BaseModel):
    """The beginning of a file as plain text; show it as text alone."""

    kind: Literal["text", "binary"] = Field(description="Of what is binary no text is shown")
    text: str = Field(description="Control characters are written as \\x and their number")
    whole: bool = Field(description="Whether that is all of it")


class ReviewFileEntry(BaseModel):
    """One held file."""

    key: str = Field(description="Stands for it in requests")
    path: str = Field(description="As the algorithm called it: it may hold anything")
    type: str = Field(description="output or algorithmLog")
    size: int = Field(description="Bytes")
    sha256: str = Field(description="Of its bytes; a vote is for these alone")
    contentType: str | None = Field(description="By its content; null where nobody looked")  # noqa: N815
    rows: int | None = Field(description="Of its largest table; null where none is known")
    reason: str = Field(description="Why it is held, for machines")
    rule: str = Field(description="The line of the policy that holds it; empty where none is known")
    opaque: str = Field(description="Why it could not be looked into; empty where it could")
    canaries: int = Field(description="Distinct canaries of the policy that are in it")
    smallestGroup: int | None = Field(  # noqa: N815
        description="Of the policy's columns in its tables; null where there are none"
    )
    matches: list[ReviewMatch] = Field(description="Input rows that were found in it")
    votes: list[ReviewVoteEntry] = Field(description="That count, the newest last")
    decision: Literal["approved", "rejected"] | None = Field(description="null while it is open")
    preview: ReviewPreview | None = Field(description="null where none was asked for, and once it is gone")
    difference: str | None = Field(
        description="From what was released last under its name, values masked; null where none was asked for, where "
        "nothing was released, and where one of the two is no text"
    )


class ReviewEntry(BaseModel):
    """The review of one attempt of a job."""

    jobId: str = Field(description="The job")  # noqa: N815
    attempt: int = Field(description="Which of its runs")
    owner: str = Field(description="The account that started the job, and may not review it")
    datasets: list[str] = Field(description="Their DIDs")
    state: str = Field(description="open, released, rejected, returned, expired or withdrawn")
    needed: int = Field(description="Different people who must approve a file")
    openedAt: float = Field(description="Unix time")  # noqa: N815
    expiresAt: float = Field(description="Unix time after which nothing more is let out")  # noqa: N815
    closedBy: str | None = Field(description="Who decided last; null where nobody did")  # noqa: N815
    closedAt: float | None = Field(description="Unix time; null while it is open")  # noqa: N815
    note: str | None = Field(description="Why it was returned; null where it was not")
    inspection: str = Field(description="Why nothing is known of some files; empty where all were looked into")
    files: list[ReviewFileEntry] = Field(description="What is held; empty in a list for the job's own owner")
