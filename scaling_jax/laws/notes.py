"""Notes of a fit: sentences with codes that programs can test, and the table of all codes."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Literal

Severity = Literal["warning", "note"]


class NoteCode(StrEnum):
    """What a note is about, with the severity and the meaning of every such note.

    A `warning` is printed first: the answer may be wrong, or its interval too narrow. A `note`
    gives how the answer was made, and what the data cannot say.

    Attributes:
        severity: `warning` or `note`.
        meaning: in one line.
    """

    severity: Severity
    meaning: str

    def __new__(cls, code: str, severity: Severity, meaning: str) -> "NoteCode":
        """The code as a string, with what every note of it has."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.severity, member.meaning = severity, meaning
        return member

    # The table.
    REPEATED_ROWS = (
        "repeated-rows",
        "warning",
        "Rows repeat earlier rows in every column, and each of them counts.",
    )
    MIXED_RECIPES = (
        "mixed-recipes",
        "warning",
        "Runs differ in hyperparameters that the law ignores.",
    )
    SWEEP_IN_TABLE = (
        "sweep-in-table",
        "warning",
        "Runs of equal size and data differ in settings and loss, and the fit takes their middle.",
    )
    UNITS_SUSPECT = (
        "units-suspect",
        "warning",
        "The magnitude of a column suggests another unit; the fit takes the numbers as given.",
    )
    WEIGHTS_UNUSED = ("weights-unused", "warning", "The approach ignores the weights of the rows.")
    COLUMNS_RECOGNISED = (
        "columns-recognised",
        "note",
        "Columns were mapped to ours because the table has a known layout.",
    )
    TOKENS_DERIVED = (
        "tokens-derived",
        "note",
        "The table has no tokens, so they follow from compute and size.",
    )
    MISSING_RUNS = ("missing-runs", "note", "Planned runs without a loss were left out.")
    COMPUTE_DEFINITION = ("compute-definition", "note", "What C is, and how C depends on N and D.")
    BUDGET_DIFFERS = (
        "budget-differs",
        "note",
        "The column budget differs from C, and how runs were grouped by C.",
    )
    COMPUTE_SPAN = ("compute-span", "note", "The decades of compute that the data cover.")

    LOSS_RISES = (
        "loss-rises",
        "warning",
        "The loss rises with size, data or compute, so there is no optimum.",
    )
    FLOOR_UNIDENTIFIED = (
        "floor-unidentified",
        "warning",
        "The data do not bound the irreducible loss; predictions far beyond them are unsafe.",
    )
    KNOWN_FLOOR = (
        "known-floor",
        "note",
        "How far the fitted floor lies from the known entropy of the text.",
    )
    VANISHED_TERM = (
        "vanished-term",
        "warning",
        "A term of the law vanished at the optimum, so the data do not bound it from below.",
    )
    COLLINEAR_RUNS = (
        "collinear-runs",
        "warning",
        "Size and data rise together, so that their effects are hard to tell apart.",
    )
    RESIDUAL_TREND = (
        "residual-trend",
        "warning",
        "Residuals trend with size, data or compute: the law bends away from the data.",
    )
    RESIDUAL_CURVATURE = (
        "residual-curvature",
        "warning",
        "Residuals curve with compute: the law misses both ends of the data to one side.",
    )
    LACK_OF_FIT = (
        "lack-of-fit",
        "warning",
        "The law misses runs by more than the noise between seeds explains.",
    )
    OUTLIERS_PULL = (
        "outliers-pull",
        "warning",
        "Rows lie far off the law, and squared error lets them pull the law to themselves.",
    )
    INFLUENTIAL_RUN = (
        "influential-run",
        "warning",
        "Without a single row or run the answer would leave its interval.",
    )
    FEW_ROWS = (
        "few-rows",
        "warning",
        "Few distinct rows per constant, so that intervals are missing or tend to be too narrow.",
    )
    FEW_RUNS = (
        "few-runs",
        "warning",
        "Too few whole runs were resampled, so that intervals tend to be too narrow.",
    )
    UNEQUAL_RUNS = (
        "unequal-runs",
        "warning",
        "One run holds most rows, so that intervals rest on how often it was drawn.",
    )
    OUTLIER_ROWS = (
        "outlier-rows",
        "note",
        "Rows lie far off the law; the objective bounds their pull.",
    )
    CONSTANT_UNIDENTIFIED = (
        "constant-unidentified",
        "note",
        "Many resamples put a constant a thousand times above or below its median.",
    )
    RESAMPLES_ALIKE = (
        "resamples-alike",
        "note",
        "No resample moves a constant, so that it has no interval.",
    )
    OPTIMUM_FOUND = ("optimum-found", "note", "The objective at the optimum, and how it was found.")
    FLAT_OPTIMUM = (
        "flat-optimum",
        "note",
        "The objective is nearly flat in some direction: read constants together.",
    )
    NOISE_SCALE = ("noise-scale", "note", "How far single rows scatter about the law.")
    SEED_NOISE = (
        "seed-noise",
        "note",
        "How far runs that differ in their seed alone scatter.",
    )
    LAW_CHOSEN = ("law-chosen", "note", "Which forms were averaged, and what each would say.")
    RUNS_RESAMPLED = (
        "runs-resampled",
        "note",
        "Whole runs were resampled, since several rows share a run.",
    )

    GRID_EDGE = (
        "grid-edge",
        "warning",
        "The best size of a budget is its smallest or largest, and the budget was left out.",
    )
    NO_MINIMUM = (
        "no-minimum",
        "warning",
        "The curve of a budget has no minimum among its sizes, and the budget was left out.",
    )
    GRID_DRIFTS = (
        "grid-drifts",
        "warning",
        "The sizes of each budget drift away from its optimum as budgets grow.",
    )
    MINIMA_AT_EDGES = (
        "minima-at-edges",
        "warning",
        "In every budget the smallest or the largest model is the best, so none shows its minimum.",
    )
    OPTIMUM_BELOW_SIZES = (
        "optimum-below-sizes",
        "warning",
        "The optimum of a budget is smaller than every model that was trained there.",
    )
    APPROACHES_DISAGREE = (
        "approaches-disagree",
        "warning",
        "The intervals of two approaches do not overlap, so at most one of them can be right.",
    )
    FEW_MINIMA = (
        "few-minima",
        "warning",
        "Two minima leave no way to see whether the frontier is straight.",
    )
    FEW_SIZES = ("few-sizes", "note", "A budget has too few sizes, and was left out.")
    FRONTIER_LOSS_UNFITTED = (
        "frontier-loss-unfitted",
        "note",
        "The minima do not determine how the loss of the optimum falls with compute.",
    )
    READ_OFF_BIAS = (
        "read-off-bias",
        "note",
        "How far approach 2 misses the optimum of the fitted law without any noise.",
    )
    ENVELOPE_RUNS = ("envelope-runs", "note", "How many runs and sizes are on the envelope.")
    ENVELOPE_LEFT_OUT = (
        "envelope-left-out",
        "note",
        "The share of FLOP values whose best size is not known, so that they do not count.",
    )
    KAPLAN_STOPPING = (
        "kaplan-stopping",
        "note",
        "Kaplan's law of size and steps, fitted to the same curves, and where it stops a size.",
    )

    BADLY_TUNED_RUNG = (
        "badly-tuned-rung",
        "warning",
        "The runs of a budget lie above what the others imply, as badly tuned runs do.",
    )
    CERTIFICATE = (
        "certificate",
        "note",
        "The optimal loss at a budget by every positive mixture of power laws through the data.",
    )
    FORM_REFUTED = (
        "form-refuted",
        "warning",
        "The measured losses rule out every law of the form, whatever its constants.",
    )
    FORM_ERROR_UNMEASURED = (
        "form-error-unmeasured",
        "warning",
        "Too few cut-offs measure the error of the form; published tables stand in for them.",
    )
    EXTRAPOLATION_REFUSED = (
        "extrapolation-refused",
        "warning",
        "No law predicts the held-out runs of this table, so none is trusted beyond the data.",
    )
    TEXT_REPEATED = (
        "text-repeated",
        "warning",
        "Runs read their text more than four times, which lowers the loss less than fresh text.",
    )
    DATA_LIMIT = ("data-limit", "warning", "The answer needs more data than there are.")
    OUTSIDE_RANGE = ("outside-range", "note", "A variable lies outside the range of the data.")
    REPEATS_DECAY = (
        "repeats-decay",
        "note",
        "How tokens wear out by repetition is taken from published runs.",
    )
    FLOOR_ABOVE_LOSS = (
        "floor-above-loss",
        "note",
        "In some resamples the other recipe never reaches the loss.",
    )
    FLOORS_DIFFER = (
        "floors-differ",
        "note",
        "Two recipes are compared with two fitted floors, which decide far beyond the data.",
    )
    STUDIES_REFUSED = ("studies-refused", "warning", "Some simulated studies could not be fitted.")

    UNSPECIFIED = ("unspecified", "note", "A note of a fit that was stored before notes had codes.")


class Note(str):
    """A sentence about an answer, with a code; prints and compares as a plain string.

    >>> note = Note(NoteCode.MISSING_RUNS, "Runs without a loss were left out.")
    >>> note.code == "missing-runs", note.severity, note
    (True, 'note', 'Runs without a loss were left out.')

    Attributes:
        code: what the sentence is about.
    """

    code: NoteCode

    def __new__(cls, code: NoteCode, text: str) -> "Note":
        """The text as a string, with its code."""
        note = super().__new__(cls, text)
        note.code = code
        return note

    def __reduce__(self) -> tuple[Any, ...]:
        return Note, (self.code, str(self))

    @property
    def severity(self) -> Severity:
        """`warning` where the answer may be wrong, else `note`."""
        return self.code.severity

    @property
    def line(self) -> str:
        """The sentence as it is printed, after its severity."""
        return f"{self.severity}: {self}"

    def as_data(self) -> dict[str, str]:
        """`code`, `severity` and `text`, as JSON has them."""
        return {"code": str(self.code), "severity": self.severity, "text": str(self)}


def note_of(entry: object) -> Note:
    """The note that `as_data` wrote, or a note without a code from a plain sentence.

    Raises:
        TypeError, LookupError: the entry is neither, or has a code that this package lacks.
    """
    if isinstance(entry, Note):
        return entry
    code, text = NoteCode.UNSPECIFIED, entry
    if isinstance(entry, Mapping):
        code, text = _BY_NAME[entry["code"]], entry["text"]
    if not isinstance(text, str):
        raise TypeError(f"{text!r} is no text of a note")
    return Note(code, text)


def of_severity(notes: Iterable[Note], severity: Severity) -> tuple[Note, ...]:
    """The warnings among notes, or the others."""
    return tuple(note for note in notes if note.severity == severity)


_BY_NAME = {str(code): code for code in NoteCode}
