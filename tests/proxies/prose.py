"""What `docs/proxies.md` says in words. Verdicts and lines come from the cases."""

from __future__ import annotations

INTRODUCTION = """
# Proxies

What real proxies do to each transport, and the lines that make them friendly. A test run writes this page: every row
is a proxy that was started in front of a real server, judged by `tricast probe`, and then used by the client as it is
by default.

- Behind a reverse proxy nothing has to be changed for the client to get through. It takes what works.
- For the best transport, pass on the upgrade of WebSockets and the `Host` header: [lines to copy](#lines-to-copy).
- To see what your own network does, run `tricast probe URL`. It uses the same words as this page.

| word | meaning |
|---|---|
| clean | comes as it was sent, both ways |
| batched | comes, but collected for about 0.2 s at a time |
| buffered until close | held until the response ends, which a real stream never does: useless |
| uplink blocked | what is sent does not arrive |
| refused | answered with a status that is no success |
| no answer | nothing of use comes back |

"First message" is the time from `connect` until the application has a message, on one machine, the median of five.
"""

NOTES = {
    "reverse": """
- Where `Host` is rewritten every page looks foreign, since the `Origin` that its browser names is not the server's
  own. Pass `Host` on and name it with `--allow-host`, or name the origin with `--allow-origin`. Programs send no
  `Origin`.
- The server itself goes by no `X-Forwarded-For`. Code that does has to read all its lines, and to count from the right
  the hops that it trusts.
- SSE was asked for as browsers do too, with `Accept-Encoding: gzip`. It was never compressed, and so not held by a
  compressor: the server says `Content-Encoding: identity` and `no-transform`.
- nginx holds responses by default, but not those that say `X-Accel-Buffering: no`, as the server's do. Do not ignore
  that.
- Most proxies cut a connection that is silent for about a minute (which is not measured here). The server sends a
  heartbeat every 15 s, and the client's polls wait 25 s at most.
""",
    "forward": """
- The Python client and `tricast probe` honour `http_proxy`, `https_proxy` and `no_proxy`, on all transports. The first
  is for servers on `http://` and `ws://`, the second for those on `https://` and `wss://`. The proxy's own address
  begins with `http://` in both.
- To a server on http they say `GET http://...`, for the WebSocket too. Squid takes the upgrade out unless it is told
  otherwise, and they go on with SSE.
- Browsers say `CONNECT` for every WebSocket, be it `ws://` or `wss://`. Debian's Squid allows that to port 443 only,
  and answers 403. SSE and long poll are left to them.
- To a server on https everything goes through a tunnel, so it works as a whole or not at all. Put the server on https
  and on port 443, and this kind of proxy is no obstacle.
- `no_proxy` names who is asked directly. Put `localhost,127.0.0.1` there to try things out on one machine.
""",
    "nginx": "In the `location`.\n",
    "HAProxy": "In `defaults`. WebSockets pass by themselves; without the first line SSE comes in batches.\n",
    "Apache": "With `mod_proxy` and `mod_proxy_http`; no other module is needed. Apache 2.4.47 or newer.\n",
    "Varnish": "In the VCL, besides the `backend`. Nothing of tricast is cached: the server says `no-store`.\n",
    "Caddy": "There is nothing to add. Leave out `buffer_responses`, which holds SSE and hangs WebSockets.\n",
    "lighttpd": "With `mod_proxy`. It takes no notice of `X-Accel-Buffering`, hence the last line.\n",
    "Squid": (
        "Squid 5 or newer. In front of clients, these lines are added to Debian's own, in `/etc/squid/conf.d/`; the\n"
        "port is the server's.\n"
    ),
}

END = """
## Again

`make proxies-doc` runs it all and writes this page anew, in about a minute; `scripts/get-apt-packages.sh` installs the
proxies on Debian. The cases are in `tests/proxies/cases.py`, and a further one is a few lines there. The tests assert
them one by one, and that this page agrees with them.
"""
