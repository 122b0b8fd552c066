"""All lives of a datasite, in which it is killed."""

from tests.crashes.halt_lives import HALT_LIVES
from tests.crashes.job_lives import JOB_LIVES
from tests.crashes.lives import LIVES
from tests.crashes.log_lives import LOG_LIVES
from tests.crashes.people_lives import PEOPLE_LIVES

ALL_LIVES = (*LIVES, *JOB_LIVES, *PEOPLE_LIVES, *HALT_LIVES, *LOG_LIVES)
