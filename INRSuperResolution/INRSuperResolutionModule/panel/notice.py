"""How the panel tells something: a line of text with a warning sign where it is a warning."""

import qt
from slicer.i18n import tr as _


class Notice:
    """A label for the text, and one for the sign."""

    def __init__(self, label, icon) -> None:
        self._label, self._icon = label, icon

    def show(self, text: str, isWarning: bool = False) -> None:
        """Tell something."""
        if text != self._label.text:
            self._label.text = text
        if isWarning:
            icon = self._icon.style().standardIcon(qt.QStyle.SP_MessageBoxWarning)
            self._icon.setPixmap(icon.pixmap(20, 20))
        self._icon.visible = isWarning

    def showProblem(self, problem) -> None:
        """Tell why something cannot start (an `InputProblem`), and the way out."""
        self.show(f"{sentence(problem.message)} {problem.advice}", isWarning=True)


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    return text and text[0].upper() + text[1:].rstrip(".") + "."


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return _("{n} s").format(n=max(1, round(seconds)))
    minutes = round(seconds / 60)
    if minutes < 90:
        return _("{n} min").format(n=minutes)
    return _("{h} h {m} min").format(h=minutes // 60, m=minutes % 60)
