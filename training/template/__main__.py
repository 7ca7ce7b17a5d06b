"""``python -m training.template --data ../shared/data --out resources/models/template-studio``"""

from pathlib import Path

import typer

from training.template.build import write_template


def main(data: Path = Path("../shared/data"), out: Path = Path("resources/models/template-studio")) -> None:
    """Make the head template from the studio's data folder and write its bundle."""
    write_template(data, out)


if __name__ == "__main__":
    typer.run(main)
