"""Has the site's own policies say yes before something is done for a caller."""

from __future__ import annotations

from cove.core.consent import Action, Question, Wanted
from cove.core.job import InputAsset, Job
from cove.jobs.admission import Admitted, field_of
from cove.jobs.orders import Priced, find_asset
from cove.jobs.parts import Parts
from cove.jobs.steps import unpack


async def consent(parts: Parts, question: Question) -> None:
    """Return when every policy says yes.

    Raises:
        Invalid: One says no.
        Forbidden: One says no.
        TooMany: Too many such questions are open.
        Unavailable: One does not answer.
    """
    for gate in parts.gates:
        await gate.ask(question)


async def consent_to_job(parts: Parts, action: Action, account: str, admitted: Admitted, passed_on: str) -> None:
    """Ask about a job that is to be quoted or started; raises as :func:`consent` does."""
    algorithm = None if admitted.algorithm is None else wanted(admitted.algorithm)
    datasets = tuple(wanted(item) for item in admitted.datasets)
    mock = admitted.package.mock
    await consent(parts, Question(action, account, datasets, algorithm, passed_on=passed_on, mock=mock))


async def consent_to_restart(parts: Parts, job: Job, passed_on: str) -> None:
    """Ask about a job that is to run again, with the DDOs as they are published now; raises as :func:`consent` does.

    Raises:
        Refused: One of its assets is published no more, so that no policy can be asked about it.
    """
    if not parts.gates:
        return
    package = unpack(parts.vault.unseal(await parts.store.package(job.id)))
    datasets = [await _published(parts, given, field_of(place)) for place, given in enumerate(package.datasets)]
    algorithm = await _published(parts, package.algorithm, "algorithm") if package.algorithm.did else None
    asked = Question(Action.COMPUTE, job.owner, tuple(datasets), algorithm, passed_on=passed_on, mock=package.mock)
    await consent(parts, asked)


def wanted(item: Priced, file_index: int | None = None) -> Wanted:
    """Give what policies are told of a service."""
    return Wanted(item.asset.did, item.service.id, item.asset.document, item.order_tx, file_index)


async def _published(parts: Parts, given: InputAsset, field: str) -> Wanted:
    asset = await find_asset(parts, given.did, field)
    return Wanted(asset.did, given.service_id, asset.document)
