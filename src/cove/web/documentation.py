"""What the OpenAPI document says beside the routes: parameters and bodies, from the models of the wire."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from cove import wire

_ERRORS = {
    400: "The request is refused: a field is wrong, or a rule says no",
    404: "There is no such thing, or it is not the caller's",
    403: "It is known, and the caller may not have it",
    405: "Another method is needed",
    409: "The job was changed meanwhile; ask for its status and try again",
    413: "The body is too large",
    429: "Too many requests; Retry-After says when",
    503: "A part that the provider depends on does not answer; the text says which",
}


_BODIES = (
    wire.StartCompute,
    wire.JobSelector,
    wire.InitializeCompute,
    wire.DecryptRequest,
    wire.TokenRequest,
    wire.ContainerRef,
)


def query(model: type[BaseModel], *, required: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Describe parameters that come in the query string; those in ``without`` are another endpoint's."""
    return {"parameters": _parameters(model, required, without)}


def query_or_body(
    model: type[BaseModel], *, required: tuple[str, ...] = (), without: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Describe parameters that come in the query string or in a JSON body alike."""
    return {"parameters": _parameters(model, required, without), **body(model, needed=False)}


def body(model: type[BaseModel], *, needed: bool = True) -> dict[str, Any]:
    """Describe a JSON body; :func:`complete` adds the model to the document."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": needed, "content": {"application/json": {"schema": schema}}}}


def complete(document: dict[str, Any]) -> None:
    """Add the models of the bodies, which routes that parse by hand cannot declare, to an OpenAPI document."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for model in _BODIES:
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        for name, part in {**schema.pop("$defs", {}), model.__name__: schema}.items():
            schemas.setdefault(name, part)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the error answers of a route, beside those that every route has."""
    return {status: {"model": wire.ErrorBody, "description": _ERRORS[status]} for status in (400, 429, 503, *statuses)}


def _parameters(model: type[BaseModel], required: tuple[str, ...], without: tuple[str, ...]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "schema": {"type": "string"},
            "description": field.description or "",
        }
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
