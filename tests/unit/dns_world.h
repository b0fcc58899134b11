/* dns_world.h - a name server of the tests' own, in the loop under test, over UDP and TCP, which
 * fails in all the ways that name servers do. */
#ifndef CREW_TESTS_DNS_WORLD_H
#define CREW_TESTS_DNS_WORLD_H

#include "loop/loop.h"

enum dns_type {
	DNS_A = 1,
	DNS_CNAME = 5,
	DNS_AAAA = 28
};

enum dns_how {
	DNS_ANSWER, /* `data`; without: the name is there, but nothing of this type */
	DNS_NXDOMAIN,
	DNS_SERVFAIL,
	DNS_REFUSED,
	DNS_SILENT,
	DNS_GARBAGE,    /* bytes that are no answer */
	DNS_DAMAGED,    /* a good head, and a name that points to itself */
	DNS_SHORT,      /* an answer that ends in the middle */
	DNS_WRONG_ID,   /* a false answer with another id; then the true one */
	DNS_OTHER_NAME, /* a false answer to another question; then the true one */
	DNS_TRUNCATED   /* by UDP; whole by TCP */
};

struct dns_rule {
	const char *name;
	enum dns_type type; /* 0: any */
	enum dns_how how;
	const char *data; /* "10.0.0.1 10.0.0.2", "::1", or "cname=other.test 10.0.0.1" */
	unsigned delay_ms;
	uint32_t ttl;
};

enum {
	DNS_ANSWERS = 64,
	DNS_TCP = 8
};

struct dns_world;
struct dns_delayed {
	struct crew__timer timer;
	struct dns_world *world;
	struct crew__source *from; /* UDP, or the TCP connection */
	char peer[128];
	unsigned peer_size;
	size_t len;
	bool used;
	unsigned char bytes[4096];
};

struct dns_world {
	struct crew__loop *loop;
	const struct dns_rule *rules; /* ended by a NULL name; a name that is in none is NXDOMAIN */
	struct crew__source udp, tcp;
	struct crew__source links[DNS_TCP];
	struct dns_delayed delayed[DNS_ANSWERS];
	unsigned port;
	char servers[32]; /* for crew__resolver_new */
	unsigned asked, asked_by_tcp;
};

void dns_open(struct dns_world *world, struct crew__loop *loop, const struct dns_rule *rules);
void dns_close(struct dns_world *world);

#endif
