"""Registration: which point of this image is that point of the other?"""

from voxbench.tasks.registration.config import RegistrationConfig
from voxbench.tasks.registration.registration import Progress, Registration, register
from voxbench.tasks.registration.working import Extras

__all__ = ["Extras", "Progress", "Registration", "RegistrationConfig", "register"]
