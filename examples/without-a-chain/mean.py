"""Give the mean of a column of the dataset's only file."""

import csv
import json
import os
from pathlib import Path

folder = Path(os.environ["INPUTS"]) / json.loads(os.environ["DIDS"])[0].removeprefix("did:op:")
with (folder / "0").open(newline="") as table:
    rates = [float(row["heart_rate"]) for row in csv.DictReader(table)]
(Path(os.environ["OUTPUTS"]) / "mean.json").write_text(json.dumps({"mean": sum(rates) / len(rates)}))
