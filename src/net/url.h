/* url.h - where an outgoing connection goes: "SCHEME://HOST:PORT", ws and wss with a path, and the
 * forms for Unix sockets.
 *
 * The scheme is words joined by `+`: what is spoken (tcp, text, frame, ws, or a protocol's own
 * name), then at most one each of `tls`, `unix` and `udp` for how it travels. tls, wss, unix and
 * udp by themselves are tcp+tls, ws+tls, tcp+unix and tcp+udp.
 *
 * Strict: what two readers could read in two ways is refused, and so is everything that could get
 * out of its place when it is written elsewhere (blanks, controls, other than ASCII). Nothing is
 * looked up. */
#ifndef CREW_NET_URL_H
#define CREW_NET_URL_H

#include "base/base.h"

enum {
	CREW__URL_MOST = 8 * 1024,
	CREW__URL_SCHEME = 16, /* as the names of protocols */
	CREW__URL_HOST = 253,  /* a name of DNS; an address and its zone are shorter */
	CREW__URL_PATH = 107,  /* of a Unix socket */
};

struct crew__url {
	char scheme[CREW__URL_SCHEME + 1]; /* what is spoken: "tcp", "ws", ... */
	bool tls, unix_socket, udp;
	bool six;        /* the host is an IPv6 address */
	bool numeric;    /* it is an address */
	bool usual_port; /* the one that the scheme has by itself: ws 80, wss 443 */
	uint16_t port;
	char host[CREW__URL_HOST +
		  1]; /* without brackets; a zone behind `%` ("fe80::1%eth0"); "" */
	char path[CREW__URL_PATH + 2]; /* of the Unix socket, "@name" for an abstract one; "" */
	crew_bytes
		target; /* of ws: "/path?query", a view into the text or a constant; else empty */
};

/* 0, or -EINVAL with a sentence in `ret_error` that names what is wrong with which part. */
int crew__url_parse(
	const char *text, struct crew__url *ret_url, char *ret_error, size_t error_size);

/* What a Host field says of it: brackets around IPv6, no zone, the port unless it is usual. As
 * snprintf: returns the full length. */
enum {
	CREW__URL_AUTHORITY = CREW__URL_HOST + 2 + 6 + 1
};
size_t crew__url_authority(const struct crew__url *url, char *text, size_t size);

#endif
