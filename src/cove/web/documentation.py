"""What the OpenAPI document says beside the routes: parameters and bodies, from the models of the wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from cove import wire
from cove.web.serving import MEDIA_TYPES

_ERRORS = {
    403: "`forbidden`: it is known, and the caller may not have it",
    404: "`not_found`: there is no such thing, or it is not the caller's",
    409: "`stale_write`: the job was changed meanwhile; ask for its status and try again",
    413: "`too_large`: the body is too large",
    416: "The range that was asked for is not in the file",
    429: "`too_many_requests`: Retry-After says when to try again",
    503: "`unavailable`: a part that the provider depends on does not answer; the text says which",
}

_BODIES = (
    wire.StartCompute,
    wire.JobSelector,
    wire.InitializeCompute,
    wire.DecryptRequest,
    wire.TokenRequest,
    wire.ContainerRef,
    wire.FileQuery,
    wire.ReviewVote,
    wire.StartJob,
    wire.InitializeJob,
    wire.NodeTokenRequest,
)


def query(model: type[BaseModel], *, required: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Describe parameters that come in the query string; those in ``without`` are another endpoint's."""
    return {"parameters": _parameters(model, required, without)}


def query_or_body(
    model: type[BaseModel], *, required: tuple[str, ...] = (), without: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Describe parameters that come in the query string or in a JSON body alike."""
    return {"parameters": _parameters(model, required, without), **body(model, needed=False)}


def body(*models: type[BaseModel], needed: bool = True, form: bool = False) -> dict[str, Any]:
    """Describe a JSON body, or one that may be a form too; :func:`complete` adds the models to the document.

    Args:
        models: One of them is sent.
        needed: Whether there must be a body.
        form: Whether it may be a form.
    """
    each = [{"$ref": f"#/components/schemas/{model.__name__}"} for model in models]
    schema: dict[str, Any] = each[0] if len(each) == 1 else {"anyOf": each}
    kinds = ("application/json", *(("application/x-www-form-urlencoded",) if form else ()))
    return {"requestBody": {"required": needed, "content": {kind: {"schema": schema} for kind in kinds}}}


def parameter(name: str, description: str, *, needed: bool = True, place: str = "query") -> dict[str, Any]:
    """Describe one parameter of the query string, or of the path."""
    return {"name": name, "in": place, "required": needed, "schema": {"type": "string"}, "description": description}


def complete(document: dict[str, Any]) -> None:
    """Add the models of the bodies, which routes that parse by hand cannot declare, to an OpenAPI document."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for model in _BODIES:
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        for name, part in {**schema.pop("$defs", {}), model.__name__: schema}.items():
            schemas.setdefault(name, part)


def responses(
    *statuses: int, signed: bool = False, refusals: Mapping[str, str] | None = None
) -> dict[int | str, dict[str, Any]]:
    """Describe the error answers of a route.

    Args:
        statuses: What it answers beside 400, 429 and 503.
        signed: Whether it looks at a signature or a token.
        refusals: Reasons of the code ``refused``, each with its meaning; they stand in ``x-refusals``.
    """
    causes = ["`validation_error`: a field is missing or malformed"]
    if signed:
        causes.append("`bad_signature`: signature, token or nonce is not good")
    if refusals:
        causes.append("`refused`: a rule says no; the reason stands under the name of the field")
    bad = {"model": wire.ErrorBody, "description": ". ".join(causes), **({"x-refusals": refusals} if refusals else {})}
    others = sorted({429, 503, *statuses})
    return {400: bad, **{status: {"model": wire.ErrorBody, "description": _ERRORS[status]} for status in others}}


def text(description: str) -> dict[str, Any]:
    """Describe an answer that is plain text."""
    return {"description": description, "content": {"text/plain": {"schema": {"type": "string"}}}}


def file_answers() -> dict[int | str, dict[str, Any]]:
    """Describe the answers of a route that sends a file."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    content = {kind: {} if kind == "application/json" else binary for kind in MEDIA_TYPES}
    return {
        200: {"description": "The file's bytes", "content": content},
        206: {"description": "The bytes that a Range header asked for", "content": content},
        304: {"description": "The caller has the file: its ETag stood in If-None-Match"},
        416: {"model": wire.ErrorBody, "description": _ERRORS[416]},
    }


def _parameters(model: type[BaseModel], required: tuple[str, ...], without: tuple[str, ...]) -> list[dict[str, Any]]:
    return [
        parameter(name, field.description or "", needed=name in required)
        for name, field in model.model_fields.items()
        if name not in without
    ]


PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Cove API</title>
<style>body{font:15px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
code{background:#eee;padding:0 .3em}
h2{font-size:1rem;margin:1.5rem 0 .2rem}td{padding:0 1rem 0 0;vertical-align:top}</style></head>
<body><h1>Cove API</h1><p>The OpenAPI document: <a href="/api/openapi.json">/api/openapi.json</a></p>
<div id="list"></div>
<script>
const put=(parent,tag,text)=>{const e=document.createElement(tag);e.textContent=text;parent.append(e);return e};
fetch("/api/openapi.json").then(r=>r.json()).then(d=>{const list=document.getElementById("list");
for(const[path,methods]of Object.entries(d.paths))for(const[method,o]of Object.entries(methods)){
put(list,"h2",method.toUpperCase()+" "+path);put(list,"div",o.description||o.summary);
const t=put(list,"table","");const s=o.requestBody&&Object.values(o.requestBody.content)[0].schema||{};
const b=(s.$ref?d.components.schemas[s.$ref.split("/").pop()]:s).properties||{};
for(const p of o.parameters||[]){const r=put(t,"tr","");put(put(r,"td",""),"code",p.name);put(r,"td",p.description||"")}
if(!(o.parameters||[]).length)for(const[n,s]of Object.entries(b)){const r=put(t,"tr","");
put(put(r,"td",""),"code",n);put(r,"td",s.description||"")}}});
</script></body></html>"""
"""The page at ``/api/docs``: it needs nothing from elsewhere."""
