/* forwarded.h - whom proxies name as the client: Forwarded (RFC 7239) and X-Forwarded-For.
 *
 * Each proxy adds the address of its own peer at the right. So the truth is read from the right,
 * for as long as who wrote it is trusted: the client is the rightmost that is not a trusted proxy,
 * or, when all are, the leftmost. What stands further left anybody may have written.
 *
 * Strict, and never in favour of who breaks the rules: when a field cannot be read where it
 * matters, or both fields are there and name different clients (a proxy keeps up one of them and
 * passes the other on as it came), the client is unknown, rather than the trusted proxy that handed
 * it on. */
#ifndef CREW_WEB_FORWARDED_H
#define CREW_WEB_FORWARDED_H

#include "web/cidr.h"

enum {
	CREW__CLIENT_NAME_MAX = 64 /* of an obfuscated identifier (RFC 7239 section 6.3) */
};

enum crew__client_kind {
	CREW__CLIENT_NOT_TOLD, /* none of the fields is there: the peer itself */
	CREW__CLIENT_ADDRESS,
	CREW__CLIENT_NAMED, /* a proxy gives a name of its own making: "_abc" */
	CREW__CLIENT_UNKNOWN,
};

struct crew__client {
	enum crew__client_kind kind;
	struct crew__record_address address;  /* ADDRESS; its port is 0 when it is not known */
	char name[CREW__CLIENT_NAME_MAX + 1]; /* NAMED */
};

/* What the fields of a request say that came from a trusted peer. */
void crew__forwarded_client(const crew_header *fields, size_t count,
	const struct crew__cidrs *trusted, struct crew__client *ret_client);

#endif
