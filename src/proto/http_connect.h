/* http_connect.h - the way through an HTTP proxy (RFC 9110 section 9.3.6): CONNECT HOST:PORT, and
 * an answer of 2xx, behind which the bytes are the peer's. No sockets (base/preamble.h).
 *
 * Not here: HTTP itself (http1.h parses requests; this answer has no body that matters), and the
 * proxy's side (examples/http_proxy.c). */
#ifndef CREW_PROTO_HTTP_CONNECT_H
#define CREW_PROTO_HTTP_CONNECT_H

#include "base/preamble.h"

extern const struct crew__preamble crew__http_connect;

#endif
