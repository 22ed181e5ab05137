"""Generated tables of five kinds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Table = dict[str, Any]
Others = Callable[[int, int], Table]
"""Gives so many rows of other people, by a seed."""


def people(rows: int, seed: int = 1) -> Table:
    """Give a table of patients: numbers of several kinds, and texts of few values."""
    rng = np.random.default_rng(seed)
    return {
        "age": rng.integers(18, 95, rows),
        "city": rng.choice(["Rome", "Oslo", "New York", "Bern", "Lima"], rows),
        "income": np.round(rng.lognormal(10, 0.5, rows), 2),
        "bmi": rng.normal(25, 4, rows),
        "pressure": rng.normal(120, 15, rows),
        "cholesterol": rng.normal(200, 30, rows),
        "sex": rng.choice(["m", "f"], rows),
        "smoker": rng.integers(0, 2, rows),
    }


def sensors(rows: int, seed: int = 1) -> Table:
    """Give readings: numbers alone, all of them fine."""
    rng = np.random.default_rng(seed)
    kinds = {"device": rng.integers(0, 40, rows), "hour": rng.integers(0, 24, rows)}
    scales = (1.0, 20.0, 300.0, 0.02, 5000.0, 80.0)
    return {**kinds, **{f"reading{at}": rng.normal(scale, scale / 4, rows) for at, scale in enumerate(scales)}}


def payments(rows: int, seed: int = 1) -> Table:
    """Give payments: an account, a day, an amount."""
    rng = np.random.default_rng(seed)
    days = np.datetime64("2024-01-01") + rng.integers(0, 700, rows)
    return {
        "kind": rng.choice(["card", "cash", "transfer", "debit"], rows),
        "day": days.astype(str),
        "amount": np.round(rng.lognormal(4, 1.2, rows), 2),
        "balance": np.round(rng.lognormal(8, 1, rows), 2),
        "account": np.char.add("DE", rng.integers(10**9, 10**10, rows).astype(str)),
        "branch": rng.integers(1, 90, rows),
    }


def customers(rows: int, seed: int = 1) -> Table:
    """Give people by name: texts mostly."""
    rng = np.random.default_rng(seed)
    first, last = (np.array([f"{start}{at}" for at in range(900)]) for start in ("Ann", "Bell"))
    return {
        "number": np.arange(1, rows + 1),
        "plan": rng.choice(["basic", "plus", "pro"], rows),
        "first": rng.choice(first, rows),
        "last": rng.choice(last, rows),
        "born": (np.datetime64("1940-01-01") + rng.integers(0, 25_000, rows)).astype(str),
        "zip": rng.integers(10_000, 99_999, rows),
        "visits": rng.integers(0, 60, rows),
    }


def answers(rows: int, seed: int = 1) -> Table:
    """Give a survey: small whole numbers, and two measures."""
    rng = np.random.default_rng(seed)
    return {
        "region": rng.choice([f"region {at}" for at in range(16)], rows),
        "year": rng.integers(1930, 2006, rows),
        "weight": np.round(rng.normal(75, 14, rows), 1),
        "minutes": np.round(rng.gamma(3, 40, rows), 2),
        "rent": np.round(rng.lognormal(6.5, 0.4, rows), 2),
        **{f"answer{at}": rng.integers(1, 6, rows) for at in range(8)},
    }


SCHEMAS: dict[str, Others] = {
    "patients": people, "sensors": sensors, "payments": payments, "customers": customers, "survey": answers,
}  # fmt: skip
