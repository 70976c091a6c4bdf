"""Scaling laws: fit a table of losses, with the optimum, intervals and what the data can say."""

from scaling_jax.laws.allocation import Optimum as Optimum
from scaling_jax.laws.allocation import Prediction as Prediction
from scaling_jax.laws.api import fit as fit
from scaling_jax.laws.chain import Chain as Chain
from scaling_jax.laws.custom import CustomForm as CustomForm
from scaling_jax.laws.custom import Parameter as Parameter
from scaling_jax.laws.custom_fit import CustomFit as CustomFit
from scaling_jax.laws.custom_fit import Response as Response
from scaling_jax.laws.custom_fit import fit_custom as fit_custom
from scaling_jax.laws.fit import Fit as Fit
from scaling_jax.laws.fit import FrontierPoints as FrontierPoints
from scaling_jax.laws.fit import Minimum as Minimum
from scaling_jax.laws.forms import FORMS as FORMS
from scaling_jax.laws.forms import Form as Form
from scaling_jax.laws.forms import Term as Term
from scaling_jax.laws.functions import FUNCTIONS as FUNCTIONS
from scaling_jax.laws.table import read_table as read_table
