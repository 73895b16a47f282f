"""The page of the notes service, as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from string import Template

from databases.interfaces import Record

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Notes</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse } td, th { padding: .2rem 1rem .2rem 0; text-align: left }
td.number { text-align: right } li { margin: .4rem 0; overflow-wrap: anywhere }
b { margin-right: .5rem }
</style>
</head>
<body>
<h1>Notes</h1>
<p>The latest $shown of $count. Add one and move money from the <a href="/docs">API page</a>.</p>
<ul>
$notes
</ul>
<h2>Accounts</h2>
<table>
<tr><th>name</th><th>balance</th></tr>
$accounts
</table>
</body>
</html>
""")


def render(notes: Sequence[Record], count: int, accounts: Sequence[Record]) -> str:
    """Render *notes*, newest first, out of *count*, and *accounts*."""
    return PAGE.substitute(
        shown=len(notes),
        count=count,
        notes="\n".join(
            f"<li><b>{escape(note['author'])}</b>{escape(note['text'])}</li>" for note in notes
        ),
        accounts="\n".join(
            f"<tr><td>{escape(account['name'])}</td>"
            f'<td class="number">{account["balance"]}</td></tr>'
            for account in accounts
        ),
    )
