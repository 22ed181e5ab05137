from __future__ import annotations

import pytest
from tests.support.documents import an_asset

from cove.core.errors import Refused
from cove.core.peers import MAX_PEER_SERVICES
from cove.jobs.elsewhere import check_count
from cove.jobs.orders import Priced

ASSET = an_asset()
HERE, THERE = (
    Priced("datasets[1]", ASSET, ASSET.services[0], None, elsewhere=elsewhere) for elsewhere in (False, True)
)


def test_a_request_may_name_so_many_services_of_other_providers() -> None:
    check_count([HERE] * 100 + [THERE] * MAX_PEER_SERVICES)
    with pytest.raises(Refused) as caught:
        check_count([THERE] * (MAX_PEER_SERVICES + 1))
    assert (caught.value.field, caught.value.reason) == ("datasets[1].serviceId", "too_many_providers")
