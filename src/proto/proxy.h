/* proxy.h - the header by which a proxy tells whose connection it hands on: the PROXY protocol,
 * versions 1 (a line of text) and 2 (binary), as HAProxy's proxy-protocol.txt lays them down.
 *
 * No sockets and no state: the bytes come again with more behind them until the header is whole,
 * which is never far. Strict: nothing is guessed, and whoever is not exactly as laid down is bad.
 */
#ifndef CREW_PROTO_PROXY_H
#define CREW_PROTO_PROXY_H

#include "base/base.h"
#include "stats/slab.h"

enum {
	CREW__PROXY_V1_MAX = 107, /* with its CR LF */
	CREW__PROXY_V2_MAX = 16 +
			     4096, /* what its length field may say: ours, far above what is sent */
};

struct crew__proxy {
	int version;
	/* Whose connection it is. False: the proxy's own (LOCAL, e.g. a check of its own), or one
	 * that it cannot describe (UNKNOWN, AF_UNSPEC): the connection's real addresses hold. */
	bool known;
	struct crew__record_address source, target; /* family AF_UNIX has no more than that */
};

/* The length of the header, 0 when more bytes are needed to tell, -EPROTO when this is none (or one
 * that is longer than we take, or for datagrams, or whose checksum is wrong). `ret_proxy` is set
 * with a length. */
int crew__proxy_parse(crew_bytes in, struct crew__proxy *ret_proxy);

#endif
