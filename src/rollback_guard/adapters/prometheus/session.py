"""Send one request so that it ends in time, in bounds, and with an answer that was checked.

`PrometheusConnect` builds the requests; this session decides how they travel. It takes the query out of the URL,
follows no redirect, repeats nothing that reached the server, and hands on only complete answers.
"""

from __future__ import annotations

from base64 import b64encode
from datetime import timedelta
from typing import Any

import requests
from requests.utils import get_environ_proxies

from rollback_guard.adapters.prometheus import envelope
from rollback_guard.adapters.prometheus.refusal import Refused, is_disconnect
from rollback_guard.adapters.prometheus.wire import DEADLINE, Deadline, PatientAdapter
from rollback_guard.core.observation import Unknown
from rollback_guard.ports import Clock
from rollback_guard.secret import remember
from rollback_guard.specs import Endpoint

BLOCK_BYTES = 64 * 1024
"""How much of a body is taken at once."""

ERROR_BYTES = 64 * 1024
"""How much of an answer that is not 200 is read; an error says what it has to say in less."""

REDIRECTS = range(300, 400)


class CheckedResponse(requests.Response):
    """A complete answer of the query API; what `PrometheusConnect` reads of it is already parsed."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__()
        self.status_code = envelope.HTTP_OK
        self._body = body

    def json(self, **kwargs: Any) -> Any:
        """Return the envelope."""
        return self._body


class GuardedSession(requests.Session):
    """A session for one thread at a time."""

    def __init__(self, endpoint: Endpoint, clock: Clock) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._clock = clock
        self._adapter = PatientAdapter()
        self.trust_env = False  # else a .netrc would override the credentials that were configured
        self.proxies = get_environ_proxies(endpoint.url) if endpoint.trust_env else {}
        self.verify = endpoint.ca_file or True
        if endpoint.cert_file is not None:
            self.cert = (endpoint.cert_file, endpoint.key_file) if endpoint.key_file else endpoint.cert_file
        self.headers.update({"Accept": "application/json", "Accept-Encoding": "identity"})

    def get_adapter(self, url: str | bytes) -> PatientAdapter:
        """Return the one adapter there is: `PrometheusConnect` mounts another, which retries."""
        return self._adapter

    def close(self) -> None:
        """Close the connection."""
        self._adapter.close()
        super().close()

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **options: Any) -> CheckedResponse:
        """Ask and return the checked answer.

        Args:
            method: Ignored: a query always travels in the body of a POST, where its length does not matter.
            url: Of the query API.
            args: None.
            options: ``params`` of the query, and ``timeout``: a `Deadline`, or seconds for all of it. The others
                repeat what the session knows.

        Raises:
            Refused: The answer is not one that counts.
            SecretError: A credential cannot be read.
        """
        timeout = options["timeout"]
        if not isinstance(timeout, Deadline):
            timeout = Deadline(self._clock, self._clock.elapsed() + timedelta(seconds=timeout))
        token = DEADLINE.set(timeout)
        try:
            return self._ask(str(url), options.get("params") or {}, timeout)
        finally:
            DEADLINE.reset(token)

    def _ask(self, url: str, params: dict[str, str], deadline: Deadline) -> CheckedResponse:
        prepared = self.prepare_request(requests.Request("POST", url, data=params, headers=self._credentials()))
        with self._post(prepared, deadline) as response:
            result_type = envelope.MATRIX if url.endswith("/query_range") else "vector"
            return CheckedResponse(
                envelope.check(
                    response.status_code,
                    response.headers,
                    self._body(response),
                    result_type=result_type,
                    max_series=self._endpoint.max_series,
                )
            )

    def _post(self, prepared: requests.PreparedRequest, deadline: Deadline) -> requests.Response:
        try:
            return self._send(prepared, deadline)
        except requests.ConnectionError as error:
            # A server may close an idle connection in the moment in which it is used again. That is no failure of
            # the server, and the query was not read. On a connection of its own a request is never sent twice.
            if deadline.connected or not is_disconnect(error):
                raise
            return self._send(prepared, deadline)

    def _send(self, prepared: requests.PreparedRequest, deadline: Deadline) -> requests.Response:
        return self.send(
            prepared,
            stream=True,
            allow_redirects=False,
            timeout=deadline.left_s(),
            verify=self.verify,
            cert=self.cert,
            proxies=self.proxies,
        )

    def _credentials(self) -> dict[str, str]:
        """Read every secret anew, so that a rotated one is used from the next request on."""
        headers = {name: value.reveal() for name, value in self._endpoint.headers}
        if self._endpoint.bearer_token is not None:
            headers["Authorization"] = f"Bearer {self._endpoint.bearer_token.reveal()}"
        elif self._endpoint.basic_auth is not None:
            user, password = self._endpoint.basic_auth
            encoded = b64encode(f"{user}:{password.reveal()}".encode()).decode()
            remember(encoded)
            headers["Authorization"] = f"Basic {encoded}"
        return headers

    def _body(self, response: requests.Response) -> bytes:
        """Read an answer as far as it may go.

        Raises:
            Refused: It is a redirect, encoded or too large.
        """
        if response.status_code in REDIRECTS:
            place = response.headers.get("Location", "nowhere")
            raise Refused(
                Unknown.HTTP_ERROR, f"HTTP {response.status_code}: redirect to {place} not followed", shared=True
            )
        encoding = response.headers.get("Content-Encoding", "identity").lower()
        if encoding != "identity":
            raise Refused(
                Unknown.BAD_RESPONSE, f"the answer is encoded ({encoding}) although plain was asked for", shared=True
            )
        if response.status_code != envelope.HTTP_OK:
            return self._read(response, ERROR_BYTES, cut=True)
        return self._read(response, self._endpoint.max_response_bytes, cut=False)

    def _read(self, response: requests.Response, limit: int, *, cut: bool) -> bytes:
        body = bytearray()
        for block in response.raw.stream(BLOCK_BYTES, decode_content=False):
            body += block
            if len(body) > limit:
                if cut:
                    break
                raise Refused(Unknown.TOO_LARGE, f"the answer has more than {limit} bytes", shared=False)
        return bytes(body[:limit])
