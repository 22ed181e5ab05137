"""A stranger's algorithm: statistics of a table as JSON and CSV, and a chart as SVG. Standard library only."""

import csv
import json
import os
import statistics
import sys
from collections import defaultdict
from pathlib import Path

BAND = 10


def main() -> None:
    """Read the one table of the one dataset, and write three small results."""
    inputs, outputs = Path(os.environ["INPUTS"]), Path(os.environ["OUTPUTS"])
    did = json.loads(os.environ["DIDS"])[0]
    with (inputs / did / "0").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    sys.stdout.write(f"read {len(rows)} rows\n")

    numbers = {name: [float(row[name]) for row in rows] for name in ("age", "systolic", "cholesterol")}
    summary = {
        name: {
            "mean": round(statistics.fmean(values), 3),
            "stdev": round(statistics.stdev(values), 3),
            "median": statistics.median(values),
        }
        for name, values in numbers.items()
    }
    report = {"rows": len(rows), "columns": summary, "correlation_age_systolic": correlation(numbers)}
    (outputs / "statistics.json").write_text(json.dumps(report, indent=2), encoding="utf-8")

    bands = defaultdict(list)
    for row in rows:
        bands[int(row["age"]) // BAND * BAND].append(float(row["systolic"]))
    means = [(band, len(values), statistics.fmean(values)) for band, values in sorted(bands.items())]
    with (outputs / "by_age.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("age_from", "patients", "mean_systolic"))
        writer.writerows((band, count, round(mean, 2)) for band, count, mean in means)
    (outputs / "by_age.svg").write_text(chart(means), encoding="utf-8")
    sys.stdout.write("wrote statistics.json, by_age.csv, by_age.svg\n")


def correlation(numbers: dict[str, list[float]]) -> float:
    """Give Pearson's r of age and systolic pressure."""
    return round(statistics.correlation(numbers["age"], numbers["systolic"]), 4)


def chart(means: list[tuple[int, int, float]]) -> str:
    """Draw one bar per age band."""
    top = max(mean for _, _, mean in means)
    bars = "".join(
        f'<rect x="{20 + 60 * place}" y="{220 - 200 * mean / top:.1f}" width="44" height="{200 * mean / top:.1f}"/>'
        f'<text x="{24 + 60 * place}" y="238" font-size="12">{band}+</text>'
        for place, (band, _, mean) in enumerate(means)
    )
    width = 40 + 60 * len(means)
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="250" fill="#276">{bars}</svg>\n'


if __name__ == "__main__":
    main()
