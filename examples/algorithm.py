"""The code that start.py sends to the data: the mean of one column."""

import csv
import json
import os
from pathlib import Path

did = json.loads(os.environ["DIDS"])[0]
with (Path(os.environ["INPUTS"]) / did / "0").open(newline="") as file:
    ages = [float(row["age"]) for row in csv.DictReader(file)]
(Path(os.environ["OUTPUTS"]) / "mean.json").write_text(json.dumps({"rows": len(ages), "mean": sum(ages) / len(ages)}))
print("read", len(ages), "rows")
