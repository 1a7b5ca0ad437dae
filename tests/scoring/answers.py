"""Pictures to score, and what a folder of answers holds."""

import io
from pathlib import Path

import pyarrow.parquet as pq
from PIL import Image


def many_pictures(folder: Path, count: int, side: int = 20) -> Path:
    """Different pictures, a hundred in a folder."""
    for number in range(count):
        encoded = io.BytesIO()
        Image.new("L", (side, side), number % 251).save(encoded, "PNG")
        file = folder / f"{number // 100:03}" / f"{number:05}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encoded.getvalue())
    return folder


def rows_of(out: Path) -> list[dict]:
    """All rows of a folder of answers by path, but for how long they took."""
    table = pq.read_table(out).drop_columns(["milliseconds"])
    return sorted(table.to_pylist(), key=lambda row: row["path"])


def parts_of(out: Path) -> dict[str, int]:
    """The Parquet files that are there, with the time of their last change."""
    return {file.name: file.stat().st_mtime_ns for file in out.glob("*.parquet")}
