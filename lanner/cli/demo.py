"""``lanner demo``: the service on made-up events."""

import shlex
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lanner.errors import Exit

if TYPE_CHECKING:
    from lanner.demo import Cloud, Service

_HELP = """
Watch Lanner work: an intrusion, made up, among ordinary noise.

Starts a stand-in for AWS (moto) on this machine and 'lanner run' with a queue and an audit webhook, sends both the
bundled CloudTrail files and Kubernetes audit events, shows the alerts and a summary, and ends. Needs no account, no
cluster and no root; nothing leaves this machine. Ctrl-C ends it at any time.

For root, where eBPF works, this host is watched as well while harmless things that look like attacks are done on it;
alerts on what else happens here are real.

\b
Examples:
  lanner demo
  lanner demo --keep         goes on listening, for events of your own
  lanner demo --port 9800    when 9765 is taken
  lanner demo --no-host      without a look at this host

\b
Exit status:
  0  it ran, also when ended by Ctrl-C
  4  something it needs could not be started
"""
_NEXT = """
What to try next:
  {lanner} scan {samples}
                                                   the same events from files, without any service
  {lanner} scan YOUR_FILES                           CloudTrail or audit logs that you have
  {lanner} rules list                                what is looked for
  {lanner} fields aws_cloudtrail                     what rules can ask about
  {lanner} run --help                                the service on queues and webhooks of yours
  {lanner} agent --help                              the same for this host
"""
_KEPT = """
Still listening; Ctrl-C ends it. Send it events of your own:
  curl -H 'Content-Type: application/json' --data-binary @event.json {url}
  AWS_ACCESS_KEY_ID=demo AWS_SECRET_ACCESS_KEY=demo aws --region us-east-1 --endpoint-url {endpoint} \\
    s3 cp trail.json.gz s3://example-trail-logs/AWSLogs/111122223333/CloudTrail/us-east-1/trail.json.gz
"""


@click.command(help=_HELP)
@click.option("--keep", is_flag=True, help="Stay after the samples, until Ctrl-C.")
@click.option("--port", default=9765, show_default=True, help="Port of the audit webhook; 0 for any free one.")
@click.option("--host/--no-host", default=True, help="Watch this host where that is possible.  [default: --host]")
def demo(keep: bool, port: int, host: bool) -> Exit:
    """Run the demonstration."""
    from lanner import demo as stage

    port = stage.free_port(port)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="lanner-demo-") as folder:
            host = host and _can_watch()
            _say("Starting a stand-in for AWS and the service ...")
            with stage.cloud() as cloud, stage.service(cloud, port, Path(folder), host) as service:
                _play(cloud, service)
                if host:
                    _act(Path(folder))
                if keep:
                    click.echo(_KEPT.format(url=service.url, endpoint=cloud.endpoint))
                    service.process.wait()
                _say("All is read. Stopping the service, which says what it has seen:")
    except KeyboardInterrupt:
        return Exit.OK
    click.echo(_NEXT.format(lanner=_command(), samples=shlex.quote(str(stage.SAMPLES))))
    return Exit.OK


def _play(cloud: "Cloud", service: "Service") -> None:
    from lanner.demo import SAMPLES

    service.wait_for(service.is_ready, "the start of the service")
    for name in ("event", "eventlist", "array"):
        _say(f"Posting Kubernetes audit events to {service.url}: samples/k8saudit/{name}.json")
        service.post((SAMPLES / "k8saudit" / f"{name}.json").read_bytes())
    _say(f"Uploading CloudTrail files to the bucket at {cloud.endpoint}; the queue announces them")
    cloud.upload(SAMPLES / "cloudtrail")
    service.wait_for(cloud.is_settled, "reading the CloudTrail files")


def _can_watch() -> bool:
    from lanner.demo import without_host

    reason = without_host()
    if reason:
        _say(f"This host is not watched: {reason}")
    return not reason


def _act(folder: Path) -> None:
    from lanner.demo import ACTIONS, act

    _say(f"Doing harmless things on this host: {', '.join(ACTIONS)}; what else happens here is seen as well")
    act(folder)


def _command() -> str:
    """Return what a shell calls this program by: an environment that was not activated is not on its path."""
    return "lanner" if shutil.which("lanner") else shlex.quote(sys.argv[0])


def _say(text: str) -> None:
    from lanner.terminal import wants_colour

    click.echo(click.style(f"\n{text}", bold=True) if wants_colour(sys.stdout) else f"\n{text}", color=True)
    sys.stdout.flush()
