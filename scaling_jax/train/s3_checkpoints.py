"""Checkpoints of Orbax in `s3://` buckets, which Orbax itself reads and writes only in `gs://`."""

import functools
import os
from typing import Any

from scaling_jax.errors import InputError


@functools.cache
def enable_s3() -> None:
    """Let Orbax treat `s3://` paths as it treats `gs://` paths: a file marks a finished checkpoint.

    TensorStore, which writes the arrays for Orbax, supports both kinds of bucket. Nothing changes
    if Orbax supports `s3://` by itself.

    Raises:
        InputError: a version of Orbax where this is not possible.
    """
    from orbax.checkpoint._src.path import gcs_utils
    from orbax.checkpoint._src.serialization import tensorstore_utils

    if _base_driver(tensorstore_utils) == "s3":
        return
    try:
        use_gcs, normalized = tensorstore_utils._use_gcs_driver, tensorstore_utils._normalize_path
        kvstore = gcs_utils.get_kvstore_for_gcs
        gcs_utils._GCS_PATH_PREFIX = (*gcs_utils._GCS_PATH_PREFIX, "s3://")
    except AttributeError as error:
        raise _unsupported() from error
    tensorstore_utils._use_gcs_driver = lambda path: use_gcs(path) or path.startswith("s3://")
    # Orbax's function turns s3://bucket into s3:/bucket.
    tensorstore_utils._normalize_path = lambda path: (
        "s3://" + os.path.normpath(path[5:]) if path.startswith("s3://") else normalized(path)
    )
    gcs_utils.get_kvstore_for_gcs = lambda path: (
        _s3_spec(path) if path.startswith("s3://") else kvstore(path)
    )
    if _base_driver(tensorstore_utils) != "s3":
        raise _unsupported()


def _unsupported() -> InputError:
    from importlib.metadata import version

    return InputError(
        f"checkpoints in s3:// buckets are not supported with orbax-checkpoint "
        f"{version('orbax-checkpoint')}: install orbax-checkpoint==0.12.8, or use gs:// or a "
        "mounted directory"
    )


def _s3_spec(path: str) -> dict[str, Any]:
    """TensorStore's form of an `s3://` path; it does not read these variables of AWS by itself."""
    bucket, _, inside = path.removeprefix("s3://").partition("/")
    spec = {"driver": "s3", "bucket": bucket, "path": inside}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if endpoint:
        # TensorStore asks for a region with an endpoint, where it cannot look the region up.
        spec |= {"endpoint": endpoint, "aws_region": region or "us-east-1"}
    elif region:
        spec["aws_region"] = region
    return spec


def _base_driver(tensorstore_utils: Any) -> str | None:
    """The kind of storage that Orbax would use for an `s3://` path; None if it refuses it."""
    try:
        spec = tensorstore_utils.build_kvstore_tspec("s3://bucket/directory", use_ocdbt=False)
    except ValueError:
        return None
    return spec.get("driver")
