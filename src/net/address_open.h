/* address_open.h - what the files that open sockets of addresses share. */
#ifndef CREW_NET_ADDRESS_OPEN_H
#define CREW_NET_ADDRESS_OPEN_H

#include "net/address.h"

enum {
	CREW__HOLDER_SIZE = 128
};

/* One attempt, and where its complaint goes. */
struct crew__address_attempt {
	struct crew__address *address;
	bool reuse_port;
	char *error;
	size_t error_size;
};

/* Says it; `error`. */
__attribute__((format(printf, 3, 4))) int crew__address_fail(
	const struct crew__address_attempt *attempt, int error, const char *format, ...);

int crew__address_bind(int fd, const struct crew__address *address);
/* From now on who connects is queued. */
int crew__address_begin(int fd, const struct crew__address *address);

/* A socket that is bound to a multicast group becomes a member of it (address_group.c). 0, or a
 * negative errno, said. */
int crew__address_join(int fd, const struct crew__address_attempt *attempt);

/* crew__address_listen() of a Unix socket. */
int crew__address_listen_unix(const struct crew__address_attempt *attempt);

#endif
