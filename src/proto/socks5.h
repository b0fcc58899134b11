/* socks5.h - SOCKS version 5 as a client speaks it (RFC 1928, RFC 1929): CONNECT, without or with
 * user and password. Names are resolved by the proxy. No sockets: bytes in, bytes out
 * (base/preamble.h).
 *
 * Not here: BIND and UDP ASSOCIATE, GSSAPI, and the server's side (examples/socks5.c). */
#ifndef CREW_PROTO_SOCKS5_H
#define CREW_PROTO_SOCKS5_H

#include "base/preamble.h"

extern const struct crew__preamble crew__socks5;

#endif
