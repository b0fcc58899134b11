/* cidr.h - lists of networks: "10.0.0.0/8 ::1 unix", as an operator writes whom to trust.
 *
 * An entry is an address (the network of it alone), ADDRESS/BITS, or the word `unix`, which is
 * every peer of a Unix socket. Bits of an address beyond its prefix are left out. IPv4 and IPv6 are
 * apart:
 * ::/0 holds no IPv4 address; an IPv4 address written as IPv6 (::ffff:10.0.0.1) is the IPv4 one.
 * Entries are parted by spaces, tabs or commas. */
#ifndef CREW_WEB_CIDR_H
#define CREW_WEB_CIDR_H

#include "base/base.h"
#include "stats/slab.h"

struct crew__cidr {
	uint8_t ip[16]; /* as in records: IPv4 mapped; zero behind the prefix */
	uint8_t bits;   /* 0 to 128: of those 16 bytes */
	bool ipv4;
};

struct crew__cidrs {
	struct crew__cidr *items;
	size_t count;
	bool local; /* `unix` is among them */
};

/* 0; -ENOMEM; or -EINVAL, and `ret_bad` (which may be NULL) is the entry that is none. NULL and ""
 * are empty lists. `ret_list` is set on success, for crew__cidrs_free. */
int crew__cidrs_parse(const char *text, struct crew__cidrs *ret_list, crew_bytes *ret_bad);
void crew__cidrs_free(struct crew__cidrs *list); /* empty, and may be used again */

/* Is the address of a peer in one of them? */
bool crew__cidrs_hold(const struct crew__cidrs *list, const struct crew__record_address *address);

/* A numeric address, without brackets, port and zone. False when it is none. */
bool crew__ip_parse(crew_bytes text, struct crew__record_address *ret_address);

#endif
