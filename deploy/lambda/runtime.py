"""The command of the image: takes events from Lambda's Runtime API one by one and gives back the handler's answers.

As AWS describes it for custom runtimes ("Using the Lambda runtime API", version 2018-06-01). Not AWS's own client:
awslambdaric 4.2.2 from PyPI ended with a segmentation fault at its first event (docs/deploy.md).
"""

import http.client
import json
import os
import traceback
from collections.abc import Mapping
from typing import Any

API = "/2018-06-01/runtime"
REQUEST_ID = "Lambda-Runtime-Aws-Request-Id"


def main() -> None:
    """Serve events for ever; an error at the start is reported, then raised."""
    host = os.environ["AWS_LAMBDA_RUNTIME_API"]
    try:
        from handler import handler
    except Exception as error:
        _ask(host, "POST", f"{API}/init/error", _told(error))
        raise
    while True:
        headers, body = _ask(host, "GET", f"{API}/invocation/next")
        invocation = f"{API}/invocation/{headers[REQUEST_ID]}"
        try:
            answer = handler(json.loads(body))
        except Exception as error:  # noqa: BLE001  # whatever it is: this event failed, the next one may not
            traceback.print_exc()
            _ask(host, "POST", f"{invocation}/error", _told(error))
        else:
            _ask(host, "POST", f"{invocation}/response", json.dumps(answer).encode())


def _ask(host: str, method: str, path: str, body: bytes | None = None) -> tuple[Mapping[str, Any], bytes]:
    connection = http.client.HTTPConnection(host)  # without a time limit: the next event may come in an hour
    connection.request(method, path, body)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    if response.status >= http.HTTPStatus.BAD_REQUEST:
        raise RuntimeError(f"{method} {path}: Lambda answers {response.status}")
    return response.headers, text


def _told(error: Exception) -> bytes:
    return json.dumps({"errorType": type(error).__name__, "errorMessage": str(error)}).encode()


if __name__ == "__main__":
    main()
