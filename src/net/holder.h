/* holder.h - which process holds the port that we want? For one error message. */
#ifndef CREW_NET_HOLDER_H
#define CREW_NET_HOLDER_H

#include "base/base.h"

#include <sys/socket.h>

/* The process that listens on that IPv4 or IPv6 address, as "nginx (pid 123)". False when /proc
 * does not tell, e.g. of other users' processes, or not within a short while. */
bool crew__holder_find(const struct sockaddr *address, char *ret_text, size_t size);

/* The process that listens at the other end of a connected Unix socket. */
bool crew__holder_of_peer(int fd, char *ret_text, size_t size);

#endif
