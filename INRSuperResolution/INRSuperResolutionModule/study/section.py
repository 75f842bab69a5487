"""The section of the panel in which a reader answers: by the keys 1 to 5, each answer saved at once."""

import ctk
import qt
from slicer.i18n import tr as _

from ..panel.notice import sentence
from ..runs import dependencies
from ..scene.inputs import InputProblem
from .images import PairInViews


class StudySection:
    """A collapsed section of the panel.

    Parameters
    ----------
    layout, place
        The layout of the panel, and where in it the section stands.
    """

    def __init__(self, layout, place: int) -> None:
        self.button = ctk.ctkCollapsibleButton()
        self.button.objectName = "studyButton"
        self.button.text = _("Reader study")
        self._session = None
        self._shown = None
        # not of the buttons: these would press themselves for 100 ms before they tell
        self._shortcuts = []
        self._pair = PairInViews()
        self._build()
        layout.insertWidget(place, self.button)
        self.button.collapsed = True
        self._show()

    def _build(self) -> None:
        form = qt.QFormLayout(self.button)
        self.pathEdit = qt.QLineEdit()
        self.pathEdit.toolTip = _("A file made by “inrsr study new”; answers are saved in it")
        self.browseButton = qt.QPushButton("…")
        self.browseButton.maximumWidth = 30
        self.browseButton.connect("clicked(bool)", self.onBrowse)
        row = qt.QHBoxLayout()
        row.addWidget(self.pathEdit)
        row.addWidget(self.browseButton)
        form.addRow(_("Study:"), row)
        self.readerEdit = qt.QLineEdit()
        self.readerEdit.toolTip = _("Each reader has an own order, and goes on where it was left")
        form.addRow(_("Reader:"), self.readerEdit)
        self.startButton = qt.QPushButton()
        self.startButton.connect("clicked(bool)", self.onStart)
        form.addRow(self.startButton)
        self.tellLabel = qt.QLabel()
        self.tellLabel.wordWrap = True
        form.addRow(self.tellLabel)
        self.keyButtons = []
        for key, text in enumerate(answers(), 1):
            button = qt.QPushButton(f"{key}  {text}")
            self._addShortcut(str(key), lambda key=key: self.onKey(key))
            button.connect("clicked(bool)", lambda *_args, key=key: self.onKey(key))
            form.addRow(button)
            self.keyButtons.append(button)
        self.backButton = qt.QPushButton(_("Back"))
        self._addShortcut("Backspace", self.onBack)
        self.backButton.connect("clicked(bool)", self.onBack)
        form.addRow(self.backButton)

    def _addShortcut(self, keys: str, slot) -> None:
        shortcut = qt.QShortcut(qt.QKeySequence(keys), self.button)
        shortcut.enabled = False
        shortcut.connect("activated()", slot)
        self._shortcuts.append(shortcut)

    def onBrowse(self, *_args) -> None:
        """Choose the file of the study."""
        path = qt.QFileDialog.getOpenFileName(self.button, _("Study"), "", "*.json")
        # PySide6 gives the filter as well
        path = path if isinstance(path, str) else path[0]
        if path:
            self.pathEdit.text = path

    def onStart(self, *_args) -> None:
        """Begin, go on, or stop."""
        if self._session is not None:
            self.stop()
            return
        try:
            dependencies.ensure(needsTorch=False)
        except InputProblem as problem:
            self._show(f"{sentence(problem.message)} {problem.advice}")
            return
        from INRSuperResolutionLib.study.session import Session

        self._try(lambda: Session(self.pathEdit.text.strip(), self.readerEdit.text.strip()))

    def onKey(self, key: int) -> None:
        """An answer to the open question."""
        session = self._session
        if session is not None and session.question is not None:
            self._try(lambda: session.answer(key))

    def onBack(self, *_args) -> None:
        """To the question before."""
        session = self._session
        if session is not None:
            self._try(session.back)

    def stop(self) -> None:
        """Leave scene and views as they were; what is answered is saved already."""
        self._session = self._shown = None
        self._pair.remove()
        self._show()

    def _try(self, step) -> None:
        """Do a step, show the next question, and tell what went wrong."""
        try:
            made = step()
            self._session = made if self._session is None else self._session
            self._showPair()
        # whatever a file that was changed or a package that is missing may raise: the reader is to know
        except Exception as error:
            if self._session is not None and self._shown is None:
                self.stop()
            self._show(sentence(str(error)))
            return
        self._show()

    def _showPair(self) -> None:
        from INRSuperResolutionLib.study.blinded import blinded_volumes, window_of

        session = self._session
        if session.trial is None:
            self._pair.remove()
            self._shown = None
        elif session.trial != self._shown:
            volumes = blinded_volumes(session.study, session.reader, session.trial, session.folder)
            self._pair.show(volumes, window_of(volumes))
            self._shown = session.trial
            session.pause()  # the time of loading is not the reader's

    def _show(self, problem: str = "") -> None:
        session = self._session
        isOpen = session is not None and session.question is not None
        self.startButton.text = _("Stop") if session is not None else _("Begin or go on")
        for edit in (self.pathEdit, self.readerEdit, self.browseButton):
            edit.enabled = session is None
        for one in (*self.keyButtons, self.backButton, *self._shortcuts):
            one.enabled = isOpen
        if problem:
            self.tellLabel.text = problem
        elif isOpen:
            told = _("Pair {n} of {count}: {question}?")
            self.tellLabel.text = told.format(n=session.trial + 1, count=session.count, question=session.question)
        else:
            self.tellLabel.text = _("That was the last pair. Thank you.") if session is not None else ""


def answers() -> list[str]:
    """What the keys 1 to 5 say."""
    return [
        _("left is much better"),
        _("left is slightly better"),
        _("no different"),
        _("right is slightly better"),
        _("right is much better"),
    ]
