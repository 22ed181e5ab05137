"""A release policy in words, rule by rule, and what each means for one job."""

from __future__ import annotations

from dataclasses import dataclass

from cove.core.policy import ReleaseLimits
from cove.core.policygate import HINTS, Candidate, algorithm_objection, consumer_objection, needs_files
from cove.core.rehearsal import MockRules
from cove.core.releasepolicy import LogMode, ReleasePolicy, ReviewMode


@dataclass(frozen=True, slots=True)
class Explained:
    """One rule."""

    #: As the policy file calls it.
    rule: str
    #: What it says, and what follows.
    text: str
    #: Whether the job may start as far as this rule goes; None: it says nothing about that, or nobody knows.
    passes: bool | None = None


def explain_mock(rules: MockRules) -> Explained:
    """Say whether a dataset has mock runs."""
    count = len(rules.files)
    if not count:
        return Explained("mock", "it has no sample, so that there are no mock runs on it.")
    files = "1 file is" if count == 1 else f"{count} files are"
    return Explained("mock", f"{files} its sample: mock runs need no orders, and release all that they write.")


def explain_start(
    policy: ReleasePolicy, consumer: str, algorithm: Candidate | None, runs_used: int | None
) -> tuple[Explained, ...]:
    """Say which of a dataset's rules would let a job start.

    Args:
        policy: Of the dataset.
        consumer: Account, in any case.
        algorithm: None: nothing is known of it.
        runs_used: Starts of the account in the period; None: nobody knows.
    """
    refusal = consumer_objection(policy.consumers, consumer)
    listed = "everybody who is not denied" if policy.consumers.allowed is None else "those that are listed"
    account = Explained("consumers", HINTS.get(refusal, f"{listed} may compute on it, this account too."), not refusal)
    return (account, *_runs(policy, runs_used), _algorithm(policy, algorithm))


def _runs(policy: ReleasePolicy, used: int | None) -> tuple[Explained, ...]:
    runs = policy.consumers.runs
    if runs is None:
        return ()
    known = "how many are used is not known here" if used is None else f"{used} are used"
    text = f"{runs} runs of one account in {duration(policy.consumers.period_seconds)}; {known}."
    return (Explained("consumers.runs", text, None if used is None else used < runs),)


def _algorithm(policy: ReleasePolicy, algorithm: Candidate | None) -> Explained:
    rules = policy.algorithms
    if rules.digests is None and rules.publishers is None and rules.raw:
        return Explained("algorithms", "any algorithm that the dataset's DDO trusts may run.", passes=True)
    if algorithm is None:
        return Explained("algorithms", "the policy has lists, and nothing is known of this algorithm.")
    if algorithm.files is None and needs_files(rules, algorithm):
        return Explained("algorithms.digests", "the digests of its files decide, and they are not known here.")
    refusal = algorithm_objection(rules, algorithm)
    return Explained("algorithms", HINTS.get(refusal, "the policy lets this algorithm run."), not refusal)


def explain_release(policy: ReleasePolicy, limits: ReleaseLimits, *, live_logs: bool) -> tuple[Explained, ...]:
    """Say what may leave, and what becomes of it.

    Args:
        policy: The strictest of a job's datasets.
        limits: From the owner's settings.
        live_logs: Whether the environment shows logs while they are written.
    """
    rules = policy.outputs
    files = min(limits.files, limits.files if rules.files is None else rules.files)
    total = min(limits.total_bytes, limits.total_bytes if rules.total_bytes is None else rules.total_bytes)
    largest = min(limits.file_bytes, limits.file_bytes if rules.file_bytes is None else rules.file_bytes)
    lines = [
        Explained("outputs", f"at most {files} files of {size(largest)}, {size(total)} in all; others never leave.")
    ]
    if rules.types is not None:
        lines.append(
            Explained("outputs.types", f"{', '.join(sorted(rules.types)) or 'none'}; others are {_held(policy)}.")
        )
    if rules.rows is not None:
        lines.append(Explained("outputs.rows", f"tables of more than {rules.rows} rows are {_held(policy)}."))
    lines += [_logs(policy, limits, live_logs=live_logs), _leaks(policy)]
    if policy.counts.columns and policy.counts.threshold:
        columns = ", ".join(sorted(policy.counts.columns))
        text = f"tables by {columns} with a group of fewer than {policy.counts.threshold} are {_held(policy)}."
        lines.append(Explained("counts", text))
    return (*lines, _review(policy))


def _logs(policy: ReleasePolicy, limits: ReleaseLimits, *, live_logs: bool) -> Explained:
    return Explained("logs", _log_text(policy, limits, live_logs=live_logs))


def _log_text(policy: ReleasePolicy, limits: ReleaseLimits, *, live_logs: bool) -> str:
    most = size(limits.log_bytes)
    match policy.logs.mode:
        case LogMode.OFF:
            return "nothing that the algorithm prints is shown; system events are."
        case LogMode.TAIL:
            tail = size(min(policy.logs.tail_bytes, limits.log_bytes))
            return f"the last {tail} leave at the end, after the checks."
        case LogMode.FULL:
            return f"all of it, up to {most}, leaves at the end, after the checks."
        case LogMode.LIVE:
            shown = "while the job runs it is shown unchecked" if live_logs else "the environment shows none live"
            return f"all of it, up to {most}, leaves at the end, after the checks; {shown}."


def _leaks(policy: ReleasePolicy) -> Explained:
    leaks = policy.leaks
    if not leaks.check:
        return Explained("leaks", "nothing is compared with the input.")
    text = f"with {leaks.fail_rows} rows of the input or more everything is {_held(policy)}"
    if leaks.warn_rows < leaks.fail_rows:
        text += f", with {leaks.warn_rows} or more the files that have them"
    if leaks.identifiers:
        text += f"; a value of {', '.join(sorted(leaks.identifiers))} counts as its row"
    if leaks.canaries:
        text += f"; one of {len(leaks.canaries)} canaries counts as too many rows"
    return Explained("leaks", f"{text}.")


def _review(policy: ReleasePolicy) -> Explained:
    persons = "one person" if policy.review.reviewers == 1 else f"{policy.review.reviewers} persons"
    waits = f"{persons} must approve a file within {duration(policy.review.expires_seconds)}"
    if policy.review.mode is ReviewMode.NONE:
        return Explained("review", "nobody looks: what does not leave by itself never leaves.")
    always = policy.review.mode is ReviewMode.ALWAYS
    first = "nothing leaves by itself" if always else "what is held waits for a person"
    return Explained("review", f"{first}: {waits}.")


def _held(policy: ReleasePolicy) -> str:
    return "refused" if policy.review.mode is ReviewMode.NONE else "held for a person"


def size(count: int) -> str:
    """Write a number of bytes for people."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}" if count < 1000 * unit else f"{count // unit} {name}"
    return f"{count} bytes"


def duration(seconds: int) -> str:
    """Write a time for people."""
    for unit, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds % unit == 0 and seconds:
            return f"{seconds // unit} {name}"
    return f"{seconds} seconds"
