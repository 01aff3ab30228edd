"Everything of the library in one namespace, for notebooks: `from seg_course.all import *`"
from .phantom import *
from .read import *
from .explore import *
from .prep import *
from .split import *
from .sample import *
from .augment import *
from .model import *
from .loss import *
from .metric import *
from .train import *
from .infer import *
from .post import *
from .submit import *
from .view import *
