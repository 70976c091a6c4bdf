"""What is known about a study: its cost and warnings before training, its progress after.

What reads a plan or a store and reports on it belongs here. What changes a store belongs in
`study.store` or `study.execution`, and pages and figures belong in `report`.
"""

from scaling_jax.study.status.compared import ComparedStudies as ComparedStudies
from scaling_jax.study.status.compared import compare_studies as compare_studies
from scaling_jax.study.status.design_checks import design_warnings as design_warnings
from scaling_jax.study.status.design_score import design_score as design_score
from scaling_jax.study.status.interim_law import InterimLaw as InterimLaw
from scaling_jax.study.status.plan_additions import proposals as proposals
from scaling_jax.study.status.plan_cost import PlanCost as PlanCost
from scaling_jax.study.status.plan_cost import cost as cost
from scaling_jax.study.status.plan_records import plan_records as plan_records
from scaling_jax.study.status.plan_text import additions_table as additions_table
from scaling_jax.study.status.plan_text import plan_answer as plan_answer
from scaling_jax.study.status.plan_text import plan_data as plan_data
from scaling_jax.study.status.plan_text import plan_summary as plan_summary
from scaling_jax.study.status.plan_text import plan_table as plan_table
from scaling_jax.study.status.run_cost import Machine as Machine
from scaling_jax.study.status.run_ends import EndsSoFar as EndsSoFar
from scaling_jax.study.status.run_ends import run_ends as run_ends
from scaling_jax.study.status.speed import Speed as Speed
from scaling_jax.study.status.speed import measured_speed as measured_speed
from scaling_jax.study.status.standing import Standing as Standing
from scaling_jax.study.status.standing import StudyMonitor as StudyMonitor
from scaling_jax.study.status.standing_text import status_data as status_data
from scaling_jax.study.status.standing_text import status_text as status_text
from scaling_jax.study.status.study_difference import StudyDifference as StudyDifference
from scaling_jax.study.status.study_difference import study_difference as study_difference
