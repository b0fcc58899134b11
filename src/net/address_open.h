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

/* All that a TCP or UDP socket is given before it is bound, and may be given again. 0, or a
 * negative errno; without words unless `*ret_said`. */
int crew__address_prepare(int fd, const struct crew__address_attempt *attempt, bool *ret_said);
/* Does a socket at an IPv6 address take no IPv4? */
bool crew__address_is_v6_only(const struct crew__address *address);
/* Port 0 was any free one: now it is known which. */
int crew__address_take_port(struct crew__address *address, int fd);

/* A socket that is bound to a multicast group becomes a member of it (address_group.c). 0, or a
 * negative errno, said. */
int crew__address_join(int fd, const struct crew__address_attempt *attempt);

/* crew__address_listen() of a Unix socket. */
int crew__address_listen_unix(const struct crew__address_attempt *attempt);

/* The address at which its socket is made before it is put in place (address_place.c): false when
 * there is no room for that name. */
bool crew__address_beside(const struct crew__address *address, struct crew__address *ret_beside);
/* Is a socket that the kernel knows by `name` made for that path? */
bool crew__address_names(const char *name, const char *path);
/* Put the file at `from`, a socket that listens, at `path`, where nothing stands or that abandoned
 * file (inode 0: nothing). 0; -EAGAIN: something else stands there by now; another errno. */
int crew__address_place(
	const char *from, const char *path, const struct crew__address_file *abandoned);

/* Its file, which is known to be ours, gets the mode and the owner that are asked for. 0, or a
 * negative errno, said. */
int crew__address_own_file(const struct crew__address_attempt *attempt);

#endif
