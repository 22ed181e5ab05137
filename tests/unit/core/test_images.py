from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.images import an_image, an_index, digest_of

from cove.core.errors import ImageRefused
from cove.core.images import Index, Manifest, choose, parse_config, parse_manifest, platform_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
KEYS = ["mediaType", "config", "layers", "manifests", "digest", "size", "schemaVersion", "rootfs", "diff_ids", "Env"]


def test_the_machines_own_platform_is_chosen() -> None:
    arm, intel = an_image(b"a", platform="linux/arm64"), an_image(b"b", platform="linux/amd64")
    index = parse_manifest(an_index((arm, "linux/arm64"), (intel, "linux/amd64")).manifest)
    assert isinstance(index, Index)
    assert choose(index, platform_of("x86_64")).digest == intel.digest
    assert choose(index, platform_of("aarch64")).digest == arm.digest
    with pytest.raises(ImageRefused, match=r"not made for linux/s390x.* linux/amd64, linux/arm64"):
        choose(index, platform_of("s390x"))


def test_a_manifest_and_its_configuration_are_read() -> None:
    run = {"Env": ["A=1=2", "BAD NAME=x", "EMPTY="], "Entrypoint": ["a"], "Cmd": ["b"], "WorkingDir": "x//y/../z/"}
    image = an_image(b"one", b"two", run=run)
    manifest = parse_manifest(image.manifest)
    assert isinstance(manifest, Manifest)
    config = parse_config(image.blobs[manifest.config.digest])
    assert config.diff_ids == (digest_of(b"one"), digest_of(b"two"))
    assert config.environment == (("A", "1=2"), ("EMPTY", ""))
    assert (config.entrypoint, config.command, config.working_directory) == (("a",), ("b",), "/x/z")


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"schemaVersion": 1}, "first format"),
        ({"mediaType": "application/vnd.docker.distribution.manifest.v1+prettyjws"}, "first format"),
        ({"mediaType": "text/plain"}, "which is no image"),
        (
            {"config": {"mediaType": "application/vnd.cncf.helm.config", "digest": "sha256:" + "a" * 64, "size": 1}},
            "artefact",
        ),
        ({}, "incomplete"),
        ({"manifests": "x"}, "no manifests"),
        ({"manifests": [{"digest": "sha256:../../etc", "size": 1}]}, "no sha256 digest"),
        ({"manifests": [{"digest": "sha512:" + "a" * 128, "size": 1}]}, "no sha256 digest"),
        ({"manifests": [{"digest": "sha256:" + "a" * 64, "size": -1}]}, "how large"),
    ],
)
def test_what_is_no_image_is_refused_with_a_sentence(document: dict[str, object], sentence: str) -> None:
    with pytest.raises(ImageRefused, match=sentence):
        parse_manifest(json.dumps(document).encode())


def test_a_layer_of_a_type_that_cannot_be_unpacked_is_refused() -> None:
    with pytest.raises(ImageRefused, match="cannot be unpacked"):
        parse_manifest(an_image(b"a", suffix="+xz").manifest)


@given(st.binary(max_size=60) | st.dictionaries(st.sampled_from(KEYS), JSON).map(lambda d: json.dumps(d).encode()))
def test_any_document_is_read_or_refused(content: bytes) -> None:
    for read in (parse_manifest, parse_config):
        try:
            read(content)
        except ImageRefused as problem:
            assert problem.message.startswith(("The image", "The name"))
