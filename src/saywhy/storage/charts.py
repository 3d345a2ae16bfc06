"""Charts that can be saved: matplotlib's axes with a method that writes them whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..core.checks import whole_number
from ..core.errors import missing
from ..core.explanation import Explanation
from ..render import charts
from .atomic import write
from .paths import output_file

try:
    import matplotlib
    from matplotlib.axes import Axes
except ImportError as error:  # this file is imported where a chart is drawn
    raise missing("matplotlib", "Drawing a chart", "plot") from error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENDINGS = (".png", ".svg", ".pdf")
_DATELESS: dict[str, dict[str, Any]] = {
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
}  # the same bytes each time


class ChartAxes(Axes):
    """Axes of matplotlib, to be changed as any others, that can be saved and that a notebook shows."""

    def save(self, path: str | Path, *, dpi: int = 200) -> Path:
        """Write .png, .svg or .pdf, by the ending of `path`. Returns the path written.

        Parameters
        ----------
        path
            The file.
        dpi
            Pixels an inch, for .png.

        Raises
        ------
        FileError
            For another ending and a folder that does not exist.
        """
        known = output_file(path, ENDINGS)
        write(known, self._drawn(known.suffix.lower(), whole_number("dpi", dpi, least=10)))
        return known

    def _drawn(self, ending: str, dpi: int) -> bytes:
        out, figure = BytesIO(), cast("Figure", self.figure)  # these axes are made within a whole one
        with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "saywhy"}):
            options: dict[str, Any] = {"metadata": _DATELESS.get(ending), "facecolor": figure.get_facecolor()}
            figure.savefig(out, format=ending[1:], dpi=dpi, **options)
        return out.getvalue()

    def _repr_png_(self) -> bytes:
        return self._drawn(".png", 110)


def chart(items: Sequence[Explanation], kind: str, top: int, by: str, dark: bool) -> ChartAxes:
    """A chart of these explanations, as `Explanations.plot` says."""
    drawn = charts.chart(items, kind, ChartAxes, top=top, by=by, dark=dark)
    assert isinstance(drawn, ChartAxes)
    return drawn
