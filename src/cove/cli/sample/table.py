"""Makes the demo's private table: synthetic patients, the same for the same seed."""

from __future__ import annotations

import csv
import random
from pathlib import Path

COLUMNS = ("patient", "age", "sex", "region", "systolic", "cholesterol", "smoker")
REGIONS = ("north", "east", "south", "west")


def write_table(path: Path, *, rows: int = 10_000, seed: int = 8996) -> None:
    """Write the table as CSV with a header.

    Args:
        path: Where to.
        rows: Number of patients.
        seed: The same seed gives the same bytes.
    """
    chance = random.Random(seed)  # noqa: S311 - made-up patients, no secret
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(rows):
            age = min(95, max(18, round(chance.gauss(52, 17))))
            smoker = chance.random() < 0.24  # noqa: PLR2004 - about one in four
            writer.writerow(
                (
                    f"P{number:05d}",
                    age,
                    chance.choice("fm"),
                    chance.choice(REGIONS),
                    round(chance.gauss(105 + 0.45 * age + 6 * smoker, 12)),
                    round(chance.gauss(4.4 + 0.012 * age + 0.3 * smoker, 0.9), 2),
                    int(smoker),
                )
            )
