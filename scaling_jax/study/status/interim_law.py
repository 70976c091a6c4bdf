"""The law fitted to the runs of a study that have finished so far."""

import json
import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import scaling_jax
from scaling_jax.config.strict import parsed_json
from scaling_jax.errors import InputError, LeftOutWarning, suggestion
from scaling_jax.study.status.standing import Standing
from scaling_jax.study.store.records import collect
from scaling_jax.study.store.store import Store
from scaling_jax.system.files import read_text, write_text_atomically

INTERIM_FILE = "law_so_far.json"

# Instead of a law's name, where none is wanted.
NO_LAW = "none"

# Largest share of the time that may go into fitting, where a study is watched.
_SHARE_OF_TIME = 0.1

_FITTED = (
    *("law", "n_points", "level", "count", "params", "intervals"),
    *("exponents", "exponent_intervals"),
)


class InterimLaw:
    """The law so far, which is fitted again only when another run has finished.

    The fit is kept in the store, so that the next process to show the study need not repeat it.
    """

    def __init__(self, store: Store, law: str) -> None:
        self._store, self._name = store, law
        self._last: dict[str, Any] | None = None
        self._not_before = 0.0

    @classmethod
    def named(cls, store: Store, law: str) -> "InterimLaw | None":
        """The law of this name so far; None for the name `none`.

        Raises:
            InputError: an unknown name.
        """
        from scaling_jax.laws import LAWS
        from scaling_jax.laws.catalogue.find import AUTO

        known = [*LAWS, AUTO, NO_LAW]
        if law not in known:
            raise InputError(f"unknown law {law!r}{suggestion(law, known)}")
        return None if law == NO_LAW else cls(store, law)

    def law(self, standing: Standing) -> dict[str, Any]:
        """The law as plain data: `law`, `n_points`, `params`, `exponents` and their intervals.

        If no law can be fitted, the data hold the reason as `refused` instead. The law may be a
        little older than `standing`; `n_finished` is the number of runs that it was fitted to.
        """
        key = {
            "version": scaling_jax.__version__,
            "law": self._name,
            "runs": sorted(standing.finished_ids),
        }
        if self._last is None:
            self._last = self._stored()
        is_current = self._last is not None and self._last["key"] == key
        if not is_current and (self._last is None or time.monotonic() >= self._not_before):
            self._last = {"key": key, "fit": self._fitted()}
            with suppress(OSError):
                write_text_atomically(self._store.directory / INTERIM_FILE, json.dumps(self._last))
        assert self._last is not None
        return {"n_finished": len(self._last["key"]["runs"]), **self._last["fit"]}

    def _stored(self) -> dict[str, Any] | None:
        """What was fitted before, unless it is damaged or of another version or law."""
        try:
            stored = parsed_json(read_text(self._store.directory / INTERIM_FILE), INTERIM_FILE)
            key, fit = stored["key"], stored["fit"]
            is_whole = isinstance(key["runs"], list) and (
                isinstance(fit.get("refused"), str) or _is_law(fit)
            )
            is_ours = (key["version"], key["law"]) == (scaling_jax.__version__, self._name)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return stored if is_whole and is_ours else None

    def _fitted(self) -> dict[str, Any]:
        from scaling_jax import laws

        began = time.monotonic()
        try:
            with warnings.catch_warnings():
                # The standing names the runs that are left out.
                warnings.simplefilter("ignore", LeftOutWarning)
                records = collect(self._store)
            fit = laws.fit(records, law=self._name)
        except InputError as error:
            return {"refused": str(error)}
        finally:
            spent = time.monotonic() - began
            self._not_before = time.monotonic() + spent / _SHARE_OF_TIME
        found = {name: getattr(fit, name) for name in _FITTED}
        return found | {name: dict(found[name]) for name in ("params", "exponents")}


def _is_law(fit: Mapping[str, Any]) -> bool:
    numbers = [*fit["params"].values(), *fit["exponents"].values(), fit["level"], fit["n_points"]]
    return fit.keys() == set(_FITTED) and all(isinstance(x, int | float) for x in numbers)
