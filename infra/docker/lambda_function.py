"""
Lanner as a Lambda function of the image: what it needs is fetched, then it is ``ingest.cloudtrail.lambda_handler``.

LANNER_FETCH names what is copied into the function before its first invocation, as ``lanner-fetch`` takes it;
LANNER_CONFIG is the configuration, the same as of the service.
"""

import logging
import os

from fetch import fetch

from lanner import aws_lambda, logs


def fetched() -> None:
    """
    Fetch.

    Raises:
        FetchError: A source holds nothing; Lambda logs it and tries again.
    """
    logs.set_up()
    for file in fetch(os.environ.get("LANNER_FETCH", "").split()):
        logging.getLogger("lanner.lambda").info("fetched %s", file)


fetched()
handler = aws_lambda.from_environment()
