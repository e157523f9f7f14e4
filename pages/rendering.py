"""Templates and the stylesheet: how a page becomes an answer."""

from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

from fastapi import Form, Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

HERE = Path(__file__).parent
STYLE = (HERE / "static" / "page.css").read_text(encoding="utf-8")
STYLE_NAME = f"page-{sha256(STYLE.encode()).hexdigest()[:12]}.css"  # another style has another address
FOR_GOOD = {"Cache-Control": "public, max-age=31536000, immutable"}

FormText = Annotated[str, Form(pattern=r"^[^\x00]*$")]

templates = Environment(
    loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined,
    trim_blocks=True, lstrip_blocks=True,
)  # fmt: skip
templates.globals["style"] = STYLE_NAME


def page(
    request: Request, template: str, *, status: int = 200, headers: dict[str, str] | None = None, **values: Any
) -> Response:
    """A template as an answer; `prefix` in it is where the page is mounted, `here` which page of it this is."""
    prefix = request.scope.get("root_path", "")
    here = request.url.path.removeprefix(prefix).strip("/").partition("/")[0]
    html = templates.get_template(template).render(prefix=prefix, here=here, **values)
    return HTMLResponse(html, status_code=status, headers=headers)


def number(value: float | None, digits: int = 4) -> str:
    """A figure for people: as many digits as say something, a dash for none."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"


def age(hours: float | None) -> str:
    """Hours in words."""
    if hours is None:
        return "–"
    return f"{hours:.0f} hours" if hours < 72 else f"{hours / 24:,.0f} days"


templates.filters |= {
    "number": number,
    "age": age,
    "count": lambda value: "–" if value is None else f"{value:,}",
    "share": lambda value: "–" if value is None else f"{value:.1%}",
    "time": lambda value: f"{value:%Y-%m-%d %H:%M} UTC" if value else "–",
}
