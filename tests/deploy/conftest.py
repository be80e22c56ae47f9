"""What needs daemons runs in `make test-deploy`, and says so elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.deploy.docker import Docker, build_images, daemon

KINDS = tuple(os.environ.get("ASSAY_TEST_IMAGES", "client math code judge preference gateway").split())
"""Images that are built; tests of others are skipped."""


class Images(dict[str, int]):
    """Images that were built: name and size in bytes."""

    def need(self, *kinds: str) -> None:
        """Skip a test of an image that was not asked for."""
        lacking = [kind for kind in kinds if f"assay-{kind}:test" not in self]
        if lacking:
            pytest.skip(f"not among the images that were asked for: {', '.join(lacking)}")


@pytest.fixture(scope="session")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    """A Docker daemon."""
    if not os.environ.get("ASSAY_TEST_DEPLOY"):
        pytest.skip("needs a Docker daemon: make test-deploy")
    with daemon(tmp_path_factory.mktemp("docker")) as found:
        yield found


@pytest.fixture(scope="session")
def images(docker: Docker) -> Images:
    """Images of this checkout as built by the documented command."""
    if os.environ["ASSAY_TEST_DEPLOY"] != "built":  # by an earlier run, for a quick second one
        build_images(docker, KINDS)
    sizes = Images()
    for kind in KINDS:
        name = f"assay-{kind}:test"
        sizes[name] = int(docker("image", "inspect", "--format", "{{.Size}}", name))
        print(f"{name}  {sizes[name] / 1e6:.0f} MB")
    return sizes
