"""The gallery: a thumbnail for every open face; a face dropped on another gives it a part, dropped files open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QMimeData, QModelIndex, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QAction,
    QBrush,
    QContextMenuEvent,
    QCursor,
    QDragEnterEvent,
    QDragMoveEvent,
    QDropEvent,
    QIcon,
    QPainter,
    QPixmap,
)
from PySide6.QtWidgets import QListWidget, QListWidgetItem, QMenu, QToolTip

from faceeditor.engine.requests import Drawn
from faceeditor.gui import theme
from faceeditor.gui.bridge import to_image
from faceeditor.session import Session

THUMBNAIL: Final = 128
_SHOWN: Final = 84
_ID: Final = Qt.ItemDataRole.UserRole
_MIME: Final = "application/x-faceeditor-face"
_SETTLE_MS: Final = 500
"""A thumbnail is drawn again when its face was left alone for so long."""


class Gallery(QListWidget):
    """Shows the document's faces. What goes beyond selecting and renaming is asked for by signals."""

    files_dropped = Signal(list)
    wanted = Signal(str, str)
    """(what, face): ``save``, ``export_picture``, ``export_mesh``, ``refine``, ``duplicate``, ``remove``."""
    gift = Signal(str, str, str)
    """(what, from, to): chosen in a face's menu."""
    dropped = Signal(str, str)
    """(from, to): a face was dropped on another, which gives it what the transfer panel says."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.would: Callable[[str, str], str] = lambda source, target: ""
        """What a drop of one face on another does, in words, told while it is dragged."""
        self._new: set[str] = set()
        self._stale: set[str] = set()
        self._settle = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._settle.timeout.connect(self._draw_stale)
        self.setAccessibleName("Gallery of faces")
        self.setViewMode(QListWidget.ViewMode.IconMode)
        self.setMovement(QListWidget.Movement.Static)
        self.setResizeMode(QListWidget.ResizeMode.Adjust)
        self.setIconSize(QSize(_SHOWN, _SHOWN))
        self.setGridSize(QSize(_SHOWN + 14, _SHOWN + 34))
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setEditTriggers(QListWidget.EditTrigger.EditKeyPressed | QListWidget.EditTrigger.SelectedClicked)
        self.setDragEnabled(True)
        self.setAcceptDrops(True)
        self.setDragDropMode(QListWidget.DragDropMode.DragDrop)
        self.setDefaultDropAction(Qt.DropAction.CopyAction)
        self.setMinimumWidth(_SHOWN + 34)
        self.currentItemChanged.connect(self._select)
        self.itemChanged.connect(self._renamed)
        document = session.document
        document.faces_changed.connect(self.rebuild)
        document.current_changed.connect(self._show_current)
        document.face_changed.connect(self._face_changed)
        document.saved_changed.connect(self._show_names)
        session.drawn.connect(self._drawn)

    def item_of(self, face_id: str) -> QListWidgetItem | None:
        """The face's item, if it has one."""
        for row in range(self.count()):
            if self.item(row).data(_ID) == face_id:
                return self.item(row)
        return None

    def rebuild(self) -> None:
        """Make the items match the document; thumbnails that are there stay."""
        document = self._session.document
        icons = {self.item(row).data(_ID): self.item(row).icon() for row in range(self.count())}
        self.blockSignals(True)
        self.clear()
        for face_id in document.ids:
            item = QListWidgetItem(icons.get(face_id, _blank()), "")
            item.setData(_ID, face_id)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable | Qt.ItemFlag.ItemIsDropEnabled)
            item.setTextAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
            self.addItem(item)
        self.blockSignals(False)
        self._show_names()
        self._show_current(document.current)
        self._new.update(face_id for face_id in document.ids if face_id not in icons)
        QTimer.singleShot(0, self, self._show_new)

    def menu(self, face_id: str) -> QMenu:
        """The context menu of a face."""
        menu = QMenu(self)
        entries = (
            ("Rename", "ph.pencil-simple", lambda: self._rename(face_id)),
            ("Duplicate", "ph.copy", lambda: self.wanted.emit("duplicate", face_id)),
            ("Save", "ph.floppy-disk", lambda: self.wanted.emit("save", face_id)),
            ("Export picture", "ph.image", lambda: self.wanted.emit("export_picture", face_id)),
            ("Export mesh", "ph.cube", lambda: self.wanted.emit("export_mesh", face_id)),
            ("Remove from the gallery", "ph.trash", lambda: self.wanted.emit("remove", face_id)),
        )
        for text, image, act in entries:
            _add(menu, text, image, act)
        if self._session.document[face_id].origin.photo_srgb is not None:
            refine = _action(menu, "Refine…", "ph.magic-wand", lambda: self.wanted.emit("refine", face_id))
            menu.insertAction(menu.actions()[2], refine)
        current = self._session.document.current
        if current is not None and current != face_id:
            menu.insertMenu(menu.actions()[3], self.gift_menu(face_id, current))
        return menu

    def gift_menu(self, source: str, target: str) -> QMenu:
        """What ``source`` can give to ``target``."""
        document = self._session.document
        menu = QMenu(f"Give to {document[target].name}", self)
        for what in self._session.transferable(source, target):
            _add(menu, what.capitalize(), _PART_ICONS.get(what, "ph.circle"), self._giver(what, source, target))
        return menu

    # Qt's events ------------------------------------------------------------------------------------------------------

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Menu of the face under the mouse."""
        item = self.itemAt(event.pos())
        if item is not None:
            self.menu(item.data(_ID)).exec(event.globalPos())

    def mimeData(self, items: list[QListWidgetItem]) -> QMimeData:  # type: ignore[override]
        """A dragged face travels by its id."""
        mime = QMimeData()
        if items:
            mime.setData(_MIME, items[0].data(_ID).encode())
        return mime

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Faces of ours and files are welcome."""
        if event.mimeData().hasFormat(_MIME) or event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """A face has to be over another face; files may be anywhere."""
        over = self.itemAt(event.position().toPoint())
        source = _carried(event.mimeData())
        if event.mimeData().hasUrls():
            event.acceptProposedAction()
        elif over is not None and over.data(_ID) != source:
            event.acceptProposedAction()
            QToolTip.showText(QCursor.pos(), self.would(source, over.data(_ID)), self)
        else:
            event.ignore()
            QToolTip.hideText()

    def dropEvent(self, event: QDropEvent) -> None:
        """Files are opened; a face gives the one under it a part of itself."""
        if event.mimeData().hasUrls():
            self.files_dropped.emit([Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()])
        else:
            over = self.itemAt(event.position().toPoint())
            source = _carried(event.mimeData())
            if over is not None and source != over.data(_ID):
                self.dropped.emit(source, over.data(_ID))
        event.acceptProposedAction()

    # Following the document -------------------------------------------------------------------------------------------

    def _select(self, item: QListWidgetItem | None) -> None:
        if item is not None:
            self._session.document.select(item.data(_ID))

    def _renamed(self, item: QListWidgetItem) -> None:
        face_id, name = item.data(_ID), item.text().removeprefix(_UNSAVED).strip()
        if name and name != self._session.document[face_id].name:
            self._session.rename(face_id, name)
        self._show_names()

    def _rename(self, face_id: str) -> None:
        item = self.item_of(face_id)
        if item is not None:
            self.editItem(item)

    def _show_current(self, face_id: str | None) -> None:
        item = None if face_id is None else self.item_of(face_id)
        self.blockSignals(True)
        if item is None:
            self.setCurrentIndex(QModelIndex())
        else:
            self.setCurrentItem(item)
        self.blockSignals(False)

    def _show_names(self) -> None:
        document = self._session.document
        unsaved = set(document.unsaved)
        self.blockSignals(True)
        for row in range(self.count()):
            face_id = self.item(row).data(_ID)
            if face_id in document:
                name = document[face_id].name
                self.item(row).setText(f"{_UNSAVED if face_id in unsaved else ''}{name}")
                self.item(row).setToolTip(f"{name}{' (not saved)' if face_id in unsaved else ''}")
        self.blockSignals(False)

    def _face_changed(self, face_id: str) -> None:
        self._show_names()
        self._stale.add(face_id)
        self._settle.start(_SETTLE_MS)

    def _show_new(self) -> None:
        """Thumbnails that came with the faces' files are shown; the others are drawn."""
        for face_id in self._new:
            picture = self._session.thumbnail(face_id)
            if picture is not None:
                self._show_picture(face_id, picture)
            else:
                self._stale.add(face_id)
        self._new.clear()
        self._settle.start(0)

    def _draw_stale(self) -> None:
        for face_id in [face_id for face_id in self._session.document.ids if face_id in self._stale]:
            self._session.draw(face_id, THUMBNAIL, target=f"thumbnail:{face_id}")
        self._stale.clear()

    def _drawn(self, drawn: Drawn) -> None:
        kind, _, face_id = drawn.request.target.partition(":")
        if kind == "thumbnail" and drawn.picture_srgb is not None:
            self._show_picture(face_id, drawn.picture_srgb)

    def _show_picture(self, face_id: str, picture_srgb: NDArray[np.uint8]) -> None:
        item = self.item_of(face_id)
        if item is not None:
            self.blockSignals(True)
            item.setIcon(_icon(QPixmap.fromImage(to_image(picture_srgb))))
            self.blockSignals(False)

    def _giver(self, what: str, source: str, target: str) -> Callable[[], None]:
        return lambda: self.gift.emit(what, source, target)


_UNSAVED: Final = "• "
_PART_ICONS: Final = {
    "identity": "ph.user",
    "expression": "ph.smiley",
    "skin": "ph.drop",
    "light": "ph.sun",
    "hair": "ph.scissors",
    "pose": "ph.arrows-out-cardinal",
    "detail": "ph.fingerprint",
    "texture": "ph.image",
}


def _blank() -> QIcon:
    return theme.icon("ph.user", theme.LINE)


def _icon(picture: QPixmap) -> QIcon:
    """The picture with round corners, the same whether it is selected or not (Qt would tint it)."""
    rounded = QPixmap(picture.size())
    rounded.fill(Qt.GlobalColor.transparent)
    painter = QPainter(rounded)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(QBrush(picture))
    painter.setPen(Qt.PenStyle.NoPen)
    corner = picture.width() / 16
    painter.drawRoundedRect(QRectF(rounded.rect()), corner, corner)
    painter.end()
    icon = QIcon(rounded)
    icon.addPixmap(rounded, QIcon.Mode.Selected)
    return icon


def _carried(mime: QMimeData) -> str:
    return bytes(mime.data(_MIME).data()).decode()


def _add(menu: QMenu, text: str, image: str, act: Callable[[], object]) -> None:
    menu.addAction(_action(menu, text, image, act))


def _action(menu: QMenu, text: str, image: str, act: Callable[[], object]) -> QAction:
    action = QAction(theme.icon(image), text, menu)
    action.triggered.connect(lambda _checked=False: act())
    return action
