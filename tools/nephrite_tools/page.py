"""The report as one HTML page: a table of numbers, then the figures."""

import contextlib
import html
import pathlib
import tempfile

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 Georgia, "Times New Roman", serif; color: #1a1a1a; background: #fff; max-width: 60rem;
       margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.7rem; margin: 0; } h2 { font-size: 1.2rem; margin: 2.8rem 0 .6rem; }
p.sub { color: #555; margin: .2rem 0 1.6rem; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .32rem .8rem .32rem 0; border-bottom: 1px solid #ddd; }
thead th { border-bottom: 1.5px solid #1a1a1a; font-weight: 600; }
td.value { white-space: nowrap; font-variant-numeric: tabular-nums; }
figure { margin: 0; } figure img { width: 100%; height: auto; }
figcaption { color: #444; font-size: .9rem; margin-top: .4rem; }
a { color: #2166ac; } nav { font-size: .92rem; margin: 1rem 0; }
details { margin: .6rem 0; } summary { cursor: pointer; }
pre { font: .8rem/1.4 "DejaVu Sans Mono", Menlo, Consolas, monospace; overflow-x: auto; background: #f6f6f6; padding: .8rem; }
.holds { color: #1b7837; } .fails { color: #b2182b; }
"""


def _table(rows, header=None):
    lines = ["<table>"]
    if header:
        lines.append("<thead><tr>" + "".join(f"<th>{html.escape(h)}</th>" for h in header) + "</tr></thead>")
    for row in rows:
        cells = []
        for k, cell in enumerate(row):
            css = ' class="value"' if k == 1 else ""
            cells.append(f"<td{css}>{cell.markup if isinstance(cell, Verdict) else html.escape(str(cell))}</td>")
        lines.append("<tr>" + "".join(cells) + "</tr>")
    return "\n".join(lines + ["</table>"])


class Verdict:
    """A statement that holds or does not, by its number."""

    def __init__(self, holds, words):
        self.holds = holds
        self.words = words

    @property
    def markup(self):
        return f'<span class="{"holds" if self.holds else "fails"}">{html.escape(self.words)}</span>'


@contextlib.contextmanager
def making(output):
    """A folder for the files of a page, which appear in `output` when all are whole; the page last."""
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output, prefix=".making-") as scratch:
        folder = pathlib.Path(scratch)
        yield folder
        for path in sorted(folder.iterdir(), key=lambda path: path.name == "index.html"):
            path.replace(output / path.name)


def write(path, title, subtitle, summary, figures, provenance, configuration):
    """summary: rows (quantity, value, what to make of it); figures: style.Figure; provenance: rows (name, value)."""
    contents = " · ".join(f'<a href="#{f.name}">{html.escape(f.title)}</a>' for f in figures)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>",
        f"<h1>{html.escape(title)}</h1>",
        f'<p class="sub">{html.escape(subtitle)}</p>',
        _table(summary, ("quantity", "value", "what it says")),
        f'<nav>{contents} · <a href="#provenance">Provenance</a></nav>',
    ]
    for figure in figures:
        parts += [
            f'<h2 id="{figure.name}">{html.escape(figure.title)}</h2>',
            f'<figure><img src="{figure.png}" alt="{html.escape(figure.title)}">',
            f'<figcaption>{html.escape(figure.caption)} <a href="{figure.csv}">Numbers</a></figcaption></figure>',
        ]
    parts += ['<h2 id="provenance">Provenance</h2>', _table(provenance)]
    if configuration:
        parts.append(
            f"<details><summary>Effective configuration</summary><pre>{html.escape(configuration)}</pre></details>"
        )
    parts.append("</body></html>")
    path.write_text("\n".join(parts) + "\n", encoding="utf-8")
