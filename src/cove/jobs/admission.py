"""Decides whether a requested job may start, and makes it: every check that ``POST compute`` owes, in its order."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from cove.core.asset import Asset
from cove.core.container import check_container, check_environment
from cove.core.ddo import public_document
from cove.core.environment import Environment
from cove.core.errors import CoveError, DataMissing, NotFound, Refused, TooMany
from cove.core.job import Container, InputAsset, Package, PeerFiles, SealedFiles
from cove.core.json_form import members
from cove.core.parameters import fill
from cove.core.policygate import Candidate
from cove.core.trust import (
    AlgorithmOnTrial,
    container_checksum,
    files_checksum,
    may_consume,
    may_reach_network,
    may_run,
    needs_files_checksum,
)
from cove.jobs import elsewhere, looks, mocking, policing, provisioning
from cove.jobs.orders import Priced, asset_of_any, no_asset
from cove.jobs.parts import Parts
from cove.jobs.policing import Ruled
from cove.jobs.requests import AssetRequest, RawAlgorithm
from cove.sources.copying import hash_of


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request whose assets are known and may be used together; orders are not looked at yet."""

    datasets: tuple[Priced, ...]
    #: None for raw code.
    algorithm: Priced | None
    #: It has the policy that the job will run under.
    package: Package
    #: What each dataset's owner says.
    ruled: tuple[Ruled, ...]

    @property
    def items(self) -> tuple[Priced, ...]:
        """Give everything that needs an order."""
        return self.datasets if self.algorithm is None else (*self.datasets, self.algorithm)

    @property
    def inputs(self) -> tuple[InputAsset, ...]:
        """Give what each of :attr:`items` brings to the job."""
        return (*self.package.datasets, self.package.algorithm)[: len(self.items)]


async def admit(
    parts: Parts,
    consumer: str,
    datasets: tuple[AssetRequest, ...],
    algorithm: AssetRequest | None,
    raw: RawAlgorithm | None,
    *,
    starting: bool,
    mock: bool = False,
    custom_data: str = "{}",
) -> Admitted:
    """Resolve what a request names, and check it against the rules of its assets.

    Args:
        parts: The house.
        consumer: The caller.
        datasets: The main one first.
        algorithm: A published algorithm; None with ``raw``.
        raw: An algorithm sent along; it takes precedence.
        starting: True where a job is to start: each item must name a transaction, and the consumer's parameters are
            checked.
        mock: True for a mock job: samples stand for the datasets' files, and no item need name a transaction.
        custom_data: JSON object of the consumer's values for the algorithm, as text.

    Raises:
        Refused: With the field and the code of the API.
        Invalid: A consumer parameter is missing or wrong.
        Unavailable: The chain does not answer.
    """
    need_orders = starting and not mock
    assets = await _assets(parts, datasets, None if raw is not None else algorithm)
    if raw is not None:
        tried, container = _raw_algorithm(raw), _raw_container(raw)
        priced_algorithm = None
        algorithm_input = _raw_input(parts, raw)
    else:
        if algorithm is None or not algorithm.document_id:
            raise Refused("algorithm", "missing_meta_documentId")
        priced_algorithm = _algorithm(assets, consumer, algorithm, need_orders=need_orders)
        container = _published_container(priced_algorithm.asset)
        tried = AlgorithmOnTrial(
            priced_algorithm.asset.did,
            priced_algorithm.asset.publisher,
            None,
            container_checksum(container.entrypoint, container.checksum),
        )
        algorithm_input = _input(priced_algorithm, algorithm)
        if starting:
            algorithm_input, custom_data = _algorithm_values(priced_algorithm, algorithm_input, custom_data)
    priced = [
        _dataset(assets, consumer, request, position, need_orders=need_orders)
        for position, request in enumerate(datasets)
    ]
    inputs = [_input(item, request) for item, request in zip(priced, datasets, strict=True)]
    if starting:
        inputs = [_with_values(item, given) for item, given in zip(priced, inputs, strict=True)]
    sealed = inputs if priced_algorithm is None else [*inputs, algorithm_input]
    if not all(given in parts.opened for given in sealed):
        priced, inputs, priced_algorithm, algorithm_input = await asyncio.to_thread(
            _located, parts, priced, inputs, priced_algorithm, algorithm_input
        )
    items = [*priced, *([priced_algorithm] if priced_algorithm else [])]
    elsewhere.check_count(items)
    inputs = await mocking.stand_in(parts, items, inputs, mock=mock)
    ruled = await policing.rules_of(parts, [(item.asset.did, item.field) for item in priced])
    candidate = Candidate(raw is not None, container.checksum, publisher=tried.publisher)
    wanted = policing.wants_files(ruled, candidate)
    tried = await _with_checksum(parts, priced, tried, algorithm_input, wanted=wanted)
    for item in priced:
        if item.service.compute is not None:
            try:
                may_run(item.asset, item.service, tried)
            except Refused as problem:
                raise Refused(item.field, problem.reason, hint=problem.hint) from None
    policing.check(ruled, consumer, replace(candidate, files=tried.files_checksum))
    if tried.files_checksum is not None:
        algorithm_input = replace(algorithm_input, files_checksum=tried.files_checksum)
    package = Package(
        tuple(inputs),
        algorithm_input,
        container,
        raw.rawcode if raw else None,
        custom_data,
        network=may_reach_network([item.service for item in priced]),
        policy=policing.frozen(ruled),
    )
    return Admitted(tuple(priced), priced_algorithm, package, ruled)


async def admit_again(parts: Parts, consumer: str, package: Package) -> tuple[Package, tuple[Ruled, ...]]:
    """Hold a job that is to run again to the policies as they are now, and give its package with them.

    A mock job stays one, with the samples as they are now.

    Raises:
        Refused: A dataset's owner says no by now.
        Unavailable: A policy cannot be used.
    """
    fields = [field_of(position) for position in range(len(package.datasets))]
    if package.mock:
        package = replace(package, datasets=await mocking.sampled(parts, package.datasets, fields))
    dids = [given.did for given in package.datasets]
    ruled = await policing.rules_of(parts, list(zip(dids, fields, strict=True)))
    algorithm = package.algorithm
    known = algorithm.files_checksum or None
    candidate = Candidate(not algorithm.did, package.container.checksum, known, algorithm.publisher)
    if known is None and policing.wants_files(ruled, candidate):
        known = await _checksum(parts, algorithm)
        algorithm = replace(algorithm, files_checksum=known or "")
    policing.check(ruled, consumer, replace(candidate, files=known))
    return replace(package, algorithm=algorithm, policy=policing.frozen(ruled)), ruled


def environment_of(parts: Parts, name: str | None) -> Environment:
    """Give an environment by its id; an absent id means the only one there is.

    Raises:
        Refused: There is none of that name.
    """
    if not name and len(parts.environments) == 1:
        return next(iter(parts.environments.values()))
    if name is None or name not in parts.environments:
        raise Refused(
            "environment", "Compute environment does not exist", hint="computeEnvironments lists those that do."
        )
    return parts.environments[name]


def variables(given: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Check the consumer's own environment variables.

    Raises:
        Refused: A name is reserved or malformed.
    """
    check_environment(dict(given))
    return given


def field_of(position: int) -> str:
    """Name a dataset in answers: ``dataset`` is the main one, then ``datasets[1]``."""
    return "dataset" if position == 0 else f"datasets[{position}]"


_Found = Mapping[str, Asset | CoveError]
"""What is known of each DID of a request."""


async def _assets(parts: Parts, datasets: tuple[AssetRequest, ...], algorithm: AssetRequest | None) -> _Found:
    """Look everything up at once; what could not be found is told when its turn to be checked comes."""
    requests = datasets if algorithm is None else (algorithm, *datasets)
    dids = list(dict.fromkeys(request.document_id for request in requests if request.document_id))
    stores = tuple(parts.metadata.values())
    found = await asyncio.gather(*(asset_of_any(stores, did) for did in dids), return_exceptions=True)
    known: dict[str, Asset | CoveError] = {}
    for did, one in zip(dids, found, strict=True):
        if not isinstance(one, Asset | CoveError):
            raise one
        known[did] = one
    return known


def _asset(assets: _Found, did: str, field: str) -> Asset:
    match assets[did]:
        case Asset() as asset:
            return asset
        case NotFound():
            raise no_asset(field)
        case problem:
            raise problem


def _algorithm(assets: _Found, consumer: str, request: AssetRequest, *, need_orders: bool) -> Priced:
    asset = _asset(assets, request.document_id or "", "algorithm")
    if asset.type != "algorithm" or asset.algorithm is None:
        raise Refused("algorithm", "not_algo")
    service = asset.service(request.service_id) if request.service_id else None
    if service is None:
        raise Refused("algorithm.serviceId", "not_found" if request.service_id else "missing")
    if need_orders and not request.order_tx:
        raise Refused("algorithm.transferTxId", "missing")
    _may_consume(asset, consumer, "algorithm")
    return Priced("algorithm", asset, service, request.order_tx)


def _dataset(assets: _Found, consumer: str, request: AssetRequest, position: int, *, need_orders: bool) -> Priced:
    field = field_of(position)
    if not request.document_id:
        raise Refused(f"{field}.documentId", "missing")
    if need_orders and not request.order_tx:
        raise Refused(f"{field}.transferTxId", "missing")
    if not request.service_id:
        raise Refused(f"{field}.serviceId", "missing")
    asset = _asset(assets, request.document_id, field)
    service = asset.service(request.service_id)
    if service is None:
        raise Refused(f"{field}.serviceId", "not_found")
    _may_consume(asset, consumer, field)
    if service.type not in {"access", "compute"}:
        raise Refused(f"{field}.serviceId", "service_not_access_compute")
    if position == 0 and service.type != "compute":
        raise Refused(f"{field}.serviceId", "main_service_compute")
    return Priced(field, asset, service, request.order_tx)


def _may_consume(asset: Asset, consumer: str, field: str) -> None:
    try:
        may_consume(asset, consumer)
    except Refused as problem:
        raise Refused(field, problem.reason, hint=problem.hint) from None


def _input(item: Priced, request: AssetRequest) -> InputAsset:
    return InputAsset(
        did=item.asset.did,
        service_id=item.service.id,
        files=SealedFiles(item.service.files, item.service.datatoken, item.asset.nft),
        document=public_document(item.asset),
        userdata=request.userdata,
        publisher=item.asset.publisher,
    )


def _with_values(item: Priced, given: InputAsset) -> InputAsset:
    return replace(given, userdata=fill(item.service.parameters, given.userdata, item.under("userdata")))


def _algorithm_values(item: Priced, given: InputAsset, custom_data: str) -> tuple[InputAsset, str]:
    """Check the algorithm's values; they come as ``algocustomdata`` or as ``userdata``, and reach it as one object."""
    own = item.asset.algorithm.parameters if item.asset.algorithm else ()
    named = members(given.userdata, "algorithm.userdata")
    further = [parameter for parameter in own if parameter.name in named]
    missing = [parameter for parameter in own if parameter.name not in named]
    userdata = fill((*item.service.parameters, *further), given.userdata, "algorithm.userdata")
    return replace(given, userdata=userdata), fill(missing, custom_data, "algorithm.algocustomdata")


def _located(
    parts: Parts, priced: list[Priced], inputs: list[InputAsset], algorithm: Priced | None, algorithm_input: InputAsset
) -> tuple[list[Priced], list[InputAsset], Priced | None, InputAsset]:
    """See that the algorithm's and each dataset's files can be had, before anything is promised. Blocking."""
    if algorithm is not None:
        try:
            algorithm, algorithm_input = elsewhere.locate(parts, algorithm, algorithm_input, main=False)
        except DataMissing as problem:
            raise Refused("algorithm", "file_unavailable", hint=problem.message) from None
    found: list[tuple[Priced, InputAsset]] = []
    for position, (item, given) in enumerate(zip(priced, inputs, strict=True)):
        try:
            found.append(elsewhere.locate(parts, item, given, main=position == 0))
        except DataMissing as problem:
            raise Refused(
                f"{item.field}.serviceId", "compute_services_not_in_same_provider", hint=problem.message
            ) from None
    return [item for item, _ in found], [given for _, given in found], algorithm, algorithm_input


async def _with_checksum(
    parts: Parts, priced: list[Priced], tried: AlgorithmOnTrial, algorithm: InputAsset, *, wanted: bool
) -> AlgorithmOnTrial:
    """Hash the algorithm's files, but only where a dataset's owner approved it by their digest.

    Another provider's word is taken for the digests of its files; what then arrives is hashed, and the job ends where
    it has not the digest that was approved here.
    """
    wanted |= any(needs_files_checksum(item.service, tried) for item in priced if item.service.compute is not None)
    return replace(tried, files_checksum=await _checksum(parts, algorithm)) if wanted else tried


async def _checksum(parts: Parts, algorithm: InputAsset) -> str | None:
    if algorithm.files is None:
        return None
    try:
        return await parts.looks.run(lambda: _hash_files(parts, algorithm))
    except TooMany:
        raise
    except CoveError as problem:
        raise Refused("algorithm", "file_unavailable", hint=problem.message) from None


def _hash_files(parts: Parts, algorithm: InputAsset) -> str:
    until = time.monotonic() + looks.SECONDS
    if isinstance(algorithm.files, PeerFiles):
        return files_checksum(parts.peers.digests(algorithm.files.provider, algorithm.did, algorithm.service_id))
    listed = provisioning.open_files(parts, algorithm)
    hashes = [hash_of(parts.sources, file, looks.MAX_BYTES, until=until) for file in listed.files]
    return files_checksum(hashes)


def _published_container(asset: Asset) -> Container:
    terms = asset.algorithm
    if terms is None:
        raise Refused("algorithm", "not_algo")
    return check_container(terms.entrypoint, terms.image, terms.tag, terms.checksum)


def _raw_container(raw: RawAlgorithm) -> Container:
    return check_container(raw.entrypoint, raw.image, raw.tag, raw.checksum)


def _raw_algorithm(raw: RawAlgorithm) -> AlgorithmOnTrial:
    if not raw.rawcode and not raw.url:
        raise Refused("algorithm", "meta_oneof_url_rawcode_remote")
    return AlgorithmOnTrial(None, "", None, container_checksum(raw.entrypoint or "", raw.checksum or ""))


def _raw_input(parts: Parts, raw: RawAlgorithm) -> InputAsset:
    """Seal the URL of a consumer's own algorithm, so that it stands nowhere in clear."""
    if raw.rawcode or not raw.url:
        return InputAsset("", "", None)
    plain = json.dumps([{"type": "url", "url": raw.url, "method": "GET"}]).encode()
    return InputAsset("", "", SealedFiles("0x" + parts.vault.encrypt(plain).hex(), "", ""))
