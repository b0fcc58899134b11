/* fetch_place.h - where a request of the program's goes: a URL of http or https, or a proxy's, taken
 * apart and checked. Pure: nothing is looked up.
 *
 * libcurl's own reader does the taking apart, so that what is checked here is what it will do. */
#ifndef CREW_SERVICE_FETCH_PLACE_H
#define CREW_SERVICE_FETCH_PLACE_H

#include "base/base.h"

enum {
	CREW__FETCH_URL_MOST = 16 * 1024,
	CREW__FETCH_WHY = 320 /* a sentence */
};

struct crew__fetch_place {
	char *url;             /* without user, password and fragment */
	char *host;            /* a name or an address, without brackets and zone */
	char *user, *password; /* decoded; NULL: none */
	uint16_t port;
	bool tls;
	bool six;   /* the host is an IPv6 address */
	bool socks; /* of a proxy */
};

/* `text`, which may be relative when there is a `base`, as a Location is. Then user and password in
 * it are left out: who sends us elsewhere does not say who we are. 0; -EINVAL with a sentence in
 * `why`; -ENOMEM. */
int crew__fetch_place_parse(const char *text, const struct crew__fetch_place *base,
	struct crew__fetch_place *ret_place, char *why);
/* "http://[USER:PASSWORD@]HOST:PORT", "socks5://...". url is as libcurl wants it. As above. */
int crew__fetch_proxy_parse(const char *text, struct crew__fetch_place *ret_place, char *why);
void crew__fetch_place_fini(struct crew__fetch_place *place); /* a zeroed one is allowed */

/* The same scheme, host and port. */
bool crew__fetch_same_origin(const struct crew__fetch_place *a, const struct crew__fetch_place *b);

#endif
