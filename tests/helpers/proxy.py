"""A reverse proxy in a process of its own: python proxy.py PORT UPSTREAM HOST [PREFIX].

HOST: how the Host header is changed: "keep", "none", "name" (without its port, as nginx's `$host`)
or "upstream" (nginx's own default). It adds `X-Forwarded-For` where HOST is "keep". PREFIX is cut
off the paths; other paths get a 404.
"""

import http.client
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, UPSTREAM, HOST = int(sys.argv[1]), sys.argv[2], sys.argv[3]
PREFIX = sys.argv[4] if len(sys.argv) > 4 else ""


class Proxy(BaseHTTPRequestHandler):
    """Forwards each request, and streams the response back."""

    def do_GET(self) -> None:
        """Forward a request."""
        if not self.path.startswith(PREFIX + "/"):
            self.send_error(404)
            return
        up = http.client.HTTPConnection(UPSTREAM)
        if HOST == "none":
            up._http_vsn_str = "HTTP/1.0"
        path = self.path[len(PREFIX) :]
        up.putrequest(self.command, path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in ("host", "connection"):
                up.putheader(name, value)
        host = self.headers["Host"]
        named = {"keep": host, "name": host.split(":")[0], "upstream": UPSTREAM}.get(HOST)
        if named:
            up.putheader("Host", named)
        if HOST == "keep":
            up.putheader("X-Forwarded-For", "192.0.2.7")
        up.putheader("Connection", "close")
        up.endheaders()
        left = int(self.headers.get("Content-Length") or 0)
        while left > 0 and (piece := self.rfile.read(min(left, 65536))):
            up.send(piece)
            left -= len(piece)
        answer = up.getresponse()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            while piece := answer.read1(65536):
                self.wfile.write(piece)
                self.wfile.flush()
        except OSError:  # the visitor has left
            pass
        up.close()

    do_POST = do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Log nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", PORT), Proxy).serve_forever()
