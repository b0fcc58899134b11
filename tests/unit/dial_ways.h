/* dial_ways.h - what tests of dialling have in common: a loop, a name server, listeners that accept
 * or swallow, and what was told. */
#ifndef CREW_TESTS_DIAL_WAYS_H
#define CREW_TESTS_DIAL_WAYS_H

#include "dns_world.h"

#include "net/dial.h"

#include <fcntl.h>

enum {
	DIAL_FDS = 128
};

struct dial_world {
	struct crew__loop *loop;
	struct dns_world dns;
	struct crew__resolver *resolver;
	const struct crew__preamble *const *preambles;
	int fds[DIAL_FDS]; /* closed at the end */
	unsigned fd_count, fds_before;
};

struct dialled {
	uint64_t timeout_ms; /* 0: 10 s, unless at_once */
	bool at_once;
	void (*then)(struct dialled *d);
	struct dialled *next;

	struct dial_world *world;
	struct crew__dial *dial; /* NULL once it is over */
	unsigned port, count;    /* how often `done` came */
	int fd;
	char why[512], rest[4096];
	size_t rest_len;
	uint64_t began_ns, took_ms;
};

int dial_set_up(void **state, enum crew__engine_kind kind, const struct dns_rule *rules);
int dial_tear_down(void **state); /* fails where a descriptor was left open */

/* Of `options`: local, proxy and type. */
void dial(struct dial_world *world, struct dialled *d, const char *host, unsigned port,
	const struct crew__dial_plan *options);
void dial_unix(struct dial_world *world, struct dialled *d, const char *path);
void dial_until(struct dial_world *world, struct dialled *d);
void dial_pass(struct dial_world *world, unsigned ms);

/* Each is closed at the end. */
unsigned dial_listen(struct dial_world *world, const char *ip, unsigned port);
/* One that answers no SYN any more. */
unsigned dial_black_hole(struct dial_world *world, const char *ip, unsigned port);
int dial_listen_unix(struct dial_world *world, const char *path, int backlog);
int dial_raw_unix(struct dial_world *world, const char *path);
unsigned dial_free_port(struct dial_world *world);
int dial_keep(struct dial_world *world, int fd);
void dial_forget(struct dial_world *world, int fd); /* close it now */

const char *dial_peer(int fd);
const char *dial_own(int fd);
/* The last listener accepts, and hears what is sent. */
void dial_say_hello(struct dial_world *world, int fd);
unsigned dial_count_fds(void);

#endif
