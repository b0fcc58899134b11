/* fetch_names.h - addresses of hosts that were asked for not long ago, as libcurl takes them
 * (CURLOPT_RESOLVE), for as long as their name server says. Bounded; of no use to others: who dials
 * by himself asks the resolver. Pure: asks nobody. */
#ifndef CREW_SERVICE_FETCH_NAMES_H
#define CREW_SERVICE_FETCH_NAMES_H

#include "net/resolver.h"

enum {
	CREW__FETCH_NAMES = 64,     /* hosts that are remembered */
	CREW__FETCH_NAME_S = 300,   /* none for longer than that */
	CREW__FETCH_ADDRESSES = CREW__RESOLVED_MOST * 48 + 1
};

struct crew__fetch_names {
	struct crew__fetch_name {
		char *host, *addresses; /* NULL: the place is free */
		uint64_t until_ns;
	} names[CREW__FETCH_NAMES];
};

void crew__fetch_names_fini(struct crew__fetch_names *names); /* a zeroed one is empty */

/* "192.0.2.1,[2001:db8::1]", valid until the next call; NULL: unknown. */
const char *crew__fetch_names_find(
	struct crew__fetch_names *names, const char *host, uint64_t now_ns);
/* What cannot be kept, is not: it will be asked for again. */
void crew__fetch_names_keep(struct crew__fetch_names *names, const char *host,
	const char *addresses, uint32_t ttl_s, uint64_t now_ns);
/* It was no good: ask anew. */
void crew__fetch_names_forget(struct crew__fetch_names *names, const char *host);

/* How many addresses were written: those of interfaces (with a zone) cannot be told to libcurl. */
size_t crew__fetch_addresses(
	const struct crew__resolved *resolved, char text[CREW__FETCH_ADDRESSES]);

#endif
