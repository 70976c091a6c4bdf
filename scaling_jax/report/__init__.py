"""The report: one self-contained page with the optimum, the figures and every run.

What belongs here: everything that turns records and fits into figures, tables and sentences. The
fits come from `laws`; the records and the progress of a study come from `study`.
"""

from scaling_jax.report.content import ReportData as ReportData
from scaling_jax.report.content import Verification as Verification
from scaling_jax.report.page import write_report as write_report
