/* udp_ways.h - peers that speak UDP to a worker inside the test's own process. */
#ifndef CREW_TESTS_UDP_WAYS_H
#define CREW_TESTS_UDP_WAYS_H

#include "net_ways.h"

#include <netinet/in.h>

/* A bound socket for crew__worker_adopt(), non-blocking: "127.0.0.1", "::" (IPv4 as well), "::1".
 */
int udp_bind(const char *ip, struct sockaddr_in6 *ret_address);
/* A peer's, connected to `to`; `from` may be NULL. */
int udp_peer(const struct sockaddr_in6 *to, const char *from);
/* The same port of that socket at another address. */
struct sockaddr_in6 udp_at(const char *ip, const struct sockaddr_in6 *like);

void udp_says(int fd, const char *text);
/* What comes within patience, as text; turns the world meanwhile. NULL: nothing came in `ms`. */
const char *udp_hears(struct world *world, int fd);
/* Nothing comes, though the world has turned for a while. */
bool udp_hears_nothing(struct world *world, int fd);

#endif
