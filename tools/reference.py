"""Writes ``docs/reference/api.md`` from the OpenAPI document and ``examples/``: ``make docs``."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from cove import wire
from cove.settings import Settings
from cove.web.app import create_app
from cove.wiring.assembly import open_cove

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "reference" / "api.md"
EXAMPLES: Final = ROOT / "examples"
SERVICES: Final = f"{wire.API_PREFIX}/"

_TYPES: Final = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}

Json = dict[str, Any]


def document() -> Json:
    """Give the OpenAPI document of a Cove that was set up a moment ago."""

    async def read() -> Json:
        with tempfile.TemporaryDirectory() as folder:
            async with open_cove(Settings(state_dir=Path(folder) / "state", key="1" * 64), loop=False) as cove:
                return create_app(cove).openapi()

    return asyncio.run(read())


def endpoints(api: Json) -> list[tuple[str, str]]:
    """Give method and path of every endpoint: first what the root document does not name, then what it does."""
    named = list(wire.SERVICE_ENDPOINTS.values())
    found = [(method.upper(), path) for path, methods in api["paths"].items() for method in methods]
    return sorted(found, key=lambda one: (named.index(one) if one in named else -1, one[1]))


def examples() -> dict[tuple[str, str], list[Path]]:
    """Give the examples of each endpoint, which the first line of each names."""
    found: dict[tuple[str, str], list[Path]] = {}
    for path in sorted(EXAMPLES.glob("*.*")):
        words = path.read_text("utf-8").partition("\n")[0].strip('#" ').split()
        if len(words) > 1 and words[1].startswith("/"):
            found.setdefault((words[0], words[1].rstrip(":")), []).append(path)
    return found


def answer_of(example: Path) -> str:
    """Give what an example prints, with placeholders for what is another each time."""
    return (EXAMPLES / "answers" / f"{example.stem}.txt").read_text("utf-8")


def page(api: Json) -> str:
    """Write the page."""
    shown = examples()
    lines = [(Path(__file__).with_name("reference.md")).read_text("utf-8").rstrip()]
    listed = endpoints(api)
    lines += ["", *(f"- [{method} {path}](#{_anchor(method, path)})" for method, path in listed)]
    shared = _shared(api)
    for method, path in listed:
        operation = api["paths"][path][method.lower()]
        lines += ["", f"## {method} {path}", "", *_operation(api, operation, shared)]
        for example in shown.get((method, path), []):
            kind = "python" if example.suffix == ".py" else "sh"
            code = example.read_text("utf-8").rstrip()
            lines += ["", f"Example ([{example.name}](../../examples/{example.name})):", "", f"```{kind}", code, "```"]
            lines += ["", "prints", "", "```", answer_of(example).rstrip("\n"), "```"]
    for name in sorted(shared):
        model = api["components"]["schemas"][name]
        lines += ["", f"## {name}", "", _sentence(model["description"]), "", *_table(api, model)]
    lines += ["", "## Reasons", "", "What stands under a field's name where the code is `refused`.", ""]
    lines += ["| reason | meaning |", "|---|---|"]
    lines += [f"| `{reason}` | {meaning} |" for reason, meaning in sorted(_reasons(api).items())]
    return "\n".join(lines) + "\n"


def _anchor(method: str, path: str) -> str:
    """Give the anchor that a heading gets."""
    kept = "".join(letter for letter in f"{method} {path}".lower() if letter.isalnum() or letter in " -_")
    return kept.replace(" ", "-")


def _operation(api: Json, operation: Json, shared: set[str]) -> Iterator[str]:
    yield _sentence(" ".join(operation["description"].split()))
    rows = [
        (one["name"], one["in"], "text", one["required"], one["description"]) for one in operation.get("parameters", [])
    ]
    body = operation.get("requestBody", {}).get("content", {})
    schema, *others = _each(next(iter(body.values()), {}).get("schema", {}))
    if "$ref" in schema:
        fields = list(_fields(api, _resolved(api, schema)))
        if {row[0] for row in rows} >= {name for name, *_ in fields}:
            rows = [(name, "query or body", kind, needed, text) for name, _, kind, needed, text in rows]
        else:
            known = {row[0] for row in rows}
            rows += [(name, "body", kind, needed, text) for name, kind, needed, text in fields if name not in known]
    elif body:
        rows.append(("(the body)", next(iter(body)), "bytes", True, operation["requestBody"]["description"]))
    yield from _parameters(rows)
    for other in others:
        yield f"\nOr the body `{_model(other)[0]}`:"
        fields = list(_fields(api, _resolved(api, other)))
        yield from _parameters([(name, "body", kind, needed, text) for name, kind, needed, text in fields])
    yield from _answers(api, operation["responses"], shared)


def _parameters(rows: list[tuple[str, str, str, bool, str]]) -> Iterator[str]:
    if rows:
        yield ""
        yield "| parameter | in | type | needed | meaning |"
        yield "|---|---|---|---|---|"
        for name, place, kind, needed, text in rows:
            yield f"| `{name}` | {place} | {kind} | {'yes' if needed else ''} | {text} |"


def _each(schema: Json) -> list[Json]:
    """Give the models one of which is meant."""
    found: list[Json] = schema.get("anyOf", [schema])
    return found


def _answers(api: Json, responses: Json, shared: set[str]) -> Iterator[str]:
    refusals: Mapping[str, str] = {}
    errors = []
    for status, answer in sorted(responses.items()):
        content = answer.get("content", {})
        if int(status) >= 400:  # noqa: PLR2004 - where errors begin
            refusals = answer.get("x-refusals", refusals)
            errors.append(f"| {status} | {_sentence(answer['description'])} |")
            continue
        kinds = ", ".join(f"`{kind}`" for kind in content) or "no content"
        schema, *others = _each(next(iter(content.values()), {}).get("schema", {}))
        text = "" if answer["description"] == "Successful Response" else f": {answer['description']}"
        name, many = _model(schema)
        if name in shared:
            text = f": {'a list of ' if many else ''}[{name}](#{name.lower()})"
        elif many and name:
            text = f": {many}"
        yield f"\nAnswer {status}, {kinds}{text}"
        if name and name not in shared:
            yield ""
            yield from _table(api, api["components"]["schemas"][name])
        for other in others:
            yield f"\nOr, to the body of that kind, `{_model(other)[0]}`:\n"
            yield from _table(api, _resolved(api, other))
    if errors:
        yield from ("", "| error | [body](#errorbody) with the code |", "|---|---|", *errors)
    if refusals:
        yield "\n[Reasons](#reasons): " + ", ".join(f"`{reason}`" for reason in refusals)


def _model(schema: Json) -> tuple[str, str]:
    """Give the name of the model in an answer, and in what it stands: empty, a list, or an object of lists."""
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2], ""
    if schema.get("type") == "array":
        return _model(schema["items"])[0], "a list of objects"
    if isinstance(schema.get("additionalProperties"), dict):
        name, inner = _model(schema["additionalProperties"])
        return name, f"an object with {inner or 'an object'} for each chain id" if name else ""
    return "", ""


def _shared(api: Json) -> set[str]:
    """Give the models that stand in more than one answer; they have a section of their own."""
    found: Counter[str] = Counter()
    for methods in api["paths"].values():
        for operation in methods.values():
            names = {
                _model(content.get("schema", {}))[0]
                for answer in operation["responses"].values()
                for content in answer.get("content", {}).values()
            }
            found.update(names - {""})
    return {name for name, count in found.items() if count > 1}


def _reasons(api: Json) -> dict[str, str]:
    return {
        reason: meaning
        for methods in api["paths"].values()
        for operation in methods.values()
        for answer in operation["responses"].values()
        for reason, meaning in answer.get("x-refusals", {}).items()
    }


def _table(api: Json, model: Json) -> Iterator[str]:
    yield "| field | type | meaning |"
    yield "|---|---|---|"
    for name, kind, _, text in _fields(api, model, null=True):
        yield f"| `{name}` | {kind} | {text} |"


def _fields(
    api: Json, model: Json, prefix: str = "", seen: dict[str, str] | None = None, *, null: bool = False
) -> Iterator[tuple[str, str, bool, str]]:
    """Give name, type, whether it is needed, and meaning of each field; those of a model inside follow it, dotted."""
    seen = {} if seen is None else seen
    for name, schema in model.get("properties", {}).items():
        inner, kind = _inner(api, schema), _kind(schema, null=null)
        place = f"{prefix}{name}"
        known = None if inner is None else seen.get(inner[0])
        text = schema.get("description", "") + (f"; as `{known}`" if known else "")
        yield place, kind, name in model.get("required", []), text
        if inner is not None and known is None:
            seen[inner[0]] = place
            yield from _fields(api, inner[1], f"{place}{'[]' if 'list' in kind else ''}.", seen, null=null)


def _inner(api: Json, schema: Json) -> tuple[str, Json] | None:
    for part in (schema, schema.get("items", {}), *schema.get("anyOf", ()), *_items(schema)):
        if "$ref" in part:
            name = part["$ref"].rpartition("/")[2]
            return name, _resolved(api, part)
    return None


def _items(schema: Json) -> Iterator[Json]:
    for part in schema.get("anyOf", ()):
        yield part.get("items", {})


def _resolved(api: Json, schema: Json) -> Json:
    model: Json = api["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return model


def _kind(schema: Json, *, null: bool) -> str:
    if "anyOf" in schema:
        parts = [_kind(part, null=null) for part in schema["anyOf"] if null or part.get("type") != "null"]
        return " or ".join(dict.fromkeys(parts))
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    match schema.get("type"):
        case "array":
            return f"list of {_kind(schema['items'], null=null)}"
        case "null":
            return "null"
        case str(kind) if kind in _TYPES:
            return _TYPES[kind]
        case _:
            return "object"


def _sentence(text: str) -> str:
    """End a text with a point, and show names as they are typed."""
    return text.replace("``", "`").rstrip(".") + "."


if __name__ == "__main__":
    PAGE.write_text(page(document()), "utf-8")
