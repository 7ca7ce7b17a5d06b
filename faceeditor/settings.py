"""What the artist prefers, kept between sessions in the user's configuration folder."""

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from faceeditor.errors import UserError
from faceeditor.files.atomic import write_bytes
from faceeditor.resources import user_config_dir

FILE: Final = "settings.json"
MOST_RECENT: Final = 12


class Settings(BaseModel):
    """All preferences with their defaults; values out of range are refused when assigned."""

    model_config = ConfigDict(validate_assignment=True, extra="ignore")

    model: str = "guided-studio"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[int | None, Field(ge=1, le=1024)] = None
    symmetry: bool = False
    background: Annotated[str, Field(pattern=r"^(white|transparent|photo|#[0-9a-fA-F]{6})$")] = "white"
    enhance: bool = False
    enhance_seed: Annotated[int, Field(ge=0)] = 0
    viewport_size: Annotated[int, Field(ge=64, le=2048)] = 512
    autosave_seconds: Annotated[float, Field(ge=0.05, le=600.0)] = 30.0
    recent: list[Path] = []

    @classmethod
    def load(cls) -> Self:
        """The settings on disk; the defaults when there are none or they are damaged."""
        try:
            return cls.model_validate_json((user_config_dir() / FILE).read_bytes())
        except (OSError, ValidationError):
            return cls()

    def save(self) -> None:
        """Writes them, whole or not at all. Raises ``UserError`` when the folder cannot be written."""
        folder = user_config_dir()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"Settings cannot be kept: {folder} cannot be made ({error.strerror}).") from error
        write_bytes(folder / FILE, self.model_dump_json(indent=1).encode())

    def remember(self, path: Path) -> None:
        """Puts a file at the top of the recent ones."""
        others = [other for other in self.recent if other != path]
        self.recent = [path, *others][:MOST_RECENT]
