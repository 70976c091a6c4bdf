"""Reports: one self-contained page with the answer, the figures and the runs behind them."""

from scaling_jax.report.content import ReportData as ReportData
from scaling_jax.report.content import Verification as Verification
from scaling_jax.report.page import write_report as write_report
