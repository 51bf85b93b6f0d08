"""``lanner k8s``: what the API server that Lanner watches has to be given."""

from typing import TYPE_CHECKING

import click

from lanner.cli.options import RULES
from lanner.errors import Exit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.ruleset import Rule
    from lanner.k8s.needs import Analysis

_POLICY_HELP = """
Print the smallest audit policy under which every enabled rule can fire and fill its message.

The comments name the rules that need an entry. With --check say what is wrong with a policy that you have: which rules
cannot fire under it or see less than they ask for, and which line decides that.

\b
Examples:
  lanner k8s audit-policy > audit-policy.yaml                  for the shipped rules
  lanner k8s audit-policy -r bundled/k8s -r my_rules.yaml
  lanner k8s audit-policy --check /etc/kubernetes/audit/policy.yaml -r my_rules.yaml

\b
Exit status:
  0  done; with --check: every rule can fire and sees all requests that it names
  1  with --check: a rule is dead or blind
  2  the command line or the policy is wrong
  3  a rule file is wrong
"""
_KUBECONFIG_HELP = """
Print the kubeconfig with which an API server finds the audit webhook, for --audit-webhook-config-file.

All files are named as the API server's machine has them; only the --ca of --embed-ca is read here.

\b
Examples:
  lanner k8s kubeconfig --server https://10.96.0.200 --tls-server-name lanner.lanner.svc \\
      --ca /etc/kubernetes/audit/ca.crt \\
      --client-cert /etc/kubernetes/audit/client.crt --client-key /etc/kubernetes/audit/client.key
  lanner k8s kubeconfig --server https://192.0.2.7:30007 --ca ca.crt --embed-ca --token-file /etc/kubernetes/audit/token
"""


@click.group(short_help="Audit policy and webhook kubeconfig for an API server.")
def k8s() -> None:
    """Make what a Kubernetes API server needs so that Lanner sees its audit."""


@k8s.command("audit-policy", help=_POLICY_HELP, short_help="Print or check the audit policy for rules.")
@RULES
@click.option("--check", "path", metavar="POLICY.yaml", help="Check this policy instead of printing one.")
def audit_policy(rules: tuple[str, ...], path: str | None) -> Exit:
    """Print or check an audit policy."""
    analysis, found = _rules(rules)
    if path is None:
        click.echo(_generated(analysis, found), nl=False)
        return Exit.OK
    return _checked(path, analysis, found)


def _rules(paths: tuple[str, ...]) -> "tuple[Analysis, list[Rule]]":
    from engine.load import LoadOptions
    from ingest.k8saudit.record import SOURCE
    from lanner import rulefiles
    from lanner.catalog import build_catalog
    from lanner.hostname import hostname
    from lanner.k8s.needs import Analysis

    catalog = build_catalog(hostname())
    loaded = rulefiles.load(paths, catalog, LoadOptions())
    return Analysis(catalog.tables[SOURCE]), [rule for rule in loaded.enabled if rule.source == SOURCE]


def _generated(analysis: "Analysis", rules: "Sequence[Rule]") -> str:
    from lanner.k8s.generate import entries
    from lanner.k8s.noise import verdicts
    from lanner.k8s.policy import Policy
    from lanner.k8s.write import policy_text

    needs = [need for rule in rules for need in analysis.needs(rule)]
    made = entries(needs)
    noise = list(verdicts(Policy("", tuple(because.entry for because in made)), needs, analysis))
    firing = {need.rule.name for need in needs}
    names = list(dict.fromkeys(rule.name for rule in rules))
    able, never = [n for n in names if n in firing], [n for n in names if n not in firing]
    return policy_text(made, noise, able, never)


def _checked(path: str, analysis: "Analysis", rules: "Sequence[Rule]") -> Exit:
    from lanner.k8s.check import State, check
    from lanner.k8s.misplaced import misplaced
    from lanner.k8s.policy import load
    from lanner.k8s.report import report

    policy = load(path)
    results = check(policy, rules, analysis)
    for line in report(policy, results, list(misplaced(policy))):
        click.echo(line)
    failing = any(result.state in (State.DEAD, State.BLIND) for result in results)
    return Exit.FOUND if failing else Exit.OK


@k8s.command(help=_KUBECONFIG_HELP, short_help="Print the kubeconfig of the audit webhook.")
@click.option("--server", required=True, metavar="URL", help="The webhook; without port and path 9765 and /k8s-audit.")
@click.option("--ca", default="", metavar="FILE", help="Authorities of the webhook's certificate.")
@click.option("--embed-ca", is_flag=True, help="Put the content of --ca into the kubeconfig.")
@click.option("--client-cert", default="", metavar="FILE", help="Certificate with which the API server shows itself.")
@click.option("--client-key", default="", metavar="FILE", help="Key of that certificate.")
@click.option("--token-file", default="", metavar="FILE", help="Bearer token with which it shows itself instead.")
@click.option(
    "--tls-server-name",
    default="",
    metavar="NAME",
    help="Name in the webhook's certificate, where the URL has an address.",
)
def kubeconfig(
    server: str, ca: str, embed_ca: bool, client_cert: str, client_key: str, token_file: str, tls_server_name: str
) -> Exit:
    """Print a kubeconfig."""
    from lanner.k8s.kubeconfig import Webhook
    from lanner.k8s.kubeconfig import kubeconfig as written

    webhook = Webhook(server, ca, embed_ca, client_cert, client_key, token_file, tls_server_name)
    click.echo(written(webhook), nl=False)
    return Exit.OK
