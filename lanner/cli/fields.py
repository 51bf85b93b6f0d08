"""``lanner fields``: what rules can ask about."""

import json

import click

from lanner.errors import Exit

_HELP = """
List the fields that conditions and outputs of rules can use.

SOURCE is an event source, such as aws_cloudtrail, k8s_audit or syscall; without it, the fields of all are listed.

\b
Examples:
  lanner fields k8s_audit
  lanner fields aws_cloudtrail -N | grep user
  lanner fields --format json          in the shape of Falco's --list
"""


@click.command(help=_HELP)
@click.argument("source", required=False, metavar="[SOURCE]")
@click.option("--format", "form", type=click.Choice(["text", "markdown", "json"]), default="text", show_default=True)
@click.option("-N", "--names", is_flag=True, help="Names only.")
def fields(source: str | None, form: str, names: bool) -> Exit:
    """Print the catalogue."""
    from lanner import fieldlist
    from lanner.catalog import build_catalog
    from lanner.hostname import hostname

    catalog = build_catalog(hostname())
    if source and source not in catalog.sources:
        raise click.UsageError(f"unknown event source {source!r}; one of {', '.join(catalog.sources)}")
    classes = fieldlist.field_classes(catalog, source or "")
    found = [row.name for group in classes for row in group.fields]
    if form == "json":
        click.echo(json.dumps({"fieldnames": found} if names else fieldlist.as_json(classes), indent=2))
    elif names:
        click.echo("\n".join(found))
    else:
        lines = fieldlist.as_markdown(classes) if form == "markdown" else fieldlist.as_text(classes)
        click.echo("\n".join(lines))
    return Exit.OK
