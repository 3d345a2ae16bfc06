"""The shapes of tensors and arrays in annotations, written as jaxtyping has them: `Float[Tensor, "K n"]`.

For a type checker each is the tensor itself, whether or not jaxtyping is installed. Annotations are strings at run time, so this
module is imported by nobody: import it under TYPE_CHECKING. What the letters stand for is said in `core/types.py`; one letter is
one size within a call, `...` any number of axes, `{n}` the size that the argument of that name says, `2*P+2` is worked out. The
tests evaluate the annotations with jaxtyping's own types and check every call (docs/design/shapes.md).
"""

from typing import Annotated as Bool
from typing import Annotated as Float
from typing import Annotated as Float64
from typing import Annotated as Int
from typing import Annotated as Shaped

__all__ = ["Bool", "Float", "Float64", "Int", "Shaped"]
